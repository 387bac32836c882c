"""Every value of a dataset looked at once, in pieces: what is wrong, where, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from .dataset import Dataset
from .errors import DatasetError
from .moments import Moments
from .native import verify_checksums
from .open import open_dataset

PIECE = 1 << 26  # bytes read at a time
STATISTICS_TOLERANCE = 0.1


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing.

    Attributes:
        severity: "error": the data cannot be trusted or read; "warning": look at it; "note": mended or assumed.
        where: the trajectory, channel, axis or HDF5 object.
        what: what was found and what was expected.
        remedy: what to do about it; may be "".
    """

    severity: Literal["error", "warning", "note"]
    where: str
    what: str
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """The findings on one dataset.

    Attributes:
        path: what was checked.
        layout: its layout; "" if it could not be opened.
        findings: errors first.
        trajectories: how many were read.
    """

    path: Path
    layout: str
    findings: tuple[Finding, ...]
    trajectories: int = 0

    @property
    def ok(self) -> bool:
        """Whether there is no error."""
        return all(finding.severity != "error" for finding in self.findings)


def validate(
    path: str | Path, *, layout: str | None = None, progress: Callable[[int, int], None] | None = None
) -> Report:
    """Check a file or directory: every trajectory is read once, never more than 64 MB at a time.

    Args:
        path: the file or directory.
        layout: as in ``open_dataset``.
        progress: called with (trajectories done, trajectories) after each.
    """
    try:
        dataset = open_dataset(path, layout=layout)
    except DatasetError as error:
        return Report(Path(path), "", (_as_finding(error),))
    findings = [Finding("note", "file", note) for note in dataset.notes]
    findings += [*_check_axes(dataset), *_check_times(dataset), *_check_units(dataset), *_check_splits(dataset)]
    moments = Moments(len(dataset.channels))
    described = set(dataset.splits.get("train", np.arange(len(dataset))).tolist())
    for trajectory in range(len(dataset)):
        findings += _check_trajectory(dataset, trajectory, moments if trajectory in described else None)
        if progress is not None:
            progress(trajectory + 1, len(dataset))
    findings += [*_check_statistics(dataset, moments), *_check_sums(dataset)]
    order = ("error", "warning", "note")
    findings.sort(key=lambda finding: order.index(finding.severity))
    return Report(Path(path), dataset.layout, tuple(findings), len(dataset))


def _as_finding(error: DatasetError) -> Finding:
    return Finding("error", error.where or "file", str(error))


def _check_axes(dataset: Dataset) -> Iterator[Finding]:
    for axis in dataset.axes:
        values, where = axis.coordinates, f"axis {axis.name}"
        gaps = np.diff(values)
        if not np.isfinite(values).all():
            yield Finding("error", where, "has coordinates that are not finite.", "Write its coordinates again.")
        elif len(gaps) and not ((gaps > 0).all() or (gaps < 0).all()):
            yield Finding("error", where, "has coordinates that are not monotone.", "Sort the grid along this axis.")
        elif len(gaps) and np.ptp(gaps) > 1e-3 * abs(gaps.mean()):
            what = f"is not uniform: spacings from {abs(gaps).min():.6g} to {abs(gaps).max():.6g}."
            yield Finding("warning", where, what, "Operators on Fourier modes assume a uniform grid.")


def _check_times(dataset: Dataset) -> Iterator[Finding]:
    rows = range(1) if dataset.times.ndim == 1 and len(set(dataset.lengths)) == 1 else range(len(dataset))
    for trajectory in rows:
        times = dataset.times_of(trajectory)
        if len(times) < dataset.lengths[trajectory]:
            what = f"has {len(times)} times for {dataset.lengths[trajectory]} frames."
            yield Finding("error", f"trajectory {trajectory}", what, "Store one time per frame.")
        elif not np.isfinite(times).all() or (np.diff(times) <= 0).any():
            first = int(np.argmax(~(np.diff(times, prepend=-np.inf) > 0)))
            what = f"has times that do not increase, first at frame {first}."
            yield Finding("error", f"trajectory {trajectory}", what, "Sort the frames by time.")


def _check_units(dataset: Dataset) -> Iterator[Finding]:
    without = [channel.name for channel in dataset.channels if not channel.units]
    if without:
        yield Finding("note", ", ".join(without), "no units stated.", "Convert to the native layout to state them.")


def _check_splits(dataset: Dataset) -> Iterator[Finding]:
    seen: dict[int, str] = {}
    for name, numbers in dataset.splits.items():
        shared = [number for number in numbers.tolist() if seen.setdefault(number, name) != name]
        if shared:
            what = f"shares trajectory {shared[0]} with {seen[shared[0]]}."
            yield Finding("error", f"split {name}", what, "Scores on it would be too good: make splits disjoint.")
        if len(numbers) and (numbers.min() < 0 or numbers.max() >= len(dataset)):
            what = f"names trajectories up to {numbers.max()}, there are {len(dataset)}."
            yield Finding("error", f"split {name}", what, "Write the splits again.")


