"""Files of one layout seen as one dataset: their trajectories one after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import accumulate
from pathlib import Path

import numpy as np

from .dataset import Dataset
from .errors import DatasetError
from .sources import Joined
from .variable import Variable


def concatenate(path: Path, parts: Sequence[Dataset], *, splits: Mapping[str, np.ndarray] | None = None) -> Dataset:
    """One dataset of the trajectories of all ``parts``, in order.

    Parameters that a part does not have are NaN there. Splits are the union of the parts' own unless given.

    Raises:
        DatasetError: parts of different channels or grids; the message names both files.
    """
    first = parts[0]
    for part in parts[1:]:
        _check_alike(first, part)
    starts = tuple(accumulate((len(part) for part in parts[:-1]), initial=0))
    masks = [part.mask for part in parts if part.mask is not None]
    return replace(
        first,
        path=path,
        variables=tuple(_joined([p.variables[i] for p in parts], starts) for i in range(len(first.variables))),
        times=_times(parts),
        lengths=np.concatenate([part.lengths for part in parts]),
        parameters=_parameters(parts),
        splits=_splits(parts, starts) if splits is None else splits,
        nodes=None if first.nodes is None else np.concatenate([np.asarray(part.nodes) for part in parts]),
        mask=_joined(masks, starts) if len(masks) == len(parts) else None,
        notes=tuple(dict.fromkeys(note for part in parts for note in part.notes)),
    )


def _check_alike(first: Dataset, other: Dataset) -> None:
    for what, here, there in (
        ("layout", first.layout, other.layout),
        ("channels", [c.name for c in first.channels], [c.name for c in other.channels]),
        ("axes", [a.name for a in first.axes], [a.name for a in other.axes]),
        ("grid", first.shape, other.shape),
        ("masks", first.mask is None, other.mask is None),
        ("varying axes", _varying(first), _varying(other)),
    ):
        if here != there:
            problem = f"has {what} {there}, expected {here} as in {first.path.name}."
            raise DatasetError(other.path, problem, remedy="Open files of different kinds one by one.")


def _varying(dataset: Dataset) -> list[tuple[str, ...]]:
    return [tuple(axis for axis in variable.axes if axis != "sample") for variable in dataset.variables]


def _joined(parts: Sequence[Variable], starts: tuple[int, ...]) -> Variable:
    sample_axes = tuple(part.axes.index("sample") if "sample" in part.axes else None for part in parts)
    axes = tuple(axis for axis in parts[0].axes if axis != "sample")
    return Variable(parts[0].channels, axes, Joined(tuple(part.source for part in parts), starts, sample_axes))


def _times(parts: Sequence[Dataset]) -> np.ndarray:
    """(time,) where all clocks agree, else (trajectory, time), shorter clocks continued at their last step."""
    longest = max((part.times for part in parts), key=lambda times: times.shape[-1])
    if all(p.times.ndim == 1 and np.array_equal(p.times, longest[..., : len(p.times)]) for p in parts):
        return longest
    frames = longest.shape[-1]
    return np.concatenate([np.broadcast_to(_continued(p.times, frames), (len(p), frames)) for p in parts])


def _continued(times: np.ndarray, frames: int) -> np.ndarray:
    missing = frames - times.shape[-1]
    step = times[..., -1:] - times[..., -2:-1] if times.shape[-1] > 1 else 1.0
    return np.concatenate([times, times[..., -1:] + step * np.arange(1, missing + 1)], axis=-1)


def _parameters(parts: Sequence[Dataset]) -> dict[str, np.ndarray]:
    names = dict.fromkeys(name for part in parts for name in part.parameters)
    nothing = [np.full(len(part), np.nan) for part in parts]
    return {n: np.concatenate([p.parameters.get(n, nan) for p, nan in zip(parts, nothing)]) for n in names}


def _splits(parts: Sequence[Dataset], starts: Sequence[int]) -> dict[str, np.ndarray]:
    names = dict.fromkeys(name for part in parts for name in part.splits)
    return {
        name: np.concatenate([start + p.splits[name] for p, start in zip(parts, starts) if name in p.splits])
        for name in names
    }
