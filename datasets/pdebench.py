"""PDEBench, one file per parameter setting: ``tensor``, or density, pressure, Vx, Vy, Vz.

Takamoto et al., "PDEBench: An Extensive Benchmark for Scientific Machine Learning", NeurIPS 2022. Axes are
(sample, time, x[, y[, z]]), coordinates ``x-coordinate`` ... (cell centres). What its files get wrong or leave open:

- ``t-coordinate`` has one value too many;
- Darcy flow stores the coefficient as ``nu`` and the pressure as a ``tensor`` of one "frame": a steady map here;
- parameters are attributes in some files, and in others only part of the file's name;
- self-generated files may keep a leading device axis of length 1.

The reference loader tests on the first 10 % and trains on the rest. So does this one, but for the last 10 %, which it
sets aside as "valid".
"""

from __future__ import annotations

import re
from pathlib import Path

import h5py
import numpy as np

from .channel import Axis, Channel
from .dataset import Dataset
from .errors import DatasetError
from .grids import cell_centres, coordinates, times
from .handles import h5_file
from .hdf5 import H5Array, attribute, dataset, has
from .sources import Fixed, SteadyAnswer
from .variable import Source, Variable

FIELDS = {
    "tensor": Channel("u"),
    "density": Channel("density"),
    "pressure": Channel("pressure"),
    "Vx": Channel("velocity_x", field="velocity", component="x"),
    "Vy": Channel("velocity_y", field="velocity", component="y"),
    "Vz": Channel("velocity_z", field="velocity", component="z"),
}
AXES = ("x", "y", "z")
PARAMETER = re.compile(r"(?<![A-Za-z])(beta|nu|rho|eta|zeta|M)(\d+\.?\d*(?:e[+-]?\d+)?)", re.IGNORECASE)
PERIODIC = ("periodic", "1D_Advection", "1D_Burgers", "ReacDiff")


def is_pdebench(file: h5py.File) -> bool:
    """Whether the file is of the one-file family."""
    return has(file, "tensor") or (has(file, "x-coordinate") and any(has(file, name) for name in FIELDS))


def open_pdebench(path: Path) -> Dataset:
    """Open a file of the one-file family.

    Raises:
        DatasetError: shapes that disagree, or a rank that no PDEBench file has.
    """
    file = h5_file(path)
    names = [name for name in FIELDS if has(file, name)]
    shape = _common_shape(file, names)
    if has(file, "nu") and names == ["tensor"]:
        return _darcy(path, file, shape)
    notes, space = [], _dimensions(file, path, shape)
    sources: dict[str, Source] = {name: H5Array(path, name) for name in names}
    if len(shape) == space + 3 and shape[0] == 1:
        notes.append("Dropped a leading device axis of length 1.")
        sources, shape = {name: Fixed(source, 0) for name, source in sources.items()}, shape[1:]
    if len(shape) != space + 2:
        expected = "(sample, time" + "".join(f", {axis}" for axis in AXES[:space]) + ")"
        raise DatasetError(path, f"has shape {shape}, expected {expected}.", where=names[0])
    axes = _axes(path, file, shape[2:], names[0], notes)
    stored = ("sample", "time", *(axis.name for axis in axes))
    return Dataset(
        path=path,
        layout="pdebench",
        variables=tuple(Variable((FIELDS[name],), stored, sources[name]) for name in names),
        axes=axes,
        times=_times(file, shape[1], names[0], notes),
        lengths=np.full(shape[0], shape[1]),
        parameters=_parameters(path, file, shape[0]),
        splits=head_splits(shape[0]),
        attributes={name: attribute(file, name) for name in file.attrs},
        notes=tuple(notes),
    )


