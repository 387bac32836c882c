"""PDEGym, the data sets of Poseidon: NetCDF-4 files of ``velocity``, ``data`` or ``solution``, and Helmholtz.h5.

Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024. Values are physical: nothing is shifted
or normalised. What Poseidon subtracts from the pressure of the CE sets is ``attributes["pressure_mean"]``; what it
divides lead times by, and these files' missing times are made of, is ``attributes["time_constant"]``.

- Coordinates are mostly missing: ``linspace(0, 1, n + 1)[:-1]`` is assumed, as the authors' readers do.
- NS-SL is stored with x and y exchanged (the components are not).
- FNS-KF does not store its forcing, 0.1 sin(2 pi (x + y)).
- SE-AF, Poisson-Gauss and Helmholtz are steady maps, from the static channels to the answer at t = 1.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from .channel import Axis, Channel
from .dataset import Dataset
from .errors import DatasetError
from .grids import coordinates, tail_splits, times, unit_grid
from .handles import h5_file
from .hdf5 import H5Array, attribute, dataset, has, resolve
from .sources import Fixed, SteadyAnswer
from .variable import Variable

FIELDS = ("velocity", "data", "solution")
U, V = (Channel(f"velocity_{c}", field="velocity", component=c) for c in "xy")
DENSITY, PRESSURE, TRACER = Channel("density"), Channel("pressure"), Channel("tracer")
# Channels by (dataset, how many).
CHANNELS = {
    ("velocity", 2): (U, V),
    ("velocity", 3): (U, V, TRACER),
    ("solution", 2): (U, V),
    ("data", 4): (DENSITY, U, V, PRESSURE),
    ("data", 5): (DENSITY, U, V, PRESSURE, Channel("energy")),
    ("solution", 5): (DENSITY, U, V, PRESSURE, TRACER),
    ("solution", 6): (DENSITY, U, V, PRESSURE, TRACER, Channel("potential")),
}


class Family(NamedTuple):
    """What the files do not say, by the beginning of their names."""

    valid: int
    test: int
    time_constant: float | None
    boundary: str


FAMILIES = {
    "CE-RM": Family(100, 130, 20, "periodic"),
    "GCE-RT": Family(100, 130, 10, "periodic"),
    "NS-": Family(120, 240, 20, "periodic"),
    "FNS-": Family(120, 240, 20, "periodic"),
    "CE-": Family(120, 240, 20, "periodic"),
    "Wave-Layer": Family(60, 240, 20, "open"),
    "Wave-Gauss": Family(60, 240, 15, "open"),
    "ACE": Family(60, 240, 19, "periodic"),
    "SE-AF": Family(120, 240, None, "open"),
    "Poisson-Gauss": Family(120, 240, None, "wall"),
    "Helmholtz": Family(128, 512, None, "wall"),
}
UNKNOWN = Family(120, 240, None, "")
PRESSURE_MEANS = {"CE-RPUI": 1.33, "CE-RP": 0.215, "CE-CRP": 0.553, "CE-KH": 1.0, "CE-Gauss": 2.513}
NOT_A_VARIABLE = "This is a netCDF dimension but not a netCDF variable"


def family_of(name: str) -> Family:
    """What is known of a file of this name."""
    return next((family for start, family in FAMILIES.items() if name.startswith(start)), UNKNOWN)


def is_pdegym(file: h5py.File) -> bool:
    """Whether the file has one of the family's variables, or Helmholtz samples."""
    return any(has(file, name) for name in FIELDS) or next(iter(file), "").startswith("Sample_")


def open_pdegym(path: Path) -> Dataset:
    """Open a file of the family.

    Raises:
        DatasetError: a rank or number of channels that no file of the family has.
    """
    file = h5_file(path)
    if next(iter(file), "").startswith("Sample_"):
        return _helmholtz(path, file)
    name = next(name for name in FIELDS if has(file, name))
    shape = dataset(file, name).shape
    match len(shape):
        case 5:
            return _fields(path, file, name, shape)
        case 4 if shape[1] == 2 and not has(file, "c"):
            return _airfoil(path, file, name, shape)
        case 4:
            return _scalar(path, file, name, shape)
        case 3:
            return _steady(path, file, name, shape)
    expected = "(sample, time, channel, x, y), (sample, time, x, y) or (sample, x, y)"
    raise DatasetError(path, f"has shape {shape}, expected {expected}.", where=name)


def _fields(path: Path, file: h5py.File, name: str, shape: tuple[int, ...]) -> Dataset:
    channels = CHANNELS.get((name, shape[2]))
    if channels is None:
        known = sorted(count for field, count in CHANNELS if field == name)
        problem = f"has {shape[2]} channels on axis 2 of {shape}, expected {known}."
        raise DatasetError(path, problem, where=name)
    swapped = path.stem.startswith("NS-SL")
    space = ("y", "x") if swapped else ("x", "y")
    notes = ["Stored with x and y exchanged: read as (x, y)."] if swapped else []
    variable = Variable(channels, ("sample", "time", "channel", *space), H5Array(path, name))
    return _described(path, file, (variable,), shape[0], shape[1], dict(zip(space, shape[3:])), notes)


def _scalar(path: Path, file: h5py.File, name: str, shape: tuple[int, ...]) -> Dataset:
    """Allen-Cahn, and the wave equation with its static speed ``c``."""
    variables = [Variable((Channel("u"),), ("sample", "time", "x", "y"), H5Array(path, name))]
    if has(file, "c"):
        variables.append(_static(path, file, "c", (shape[0], *shape[2:])))
    return _described(path, file, tuple(variables), shape[0], shape[1], dict(zip("xy", shape[2:])), [])


