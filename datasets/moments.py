"""Means and deviations of data that do not fit in memory.

Blocks are reduced in float64 around their own mean and combined by Chan, Golub and LeVeque, "Updating formulae and a
pairwise algorithm for computing sample variances" (1979), eq. 2.1, so that a large mean does not swallow a small
deviation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from .channel import Axis, Channel
from .dataset import Dataset
from .errors import DatasetError
from .statistics import Statistics

BLOCK_BYTES = 1 << 26
MOMENTS = ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta")


@dataclass
class Moments:
    """Count, mean and sum of squared deviations of each channel, so far."""

    channels: int
    count: int = 0
    mean: np.ndarray = field(init=False)
    deviation: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.mean, self.deviation = np.zeros(self.channels), np.zeros(self.channels)

    def add(self, values: np.ndarray) -> None:
        """Take in (channel, ...) more values of each channel."""
        flat = values.reshape(self.channels, -1).astype(np.float64)
        if flat.shape[1]:
            mean = flat.mean(axis=1)
            flat -= mean[:, None]
            self._combine(flat.shape[1], mean, np.square(flat, out=flat).sum(axis=1))

    def merge(self, other: Moments) -> None:
        """Take in what ``other`` has seen."""
        if other.count:
            self._combine(other.count, other.mean, other.deviation)

    def _combine(self, count: int, mean: np.ndarray, deviation: np.ndarray) -> None:
        total, shift = self.count + count, mean - self.mean
        self.mean = self.mean + shift * (count / total)
        self.deviation = self.deviation + deviation + shift**2 * (self.count * count / total)
        self.count = total

    @property
    def std(self) -> np.ndarray:
        """Unbiased standard deviation, (channel,)."""
        return np.sqrt(self.deviation / max(self.count - 1, 1))

    @property
    def rms(self) -> np.ndarray:
        """Root mean square, (channel,)."""
        return np.sqrt(self.deviation / max(self.count, 1) + self.mean**2)


class TrajectoryMoments:
    """Moments of values and of the differences of consecutive frames, over whole trajectories."""

    def __init__(self, channels: int, periods: np.ndarray | None = None) -> None:
        """Args:
        channels: how many.
        periods: (channel,) length of the periodic box of a position, 0 for anything else: its difference is the
            shortest one.
        """
        self.values, self.deltas = Moments(channels), Moments(channels)
        self._periods = periods if periods is not None and periods.any() else None

    def add(self, u: np.ndarray, mask: np.ndarray | None = None, *, continued: bool = False) -> None:
        """Take in frames (time, channel, *space); ``mask`` (*space) or (time, *space) marks cells to leave out.

        ``continued``: the first frame has been counted already, and only serves the first difference.
        """
        # Channels foremost, the axis moments keep.
        values, deltas = np.moveaxis(u, 1, 0), np.moveaxis(np.diff(u.astype(np.float64), axis=0), 1, 0)
        if self._periods is not None:
            periods = self._periods.reshape(-1, *(1,) * (deltas.ndim - 1))
            deltas = deltas - periods * np.round(deltas / np.where(periods == 0, np.inf, periods))
        new = slice(1, None) if continued else slice(None)
        if mask is None:
            self.values.add(values[:, new])
            self.deltas.add(deltas)
            return
        keep = np.broadcast_to(~mask.astype(bool), values.shape[1:])
        self.values.add(values[:, new][:, keep[new]])
        self.deltas.add(deltas[:, keep[1:] & keep[:-1]])

    @classmethod
    def of(cls, statistics: Statistics) -> TrajectoryMoments:
        """The moments that gave these statistics; how many differences there were is taken to be ``count``."""
        moments, count = cls(len(statistics.mean)), statistics.count
        for part, mean, std in (
            (moments.values, statistics.mean, statistics.std),
            (moments.deltas, statistics.mean_delta, statistics.std_delta),
        ):
            part.count, part.mean, part.deviation = count, mean, std**2 * max(count - 1, 1)
        return moments

    def merged(self, other: TrajectoryMoments) -> TrajectoryMoments:
        """Those of what either has seen."""
        both = TrajectoryMoments(self.values.channels)
        for part in (self, other):
            both.values.merge(part.values)
            both.deltas.merge(part.deltas)
        return both

    def pick(self, channels: Sequence[int]) -> TrajectoryMoments:
        """Those of some channels, in that order."""
        picked, chosen = TrajectoryMoments(len(channels)), list(channels)
        for part, whole in ((picked.values, self.values), (picked.deltas, self.deltas)):
            part.count, part.mean, part.deviation = whole.count, whole.mean[chosen], whole.deviation[chosen]
        return picked

    def result(self) -> Statistics:
        """The statistics of all that was added."""
        values, deltas = self.values, self.deltas
        return Statistics(values.mean, values.std, values.rms, deltas.mean, deltas.std, deltas.rms, values.count)


def statistics_from(columns: Mapping[str, np.ndarray], count: int) -> Statistics:
    """Statistics of named columns, each (channel,)."""
    mean, std, rms, mean_delta, std_delta, rms_delta = (columns[name] for name in MOMENTS)
    return Statistics(mean, std, rms, mean_delta, std_delta, rms_delta, count)


def compute_statistics(
    dataset: Dataset,
    trajectories: Iterable[int] | np.ndarray | None = None,
    *,
    progress: Callable[[int, int], None] | None = None,
) -> Statistics:
    """Statistics of each channel over trajectories, times and space, read in blocks of at most 64 MiB.

    Masked cells are left out. Static channels count once a frame. Differences of particle positions in a periodic box
    are the shortest ones. The definitions are those of The Well's ``stats.yaml``.

    Args:
        dataset: what to read.
        trajectories: which; by default those of the split "train", or all where there is no such split.
        progress: called as ``progress(done, total)`` after each trajectory.

    Raises:
        DatasetError: a value that counts is NaN or infinite.
    """
    chosen = training_trajectories(dataset) if trajectories is None else trajectories
    return trajectory_moments(dataset, chosen, progress=progress).result()


def trajectory_moments(
    dataset: Dataset, trajectories: Iterable[int] | np.ndarray, *, progress: Callable[[int, int], None] | None = None
) -> TrajectoryMoments:
    """What ``compute_statistics`` is computed from, to be merged with that of other files."""
    chosen = [int(trajectory) for trajectory in trajectories]
    moments = TrajectoryMoments(len(dataset.channels), box_periods(dataset.kind, dataset.axes, dataset.channels))
    for done, trajectory in enumerate(chosen, 1):
        _add(moments, dataset, trajectory)
        wrong = np.flatnonzero(~np.isfinite(moments.values.mean))
        if wrong.size:
            problem, remedy = f"holds NaN or infinity in trajectory {trajectory}.", "`sciml data validate` says where."
            raise DatasetError(dataset.path, problem, where=dataset.channels[wrong[0]].name, remedy=remedy)
        if progress:
            progress(done, len(chosen))
    return moments


def training_trajectories(dataset: Dataset) -> np.ndarray:
    """Trajectories of the split "train", all where there is none."""
    return np.asarray(dataset.splits.get("train", np.arange(len(dataset))))


def box_periods(kind: str, axes: Sequence[Axis], channels: Sequence[Channel]) -> np.ndarray:
    """(channel,) length of the periodic box along each component of a particle position, 0 for other channels."""
    boxes = {axis.name: float(np.ptp(axis.coordinates)) for axis in axes if axis.boundary == "periodic"}
    positions = kind == "particles"
    return np.array([boxes.get(c.component, 0.0) if positions and c.field == "position" else 0.0 for c in channels])


def _add(moments: TrajectoryMoments, dataset: Dataset, trajectory: int) -> None:
    length = int(dataset.lengths[trajectory])
    points = int(np.prod(dataset.shape)) if dataset.nodes is None else int(dataset.nodes[trajectory])
    block = max(1, BLOCK_BYTES // (8 * max(1, points * len(dataset.channels))))
    for start in range(0, length, block):
        # One frame of overlap for the difference across the seam.
        frames = slice(max(start - 1, 0), min(start + block, length))
        u = dataset.read(trajectory, frames)
        if dataset.kind == "particles":
            u = u.swapaxes(1, 2)
        mask = None if dataset.mask is None else dataset.read_mask(trajectory, frames)
        moments.add(u, mask, continued=start > 0)
