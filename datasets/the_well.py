"""The Well: one file, or the data set's directory of splits.

Ohana et al., "The Well: a Large-Scale Collection of Diverse Physics Simulations for Machine Learning", NeurIPS 2024.
Fields lie in ``t0_fields`` (scalars), ``t1_fields`` (vectors) and ``t2_fields`` (tensors) as ([sample,] [time,] *space,
components), and say of each axis whether they vary along it: every combination is read, those too that the reference
reader cannot load (a field constant along one axis of space). Scalars constant in time are parameters; those that vary
in time are ``attributes["scalars"]``, (trajectory, time) each. ``additional_information`` is not read.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import h5py
import numpy as np

from .channel import Axis, Channel
from .concatenate import concatenate
from .dataset import Dataset
from .errors import DatasetError
from .grids import coordinates, tail_splits
from .handles import h5_file
from .hdf5 import H5Array, attribute, dataset, has, read, resolve, strings
from .the_well_statistics import stored_statistics
from .variable import Variable

ORDERS = ("t0_fields", "t1_fields", "t2_fields")
SPLITS = ("train", "valid", "test")
SUFFIXES = (".hdf5", ".h5")


def is_the_well(file: h5py.File) -> bool:
    """Whether the file has the groups of The Well."""
    return has(file, "dimensions") and any(has(file, order) for order in ORDERS)


def is_the_well_directory(path: Path) -> bool:
    """Whether it is a data set's directory, or its ``data``, with a folder per split."""
    return any((data / split).is_dir() for data in (path, path / "data") for split in SPLITS)


def open_the_well(path: Path) -> Dataset:
    """Open one file. A file in a folder train, valid or test is all of that split.

    Raises:
        DatasetError: a field missing, or of a shape that its flags do not explain.
    """
    opened = _Reader(path).open()
    return replace(opened, statistics=stored_statistics(path.parent.parent, opened.channels))


def open_the_well_directory(path: Path) -> Dataset:
    """Open all files of all splits as one dataset; parameters may differ from file to file.

    Raises:
        DatasetError: no files, or files that disagree.
    """
    data = path / "data" if (path / "data").is_dir() else path
    files = [
        (s, f) for s in SPLITS if (data / s).is_dir() for f in sorted((data / s).iterdir()) if f.suffix in SUFFIXES
    ]
    if not files:
        raise DatasetError(path, "has no .hdf5 or .h5 file in train, valid or test.", remedy="Download the data set.")
    parts = [_Reader(file).open() for _, file in files]
    joined = concatenate(path, parts)
    scalars = _joined_scalars(parts)
    return replace(
        joined,
        statistics=stored_statistics(data, joined.channels),
        attributes={**joined.attributes, **({"scalars": scalars} if scalars else {})},
    )


def _joined_scalars(parts: list[Dataset]) -> dict[str, np.ndarray]:
    """Only those that every file has, over the frames that every trajectory has."""
    tables = [part.attributes.get("scalars", {}) for part in parts]
    names = [name for name in tables[0] if all(name in table for table in tables)]
    frames = min(int(part.lengths.min()) for part in parts)
    return {name: np.concatenate([table[name][:, :frames] for table in tables]) for name in names}


