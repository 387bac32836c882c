"""Coordinates, times and splits as readers need them: read and checked, or made up and said so."""

from __future__ import annotations

import h5py
import numpy as np

from .errors import DatasetError
from .hdf5 import dataset, read

MAX_COORDINATES = 1 << 24


def vector(file: h5py.File, name: str) -> np.ndarray:
    """A one-dimensional dataset as float64.

    Raises:
        DatasetError: missing, not numbers, or of another rank.
    """
    array = dataset(file, name)
    if array.ndim != 1 or array.shape[0] > MAX_COORDINATES:
        problem = f"has shape {array.shape}, expected one axis of coordinates."
        raise DatasetError(file.filename, problem, where=name)
    return read(array).astype(np.float64)


def coordinates(file: h5py.File, name: str, points: int, of: str) -> np.ndarray:
    """A coordinate vector that must have as many values as dataset ``of`` has points along that axis."""
    values = vector(file, name)
    if len(values) != points:
        problem = f"has {len(values)} values, but {of} has {points} points along that axis."
        raise DatasetError(file.filename, problem, where=name, remedy="Check the order of the axes.")
    return values


def times(file: h5py.File, name: str, frames: int, of: str) -> np.ndarray:
    """The first ``frames`` values of a time vector, which may be longer (PDEBench writes one too many).

    Raises:
        DatasetError: it is shorter.
    """
    values = vector(file, name)
    if len(values) < frames:
        problem = f"has {len(values)} values, but {of} has {frames} frames."
        raise DatasetError(file.filename, problem, where=name, remedy="Store one time per frame.")
    return values[:frames]


def unit_grid(points: int) -> np.ndarray:
    """Points of the unit interval, right end left out: what users of files without coordinates assume."""
    return np.linspace(0.0, 1.0, points + 1)[:-1]


def cell_centres(points: int) -> np.ndarray:
    """Centres of equal cells of the unit interval."""
    return (np.arange(points) + 0.5) / points


def tail_splits(count: int, *, valid: int, test: int) -> dict[str, np.ndarray]:
    """Train first, then ``valid``, then ``test`` trajectories at the end; a tenth each where there are too few.

    Fewer than three trajectories are all for training.
    """
    if count <= valid + test:
        valid = test = max(1, count // 10)
    if count < 3:
        return {"train": np.arange(count)}
    numbers = np.arange(count)
    return {
        "train": numbers[: count - valid - test],
        "valid": numbers[count - valid - test : count - test],
        "test": numbers[count - test :],
    }