def _static(path: Path, file: h5py.File, name: str, expected: tuple[int, ...]) -> Variable:
    if dataset(file, name).shape != expected:
        problem = f"has shape {dataset(file, name).shape}, expected {expected} as (sample, x, y)."
        raise DatasetError(path, problem, where=name)
    return Variable((Channel(name, static=True),), ("sample", "x", "y"), H5Array(path, name))


def _airfoil(path: Path, file: h5py.File, name: str, shape: tuple[int, ...]) -> Dataset:
    """Axis 1 is not time: 0 is the shape (1 inside), 1 the density."""
    stored, axes = H5Array(path, name), ("sample", "x", "y")
    inside = Fixed(stored, 1, 0)
    variables = (
        Variable((Channel("shape", static=True),), axes, inside),
        Variable((DENSITY,), ("sample", "time", "x", "y"), SteadyAnswer(Fixed(stored, 1, 1), 1)),
    )
    mask = Variable((Channel("mask", static=True),), axes, inside)
    notes = ["Steady map: from the shape (1 inside the airfoil) to the density."]
    return _described(path, file, variables, shape[0], None, dict(zip("xy", shape[2:])), notes, mask)


def _steady(path: Path, file: h5py.File, name: str, shape: tuple[int, ...]) -> Dataset:
    if not has(file, "source"):
        remedy = "A steady map needs its input."
        raise DatasetError(path, f"is missing beside {name} of shape {shape}.", where="source", remedy=remedy)
    variables = (
        _static(path, file, "source", shape),
        Variable((Channel("u"),), ("sample", "time", "x", "y"), SteadyAnswer(H5Array(path, name), 1)),
    )
    notes = ["Steady map: from the source to u at t = 1 (zero at t = 0)."]
    return _described(path, file, variables, shape[0], None, dict(zip("xy", shape[1:])), notes)


def _helmholtz(path: Path, file: h5py.File) -> Dataset:
    groups = tuple(sorted((n for n in file if n.startswith("Sample_")), key=lambda n: (len(n), n)))
    shape = dataset(file, f"{groups[0]}/a").shape
    if len(shape) != 2:
        raise DatasetError(path, f"has shape {shape}, expected (x, y).", where=f"{groups[0]}/a")
    answer = dataset(file, f"{groups[0]}/u").shape
    if answer != shape:
        raise DatasetError(path, f"has shape {answer}, expected {shape} as a.", where=f"{groups[0]}/u")
    variables = [
        Variable((Channel("a", static=True),), ("x", "y"), H5Array(path, "a", groups, shape)),
        Variable((Channel("u"),), ("time", "x", "y"), SteadyAnswer(H5Array(path, "u", groups, shape), 0)),
    ]
    if has(resolve(file, groups[0]), "bc"):
        size = dataset(file, f"{groups[0]}/bc").shape
        axes = {0: (), 1: ("channel",), 2: ("x", "y")}.get(len(size), ())
        bc = Variable((Channel("bc", static=True),), axes, H5Array(path, "bc", groups, size))
        variables.insert(1, bc)
    notes = ["Steady map: from a and the boundary value bc to u at t = 1 (zero at t = 0)."]
    return _described(path, file, tuple(variables), len(groups), None, dict(zip("xy", shape)), notes)


def _described(
    path: Path,
    file: h5py.File,
    variables: tuple[Variable, ...],
    count: int,
    frames: int | None,
    points: dict[str, int],
    notes: list[str],
    mask: Variable | None = None,
) -> Dataset:
    """Add what all files of the family have; ``frames`` is None for steady maps."""
    family = family_of(path.stem)
    axes = tuple(_axis(file, name, points[name], family.boundary, notes) for name in "xy")
    clock = np.array([0.0, 1.0]) if frames is None else _times(file, frames, family, notes)
    constants = {"time_constant": family.time_constant, "pressure_mean": _pressure_mean(path.stem)}
    return Dataset(
        path=path,
        layout="pdegym",
        variables=variables,
        axes=axes,
        times=clock,
        lengths=np.full(count, len(clock)),
        splits=tail_splits(count, valid=family.valid, test=family.test),
        mask=mask,
        attributes={
            **{name: attribute(file, name) for name in file.attrs if not name.startswith("_")},
            **{name: value for name, value in constants.items() if value is not None},
        },
        notes=tuple(notes),
    )


def _pressure_mean(name: str) -> float | None:
    return next((mean for start, mean in PRESSURE_MEANS.items() if name.startswith(start)), None)


def _axis(file: h5py.File, name: str, points: int, boundary: str, notes: list[str]) -> Axis:
    if _is_variable(file, name):
        return Axis(name, coordinates(file, name, points, "the field"), boundary=boundary)
    notes.append(f"No coordinate {name}: assumed {points} points of [0, 1), right end left out.")
    return Axis(name, unit_grid(points), boundary=boundary)


def _times(file: h5py.File, frames: int, family: Family, notes: list[str]) -> np.ndarray:
    if _is_variable(file, "time"):
        return times(file, "time", frames, "the field")
    constant = family.time_constant or max(1, frames - 1)
    notes.append(f"No times: assumed frame / {constant:g}.")
    return np.arange(frames) / constant


def _is_variable(file: h5py.File, name: str) -> bool:
    """A netCDF dimension without values is stored as a dataset of zeros that says so in its NAME."""
    if not has(file, name):
        return False
    found = resolve(file, name)
    return not str(attribute(found, "NAME", "")).startswith(NOT_A_VARIABLE)
