"""The data of neuraloperator: ``{name}_{train|test}_{resolution}.pt``, a dict of tensors x and y; or both in HDF5.

Kossaifi et al., "A Library for Learning Neural Operators", 2024. Fields have no channel axis (one of length 1 is
accepted). Darcy and Navier-Stokes are steady maps, from the static input x to y at t = 1. Burgers' y is (sample, time,
x), its first frame the initial state x; ``visc`` is its viscosity. A file named train or test is all of that split.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
import torch

from .channel import Axis, Channel
from .dataset import Dataset
from .errors import DatasetError
from .grids import tail_splits, unit_grid
from .handles import h5_file
from .hdf5 import H5Array, dataset, has, resolve
from .sources import Fixed, SteadyAnswer
from .torch_file import load_torch
from .variable import Selection, Source, Variable

NAMES = {"darcy": ("a", "u"), "nsforcing": ("forcing", "vorticity")}
AXES = ("x", "y", "z")


@dataclass(frozen=True)
class TensorSource:
    """A tensor of a .pt file, memory-mapped once per process."""

    path: Path
    key: str

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        return tensors(self.path)[self.key].numpy()[selection]


def is_xy(file: h5py.File) -> bool:
    """Whether an HDF5 file holds x and y of one sample axis."""
    return all(has(file, name) and getattr(resolve(file, name), "ndim", 0) >= 2 for name in ("x", "y"))


def open_neuraloperator(path: Path) -> Dataset:
    """Open a .pt file, with ``torch.load(weights_only=True)``.

    Raises:
        DatasetError: not a dict of tensors x and y, or shapes that disagree.
    """
    found = tensors(path)
    missing = [key for key in ("x", "y") if key not in found]
    if missing:
        problem = f"has {sorted(map(str, found))}, expected tensors x and y."
        raise DatasetError(path, problem, where=missing[0], remedy="Meshes and point clouds are not read.")
    shapes = {key: tuple(found[key].shape) for key in ("x", "y")}
    parameters = {}
    if "visc" in found and found["visc"].numel() == 1:
        parameters["viscosity"] = float(found["visc"])
    return _described(path, shapes, {key: TensorSource(path, key) for key in ("x", "y")}, parameters)


def open_xy(path: Path) -> Dataset:
    """Open the HDF5 form.

    Raises:
        DatasetError: shapes that disagree.
    """
    file = h5_file(path)
    shapes = {key: dataset(file, key).shape for key in ("x", "y")}
    return _described(path, shapes, {key: H5Array(path, key) for key in ("x", "y")}, {})


def _described(
    path: Path, shapes: Mapping[str, tuple[int, ...]], sources: Mapping[str, Source], parameters: Mapping[str, float]
) -> Dataset:
    (x_shape, x), (y_shape, y) = (_without_channel(shapes[key], sources[key]) for key in ("x", "y"))
    evolving = len(y_shape) == len(x_shape) + 1 and (x_shape[0], *x_shape[1:]) == (y_shape[0], *y_shape[2:])
    if (not evolving and x_shape != y_shape) or not 2 <= len(x_shape) <= 4:
        problem = f"has shape {shapes['y']} beside x of shape {shapes['x']}, expected (sample, [time,] *space)."
        raise DatasetError(path, problem, where="y")
    axes = tuple(Axis(name, unit_grid(n)) for name, n in zip(AXES, x_shape[1:]))
    names = tuple(axis.name for axis in axes)
    given, answer = next((pair for start, pair in NAMES.items() if path.name.startswith(start)), ("x", "y"))
    notes = ["No coordinates in the file: assumed points of [0, 1), right end left out."]
    if evolving:
        variables: tuple[Variable, ...] = (Variable((Channel("u"),), ("sample", "time", *names), y),)
        frames = y_shape[1]
        notes.append("No times in the file: assumed 0 to 1. x is the first frame of y.")
    else:
        variables = (
            Variable((Channel(given, static=True),), ("sample", *names), x),
            Variable((Channel(answer),), ("sample", "time", *names), SteadyAnswer(y, 1)),
        )
        frames = 2
        notes.append(f"Steady map: from {given} to {answer} at t = 1 (zero at t = 0).")
    count = x_shape[0]
    return Dataset(
        path=path,
        layout="neuraloperator",
        variables=variables,
        axes=axes,
        times=np.linspace(0.0, 1.0, frames),
        lengths=np.full(count, frames),
        parameters={name: np.full(count, value) for name, value in parameters.items()},
        splits=_splits(path, count),
        notes=tuple(notes),
    )


def _without_channel(shape: tuple[int, ...], source: Source) -> tuple[tuple[int, ...], Source]:
    """A channel axis of length 1 dropped: (sample, 1, x, y) -> (sample, x, y)."""
    if len(shape) >= 3 and shape[1] == 1:
        return (shape[0], *shape[2:]), Fixed(source, 1)
    return shape, source


def _splits(path: Path, count: int) -> dict[str, np.ndarray]:
    named = re.search(r"(?:^|_)(train|test)(?:_|$)", path.stem)
    if named:
        return {named[1]: np.arange(count)}
    return tail_splits(count, valid=max(1, count // 10), test=max(1, count // 10))


def tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a .pt file, kept for the next call.

    Raises:
        DatasetError: not a file of ``torch.save``, one that holds more than tensors, or no dict.
    """
    try:
        state = path.stat()
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({error.strerror}).", remedy="Check the path.") from None
    return _tensors(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=8)
def _tensors(path: Path, modified: int, size: int) -> dict[str, torch.Tensor]:
    remedy = "Only plain tensors are loaded: fetch it again, or re-save it as a dict of tensors x and y."
    found = load_torch(path, remedy=remedy)
    if not isinstance(found, dict):
        problem = f"holds a {type(found).__name__}, expected a dict of tensors x and y."
        raise DatasetError(path, problem, remedy="Meshes and point clouds are not read.")
    kept = {key: value for key, value in found.items() if isinstance(value, torch.Tensor)}
    for key, value in kept.items():
        if value.dtype.is_complex or value.layout is not torch.strided or value.is_meta:
            raise DatasetError(path, f"is {value.dtype}, {value.layout}, expected plain real numbers.", where=str(key))
        if math.prod(value.shape) * value.element_size() > max(size, 1) * 64:
            raise DatasetError(path, f"declares shape {tuple(value.shape)}, more than the file holds.", where=str(key))
    return {str(key): _as_numbers(value) for key, value in kept.items()}


def _as_numbers(value: torch.Tensor) -> torch.Tensor:
    return value.detach().float() if value.dtype in (torch.bfloat16, torch.float16) else value.detach()