def _darcy(path: Path, file: h5py.File, shape: tuple[int, ...]) -> Dataset:
    coefficient = dataset(file, "nu").shape
    if len(shape) != 4 or shape[1] != 1 or coefficient != (shape[0], *shape[2:]):
        problem = f"has shape {shape} beside nu of shape {coefficient}, expected (sample, 1, x, y) and (sample, x, y)."
        raise DatasetError(path, problem, where="tensor")
    notes = ["Steady map: nu is the static input, u the answer at t = 1 (zero at t = 0)."]
    answer = SteadyAnswer(Fixed(H5Array(path, "tensor"), 1), axis=1)
    return Dataset(
        path=path,
        layout="pdebench",
        variables=(
            Variable((Channel("nu", static=True),), ("sample", "x", "y"), H5Array(path, "nu")),
            Variable((Channel("u"),), ("sample", "time", "x", "y"), answer),
        ),
        axes=_axes(path, file, shape[2:], "tensor", notes),
        times=np.array([0.0, 1.0]),
        lengths=np.full(shape[0], 2),
        parameters=_parameters(path, file, shape[0]),
        splits=head_splits(shape[0]),
        attributes={name: attribute(file, name) for name in file.attrs},
        notes=tuple(notes),
    )


def head_splits(count: int) -> dict[str, np.ndarray]:
    """Test: the first tenth; valid: the last tenth; train: the rest. Fewer than three are all for training."""
    tenth, numbers = max(1, count // 10), np.arange(count)
    if count < 3:
        return {"train": numbers}
    return {"train": numbers[tenth : count - tenth], "valid": numbers[count - tenth :], "test": numbers[:tenth]}


def _common_shape(file: h5py.File, names: list[str]) -> tuple[int, ...]:
    shapes = {name: dataset(file, name).shape for name in names}
    first = shapes[names[0]]
    for name, shape in shapes.items():
        if shape != first:
            problem = f"has shape {shape}, expected {first} as {names[0]}."
            raise DatasetError(file.filename, problem, where=name, remedy="All fields share samples, times and grid.")
    return first


def _dimensions(file: h5py.File, path: Path, shape: tuple[int, ...]) -> int:
    """Spatial dimensions: as many as there are coordinates, else as the file's name says, else by rank."""
    counted = sum(has(file, f"{axis}-coordinate") for axis in AXES)
    named = re.match(r"([123])D_", path.name)
    return counted or (int(named[1]) if named else min(3, max(1, len(shape) - 2)))


def _axes(path: Path, file: h5py.File, points: tuple[int, ...], of: str, notes: list[str]) -> tuple[Axis, ...]:
    boundary = "periodic" if any(word in path.name for word in PERIODIC) else ""
    boundary = "open" if "_trans" in path.name else boundary
    values = []
    for name, count in zip(AXES, points):
        if has(file, f"{name}-coordinate"):
            values.append(coordinates(file, f"{name}-coordinate", count, of))
        else:
            values.append(cell_centres(count))
            notes.append(f"No {name}-coordinate: assumed cell centres of (0, 1).")
    return tuple(Axis(name, value, boundary=boundary) for name, value in zip(AXES, values))


def _times(file: h5py.File, frames: int, of: str, notes: list[str]) -> np.ndarray:
    if not has(file, "t-coordinate"):
        notes.append("No t-coordinate: times are frame numbers.")
        return np.arange(float(frames))
    extra = dataset(file, "t-coordinate").size - frames
    if extra > 0:
        notes.append(f"t-coordinate has {extra} value{'s' if extra > 1 else ''} too many: the first {frames} are used.")
    return times(file, "t-coordinate", frames, of)


def _parameters(path: Path, file: h5py.File, count: int) -> dict[str, np.ndarray]:
    """From the name ("Eta1.e-8" and "Eta1e-08" both occur), overruled by the attributes."""
    named = {_canonical(name): float(value) for name, value in PARAMETER.findall(path.stem)}
    stated = {_canonical(name): attribute(file, name) for name in file.attrs}
    numbers = {name: value for name, value in stated.items() if isinstance(value, int | float)}
    return {name: np.full(count, float(value)) for name, value in (named | numbers).items()}


def _canonical(name: str) -> str:
    return name if name == "M" else name.lower()
