"""Stored arrays seen a little differently: one entry of an axis, a steady answer, several files end to end."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass

import numpy as np

from .variable import Selection, Source


@dataclass(frozen=True, eq=False)
class InMemory:
    """An array that had to be read whole."""

    array: np.ndarray

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        return self.array[selection]


@dataclass(frozen=True, eq=False)
class InMemoryEach:
    """An array for each trajectory; the variable names no "sample" axis."""

    arrays: tuple[np.ndarray, ...]

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        return self.arrays[trajectory][selection]


@dataclass(frozen=True)
class Fixed:
    """One entry of a stored axis; the variable does not name that axis."""

    source: Source
    axis: int
    index: int = 0

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        return self.source(trajectory, (*selection[: self.axis], self.index, *selection[self.axis :]))


@dataclass(frozen=True)
class SteadyAnswer:
    """The answer of a steady map as two frames: zeros at t = 0, the stored values at t = 1.

    The source has no time axis; the variable names one, at position ``axis``.
    """

    source: Source
    axis: int

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        window = selection[self.axis]
        frames = np.arange(2)[window]
        answer = self.source(trajectory, selection[: self.axis] + selection[self.axis + 1 :])
        # Integer entries of the selection ("sample") are gone from the answer: count the slices before the time axis.
        axis = sum(isinstance(entry, slice) for entry in selection[: self.axis])
        answer = np.expand_dims(answer, axis)
        shape = [1] * answer.ndim
        shape[axis] = len(frames)
        return answer * frames.astype(np.result_type(answer.dtype, np.float32)).reshape(shape)


@dataclass(frozen=True)
class Joined:
    """The trajectories of several sources, one after the other; the variable names no "sample" axis.

    Attributes:
        sources: one per file.
        starts: number of each source's first trajectory.
        sample_axes: where each source has its "sample" axis; None where it has none.
    """

    sources: tuple[Source, ...]
    starts: tuple[int, ...]
    sample_axes: tuple[int | None, ...]

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        part = bisect_right(self.starts, trajectory) - 1
        local, axis = trajectory - self.starts[part], self.sample_axes[part]
        if axis is not None:
            selection = (*selection[:axis], local, *selection[axis:])
        return self.sources[part](local, selection)
