"""The .mat files of the first Fourier neural operator papers.

Li et al., "Fourier Neural Operator for Parametric Partial Differential Equations", ICLR 2021. Version 7.3 is HDF5 after
a user block of 512 bytes, with MATLAB's axes reversed: ``u`` (sample, x, y, time) lies as (time, y, x, sample). Older
versions are read whole, through scipy, in MATLAB's order. Navier-Stokes: ``a`` the initial vorticity (static here),
``u`` its future, times ``t``. Darcy (``coeff``, ``sol``) and Burgers (``a``, ``u`` of equal shape) are steady maps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from .channel import Axis, Channel
from .dataset import Dataset
from .errors import DatasetError
from .grids import tail_splits, unit_grid
from .handles import h5_file
from .hdf5 import SHARE_OF_MEMORY, H5Array, available_memory, dataset, has, read, resolve
from .sources import InMemory, SteadyAnswer
from .variable import Source, Variable

PAIRS = (("a", "u"), ("coeff", "sol"))
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class Stored:
    """An array of the file: its shape in MATLAB's order, what reads it, and whether it lies reversed."""

    shape: tuple[int, ...]
    source: Source
    is_reversed: bool

    def axes(self, names: tuple[str, ...]) -> tuple[str, ...]:
        """MATLAB's axis names in stored order."""
        return names[::-1] if self.is_reversed else names


def is_fno_mat(file: h5py.File) -> bool:
    """Whether the HDF5 file is a MATLAB 7.3 file with one of the known pairs."""
    pair = next((pair for pair in PAIRS if all(has(file, name) for name in pair)), None)
    return pair is not None and (file.userblock_size >= 512 or "MATLAB_class" in resolve(file, pair[1]).attrs)


def open_fno_mat73(path: Path) -> Dataset:
    """Open a version 7.3 file.

    Raises:
        DatasetError: shapes that disagree.
    """
    file = h5_file(path)
    names = [name for pair in PAIRS for name in pair if has(file, name)]
    arrays = {name: Stored(dataset(file, name).shape[::-1], H5Array(path, name), True) for name in names}
    times = read(dataset(file, "t")).ravel().astype(np.float64) if has(file, "t") else None
    return _described(path, arrays, times)


def open_fno_mat5(path: Path) -> Dataset:
    """Open an older file.

    Raises:
        DatasetError: without scipy, damaged, too large to be read whole, or shapes that disagree.
    """
    contents = _load(path)
    arrays = {name: Stored(value.shape, InMemory(value), False) for name, value in contents.items() if name != "t"}
    times = contents["t"].ravel().astype(np.float64) if "t" in contents else None
    return _described(path, arrays, times)


def _load(path: Path) -> dict[str, np.ndarray]:
    try:
        from scipy.io import loadmat, whosmat
    except ImportError:
        remedy = "Install scipy, or save the file with -v7.3."
        raise DatasetError(path, "is a MATLAB file older than 7.3, which scipy reads.", remedy=remedy) from None
    known = {name for pair in PAIRS for name in pair} | {"t"}
    try:
        listed = [(name, shape) for name, shape, _ in whosmat(path) if name in known]
        for name, shape in listed:
            if math.prod(shape) * 8 > SHARE_OF_MEMORY * available_memory():
                remedy = "Save it with -v7.3, which is read in part."
                raise DatasetError(path, f"has shape {shape}, more than memory allows.", where=name, remedy=remedy)
        found = loadmat(path, variable_names=[name for name, _ in listed])
    except DatasetError:
        raise
    except Exception as error:  # a damaged file can raise anything
        raise DatasetError(path, f"cannot be read: {error}.", remedy="Fetch it again.") from None
    arrays = {name: found[name] for name, _ in listed}
    for name, value in arrays.items():
        if not isinstance(value, np.ndarray) or value.dtype.kind not in "fiub":
            raise DatasetError(path, "is not an array of numbers.", where=name)
    return arrays


def _described(path: Path, arrays: Mapping[str, Stored], times: np.ndarray | None) -> Dataset:
    pair = next((pair for pair in PAIRS if all(name in arrays for name in pair)), None)
    if pair is None:
        raise DatasetError(path, f"has {sorted(arrays)}, expected a and u, or coeff and sol.")
    given, answer = (arrays[name] for name in pair)
    evolving = len(answer.shape) == len(given.shape) + 1 and answer.shape[:-1] == given.shape
    if (not evolving and answer.shape != given.shape) or not 2 <= len(given.shape) <= 4:
        problem = f"has shape {answer.shape} beside {pair[0]} of shape {given.shape} (in MATLAB's order)."
        remedy = f"Expected {pair[0]} (sample, *space) and {pair[1]} (sample, *space[, time])."
        raise DatasetError(path, problem, where=pair[1], remedy=remedy)
    axes = tuple(Axis(name, unit_grid(n)) for name, n in zip(AXES, given.shape[1:]))
    names = ("sample", *(axis.name for axis in axes))
    static = Variable((Channel("a", static=True),), given.axes(names), given.source)
    notes = ["No coordinates in the file: assumed points of [0, 1), right end left out."]
    if evolving:
        clock = _clock(path, times, answer.shape[-1], notes)
        solution = Variable((Channel("u"),), answer.axes((*names, "time")), answer.source)
    else:
        clock = np.array([0.0, 1.0])
        stored = answer.axes(names)
        solution = Variable((Channel("u"),), (*stored, "time"), SteadyAnswer(answer.source, len(stored)))
        notes.append(f"Steady map: from {pair[0]} to {pair[1]} at t = 1 (zero at t = 0).")
    count = given.shape[0]
    return Dataset(
        path=path,
        layout="fno",
        variables=(static, solution),
        axes=axes,
        times=clock,
        lengths=np.full(count, len(clock)),
        splits=tail_splits(count, valid=max(1, count // 10), test=max(1, count // 10)),
        notes=tuple(notes),
    )


def _clock(path: Path, times: np.ndarray | None, frames: int, notes: list[str]) -> np.ndarray:
    if times is None:
        notes.append("No t in the file: times are frame numbers, from 1.")
        return np.arange(1.0, frames + 1)
    if len(times) < frames:
        raise DatasetError(path, f"has {len(times)} values, but u has {frames} frames.", where="t")
    return times[:frames]