def _check_trajectory(dataset: Dataset, trajectory: int, moments: Moments | None) -> list[Finding]:
    scan = _Scan(dataset, trajectory)
    try:
        for start, block in _pieces(dataset, trajectory):
            scan.add(start, block)
            if moments is not None:
                moments.add(np.moveaxis(block, 1, 0))
    except DatasetError as error:
        return [_as_finding(error)]
    return scan.findings()


def _pieces(dataset: Dataset, trajectory: int) -> Iterator[tuple[int, np.ndarray]]:
    """(first frame, (time, channel, point)) in pieces of at most ``PIECE`` bytes, one frame at least."""
    points = int(np.prod(dataset.shape)) if dataset.nodes is None else int(dataset.nodes[trajectory])
    frames = max(1, PIECE // max(1, 8 * points * len(dataset.channels)))
    for start in range(0, int(dataset.lengths[trajectory]), frames):
        block = dataset.read(trajectory, slice(start, start + frames))
        block = block if dataset.kind == "grid" else np.moveaxis(block, -1, 1)
        yield start, block.reshape(*block.shape[:2], -1)


class _Scan:
    """What is not finite, and what never changes, in one trajectory seen piece by piece."""

    def __init__(self, dataset: Dataset, trajectory: int) -> None:
        self.dataset, self.trajectory = dataset, trajectory
        count = len(dataset.channels)
        self.bad = np.zeros(count, int)
        self.first: dict[int, tuple[int, int]] = {}
        self.repeated: dict[int, int] = {}
        self.last: np.ndarray | None = None

    def add(self, start: int, block: np.ndarray) -> None:
        wrong = ~np.isfinite(block)
        self.bad += wrong.sum(axis=(0, 2))
        for channel in np.flatnonzero(wrong.any(axis=(0, 2))):
            frame, point = np.argwhere(wrong[:, channel])[0]
            self.first.setdefault(int(channel), (start + int(frame), int(point)))
        self._look_for_repetition(start, block)
        self.last = block[-1]

    def _look_for_repetition(self, start: int, block: np.ndarray) -> None:
        earlier = block[:-1] if self.last is None else np.concatenate([self.last[None], block[:-1]])
        same = (earlier == block[len(block) - len(earlier) :]).all(axis=2)
        offset = start + len(block) - len(earlier)
        for number, channel in enumerate(self.dataset.channels):
            if not channel.static and same[:, number].any():
                self.repeated.setdefault(number, offset + int(np.argmax(same[:, number])))

    def findings(self) -> list[Finding]:
        names = [channel.name for channel in self.dataset.channels]
        where = f"trajectory {self.trajectory}, "
        found = []
        for number, (frame, point) in self.first.items():
            what = f"{self.bad[number]} values are NaN or infinite, first at frame {frame}, point {self._place(point)}."
            remedy = "Leave the trajectory out, or generate it again with a smaller step."
            found.append(Finding("error", where + names[number], what, remedy))
        for number, frame in self.repeated.items():
            what = f"frame {frame} equals the one before."
            found.append(
                Finding("warning", where + names[number], what, "Check that the solver went on, or stop there.")
            )
        return found

    def _place(self, point: int) -> tuple[int, ...]:
        shape = self.dataset.shape or (int(self.dataset.lengths[0]),)
        return tuple(int(i) for i in np.unravel_index(point, shape)) if self.dataset.kind == "grid" else (point,)


def _check_sums(dataset: Dataset) -> Iterator[Finding]:
    """Checksums of our own layout."""
    if dataset.layout == "native":
        try:
            verify_checksums(dataset.path)
        except DatasetError as error:
            yield _as_finding(error)


def _check_statistics(dataset: Dataset, moments: Moments) -> Iterator[Finding]:
    """Stored statistics against those of the training split, which they describe; a tenth may be sampling."""
    if dataset.statistics is None or not moments.count:
        return
    for number, channel in enumerate(dataset.channels):
        scale = max(moments.std[number], abs(moments.mean[number]) * 1e-6, 1e-30)
        for name, here in (("mean", moments.mean[number]), ("std", moments.std[number])):
            stored = float(getattr(dataset.statistics, name)[number])
            if not abs(stored - here) <= STATISTICS_TOLERANCE * scale:
                what = f"stored {name} is {stored:.6g}, that of the data {here:.6g}."
                yield Finding("warning", f"channel {channel.name}", what, "Compute the statistics again.")