class _Reader:
    """One file being opened: what is found on the way, and the notes."""

    def __init__(self, path: Path) -> None:
        self.path, self.file = path, h5_file(path)
        self.notes: list[str] = []
        self.names = self._axis_names()
        self.times = self._times()
        self.frames = self.times.shape[-1]
        self.count = self._count()

    def open(self) -> Dataset:
        axes, mask, boundaries = self._axes()
        variables = tuple(self._field(order, name) for order in range(3) for name in self._listed(ORDERS[order]))
        if not variables:
            raise DatasetError(self.path, "has no fields in t0_fields, t1_fields, t2_fields.")
        parameters, scalars = self._scalars()
        split = self.path.parent.name
        tenth = max(1, self.count // 10)
        everything = {split: np.arange(self.count)} if split in SPLITS else None
        attributes = {name: attribute(self.file, name) for name in self.file.attrs}
        return Dataset(
            path=self.path,
            layout="the_well",
            variables=variables,
            axes=axes,
            times=self.times,
            lengths=np.full(self.count, self.frames),
            parameters=parameters,
            splits=everything or tail_splits(self.count, valid=tenth, test=tenth),
            mask=mask,
            attributes={**attributes, "boundaries": boundaries, **({"scalars": scalars} if scalars else {})},
            notes=tuple(dict.fromkeys(self.notes)),
        )

    def _axis_names(self) -> tuple[str, ...]:
        group = self._group("dimensions")
        names = strings(group, "spatial_dims") or [name for name in group if name != "time"]
        if not 1 <= len(names) <= 3:
            problem = f"names {len(names)} axes {names}, expected 1 to 3."
            raise DatasetError(self.path, problem, where="dimensions@spatial_dims")
        return tuple(names)

    def _times(self) -> np.ndarray:
        array = dataset(self.file, "dimensions/time")
        if array.ndim not in (1, 2) or array.shape[-1] == 0:
            problem = f"has shape {array.shape}, expected (time,) or (sample, time)."
            raise DatasetError(self.path, problem, where="dimensions/time")
        return read(array).astype(np.float64)

    def _count(self) -> int:
        stated = attribute(self.file, "n_trajectories")
        if isinstance(stated, int) and 0 < stated < 1 << 32:
            return stated
        varying = [dataset(self.file, f"{o}/{n}") for o in ORDERS for n in self._listed(o)]
        counts = [array.shape[0] for array in varying if attribute(array, "sample_varying") and array.ndim]
        self.notes.append("No n_trajectories attribute: counted from the fields.")
        return counts[0] if counts else 1

    def _listed(self, group: str) -> list[str]:
        """Names a group lists in ``field_names``; all it holds where it lists none."""
        if not has(self.file, group):
            return []
        found = self._group(group)
        return strings(found, "field_names") if "field_names" in found.attrs else list(found)

    def _group(self, name: str) -> h5py.Group:
        found = resolve(self.file, name)
        if not isinstance(found, h5py.Group):
            raise DatasetError(self.path, "is a dataset, expected a group.", where=name)
        return found

    def _flag(self, item: h5py.HLObject, name: str, default: bool) -> bool:
        value = attribute(item, name)
        if value is None:
            self.notes.append(f"Attribute {name} is missing somewhere: assumed from shapes.")
            return default
        return bool(value)

    def _field(self, order: int, name: str) -> Variable:
        where = f"{ORDERS[order]}/{name}"
        array = dataset(self.file, where)
        varying = attribute(array, "dim_varying", [True] * len(self.names))
        varying = [bool(v) for v in (varying if isinstance(varying, list) else [varying])]
        lead = array.shape[: max(0, array.ndim - order - sum(varying))]
        sample = self._flag(array, "sample_varying", len(lead) == 2 or lead == (self.count,))
        time = self._flag(array, "time_varying", len(lead) == 2 or lead == (self.frames,))
        leading = ("sample",) * sample + ("time",) * time
        space = tuple(axis for axis, varies in zip(self.names, varying) if varies)
        components = self._components(array, order, len(leading) + len(space), len(leading) + len(self.names))
        if array.ndim - components == len(leading) + len(self.names):
            space = self.names  # axes it does not vary along are kept with length 1
        stored = leading + space + ("channel",) * components
        self._check_shape(array, where, stored)
        return Variable(
            self._channels(name, array.shape, order, components, not time), stored, H5Array(self.path, where)
        )

    def _components(self, array: h5py.Dataset, order: int, *without: int) -> int:
        """How many trailing axes hold components: a tensor's D * D may be one axis or two."""
        return 1 if order == 2 and array.ndim - 1 in without and array.ndim - 2 not in without else order

    def _check_shape(self, array: h5py.Dataset, where: str, stored: tuple[str, ...]) -> None:
        sizes = {"sample": self.count, "time": self.frames} | dict(zip(self.names, self._points()))
        fits = array.ndim == len(stored) and all(
            axis == "channel" or n == sizes[axis] or (n == 1 and axis in self.names)
            for axis, n in zip(stored, array.shape)
        )
        if not fits:
            expected = ", ".join(f"{axis}={sizes.get(axis, len(self.names))}" for axis in stored)
            remedy = "Check its sample_varying, time_varying and dim_varying attributes."
            raise DatasetError(
                self.path, f"has shape {array.shape}, expected ({expected}).", where=where, remedy=remedy
            )

    def _points(self) -> list[int]:
        return [dataset(self.file, f"dimensions/{name}").shape[-1] for name in self.names]

    def _channels(
        self, field: str, shape: tuple[int, ...], order: int, components: int, static: bool
    ) -> tuple[Channel, ...]:
        if order == 0:
            return (Channel(field, static=static),)
        count = int(np.prod(shape[len(shape) - components :]))
        names = ["".join(name) for name in product(self.names, repeat=order)]
        names = names if count == len(names) else [str(i) for i in range(count)]
        return tuple(Channel(f"{field}_{name}", field=field, component=name, static=static) for name in names)

    def _scalars(self) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """Those constant in time, (trajectory,), and those not, (trajectory, time)."""
        constant: dict[str, np.ndarray] = {}
        for name in strings(self.file, "simulation_parameters"):
            value = attribute(self.file, name)
            if isinstance(value, int | float):
                constant[name] = np.full(self.count, float(value))
        varying: dict[str, np.ndarray] = {}
        for name in self._listed("scalars"):
            array = dataset(self.file, f"scalars/{name}")
            sample = self._flag(array, "sample_varying", array.ndim == 2)
            time = self._flag(array, "time_varying", array.shape[-1:] == (self.frames,))
            stored = (self.count,) * sample + (self.frames,) * time
            if array.shape != stored:
                problem = f"has shape {array.shape}, expected {stored}."
                raise DatasetError(self.path, problem, where=f"scalars/{name}")
            values = read(array).astype(np.float64)
            values = values if sample else np.broadcast_to(values, (self.count, *values.shape))
            if time or not np.allclose(values, constant.get(name, np.nan), rtol=1e-6):  # attributes are float64
                (varying if time else constant)[name] = np.array(values)
        return constant, varying

    def _axes(self) -> tuple[tuple[Axis, ...], Variable | None, dict[str, list[str]]]:
        sides, mask = {name: ["", ""] for name in self.names}, None
        group = self._group("boundary_conditions") if has(self.file, "boundary_conditions") else {}
        for name in group:
            where = f"boundary_conditions/{name}"
            condition = self._group(where)
            kind, dims = str(attribute(condition, "bc_type", "")).lower(), strings(condition, "associated_dims")
            if len(dims) == 1 and dims[0] in sides:
                self._mark(condition, where, kind, sides[dims[0]])
            elif kind == "wall" and has(condition, "mask"):
                mask = self._mask(condition, where, dims)
        axes = []
        for name, points in zip(self.names, self._points()):
            boundary = sides[name][0] if sides[name][0] == sides[name][1] else ""
            axes.append(Axis(name, self._coordinates(name, points), boundary=boundary))
        return tuple(axes), mask, sides

    def _mark(self, condition: h5py.Group, where: str, kind: str, sides: list[str]) -> None:
        """Which ends of the axis the condition holds at; both where its mask says of neither."""
        mask = read(dataset(self.file, f"{where}/mask")) if has(condition, "mask") else np.zeros(2, bool)
        ends = [bool(mask[..., 0].any()), bool(mask[..., -1].any())] if mask.ndim and mask.size else [False, False]
        for side, holds in enumerate(ends if any(ends) else (True, True)):
            sides[side] = kind if holds else sides[side]

    def _mask(self, condition: h5py.Group, where: str, dims: list[str]) -> Variable:
        sample, time = (bool(attribute(condition, f"{axis}_varying", False)) for axis in ("sample", "time"))
        stored = ("sample",) * sample + ("time",) * time + tuple(dims)
        self._check_shape(dataset(self.file, f"{where}/mask"), f"{where}/mask", stored)
        return Variable((Channel("mask", static=not time),), stored, H5Array(self.path, f"{where}/mask"))

    def _coordinates(self, name: str, points: int) -> np.ndarray:
        array = dataset(self.file, f"dimensions/{name}")
        if array.ndim == 1:
            return coordinates(self.file, f"dimensions/{name}", points, "itself")
        self.notes.append(f"Coordinates of {name} vary with sample or time: the first are used.")
        return read(array, (0,) * (array.ndim - 1)).astype(np.float64)
