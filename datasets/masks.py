"""Whether all trajectories have one mask."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .dataset import Dataset


def moves(dataset: Dataset) -> bool:
    """Whether the mask changes in time."""
    return dataset.mask is not None and "time" in dataset.mask.axes


def shared_mask(dataset: Dataset, members: Sequence[int] | None = None) -> np.ndarray | None:
    """The mask (*space) that the trajectories share; None where there is none, it moves, or they differ in it."""
    numbers = range(len(dataset)) if members is None else members
    if dataset.mask is None or moves(dataset) or not len(numbers):
        return None
    first = _mask(dataset, numbers[0])
    return first if all(np.array_equal(first, _mask(dataset, number)) for number in numbers[1:]) else None


def _mask(dataset: Dataset, number: int) -> np.ndarray:
    return np.asarray(dataset.read_mask(int(number), slice(0, 1)))[0]
