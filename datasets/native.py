"""Our own layout, read: see ``writer`` for what lies where."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .atomic import replacing
from .channel import Axis, Channel
from .dataset import Dataset
from .errors import DatasetError
from .handles import h5_file
from .hdf5 import H5Array, attribute, dataset, dimension, read, resolve
from .moments import MOMENTS, statistics_from
from .statistics import Statistics
from .variable import Selection, Variable
from .writer import LAYOUT, checksum, write_statistics

OWN_ATTRIBUTES = ("Conventions", "sciml_layout", "sciml_version", "kind", "fields", "axes", "parameters")


@dataclass(frozen=True, eq=False)
class PresentNodes:
    """An array of particles without the padding of the trajectories that have fewer than others: a ``Source``.

    Attributes:
        array: the stored array.
        nodes: particles of each trajectory.
        axis: where the array has its axis "node".
    """

    array: H5Array
    nodes: np.ndarray
    axis: int

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        """The values at ``selection``, of the particles there are."""
        present = slice(0, int(self.nodes[trajectory]))
        return self.array(trajectory, (*selection[: self.axis], present, *selection[self.axis + 1 :]))


class _Items:
    """The datasets of a file, each checked and opened once: most of the time of opening goes into this."""

    def __init__(self, file: h5py.File) -> None:
        self.file = file
        self._opened: dict[str, h5py.Dataset] = {}

    def __getitem__(self, name: str) -> h5py.Dataset:
        if name not in self._opened:
            self._opened[name] = dataset(self.file, name)
        return self._opened[name]


def open_native(path: str | Path) -> Dataset:
    """Open a file of our own layout; no field is read.

    The units of its parameters are in ``attributes["parameter_units"]``.

    Raises:
        DatasetError: damaged, of a later version, or something is missing or of the wrong shape.
    """
    path = Path(path)
    file = h5_file(path)
    _check_version(file)
    kind, own_times = _kind(file), "times" in file
    items, clock = _Items(file), "times" if own_times else "time"
    lengths, times = _column(items, "length").astype(np.int64), read(items[clock]).astype(np.float64)
    axes = tuple(_axis(items, name) for name in _names(file, "axes"))
    nodes = _column(items, "nodes").astype(np.int64) if kind == "particles" else None
    space = ("node",) if kind == "particles" else tuple(axis.name for axis in axes)
    opened = Dataset(
        path=path,
        layout="native",
        variables=tuple(_field(path, items, name, space, nodes) for name in _names(file, "fields")),
        axes=axes,
        times=times,
        lengths=lengths,
        kind="particles" if kind == "particles" else "grid",
        parameters={name: _column(items, name) for name in _names(file, "parameters")},
        splits=_splits(items),
        nodes=nodes,
        mask=_mask(path, items, space),
        time_units=str(attribute(items[clock], "units", "")),
        attributes=_attributes(items),
    )
    _check_shapes(items, opened)
    return replace(opened, statistics=_statistics(items, opened))


def verify_checksums(path: str | Path) -> int:
    """Read every field of a native file and compare it with its checksums; the number of trajectories checked.

    Raises:
        DatasetError: the first field and trajectory whose values are not what was written.
    """
    file = h5_file(path)
    _check_version(file)
    items = _Items(file)
    sums = resolve(file, "checksums")
    names = list(sums) if isinstance(sums, h5py.Group) else []
    for name in names:
        stored, values = _column(items, f"checksums/{name}"), items[name]
        for trajectory, expected in enumerate(stored):
            if checksum(read(values, (trajectory,))) != int(expected):
                problem = f"trajectory {trajectory} does not match its checksum."
                raise DatasetError(path, problem, where=name, remedy="The file was damaged or edited: fetch it again.")
    return len(_column(items, "length"))


def store_statistics(path: str | Path, statistics: Statistics, *, of: str = "train") -> None:
    """Put statistics into a native file, in place of those there: on a copy that then takes its place.

    Args:
        path: the file.
        statistics: of its channels.
        of: the split they are of.

    Raises:
        DatasetError: not a native file.
    """
    opened = open_native(path)
    with replacing(path) as partial:
        shutil.copyfile(path, partial)
        with h5py.File(partial, "r+") as file:
            write_statistics(file, opened.channels, statistics, of=of)


def _check_version(file: h5py.File) -> None:
    found = attribute(file, "sciml_layout", None)
    if found is None:
        raise DatasetError(file.filename, "has no attribute sciml_layout.", remedy="It is not of our own layout.")
    if str(found) != LAYOUT:
        problem = f"has layout version {found}, expected {LAYOUT}."
        raise DatasetError(file.filename, problem, where="sciml_layout", remedy="Update sciml to read it.")


def _kind(file: h5py.File) -> str:
    kind = attribute(file, "kind", "grid")
    if kind not in ("grid", "particles"):
        raise DatasetError(file.filename, f"is {kind!r}, expected 'grid' or 'particles'.", where="kind")
    return str(kind)


def _names(file: h5py.File, name: str) -> list[str]:
    names = _parsed(file, file, name)
    if not isinstance(names, list) or not all(isinstance(entry, str) for entry in names):
        raise DatasetError(file.filename, f"is {names!r}, expected a JSON list of names.", where=name)
    return names


def _parsed(file: h5py.File, item: h5py.HLObject, name: str) -> Any:
    text = attribute(item, name, None)
    try:
        return json.loads(text)
    except (TypeError, ValueError):
        raise DatasetError(file.filename, f"attribute {name!r} is {text!r}, expected JSON.", where=item.name) from None


def _column(items: _Items, name: str) -> np.ndarray:
    """A (sample,) variable."""
    values = items[name]
    if values.ndim != 1:
        raise DatasetError(items.file.filename, f"has shape {values.shape}, expected (sample,).", where=name)
    return read(values)


def _axis(items: _Items, name: str) -> Axis:
    item = items[name]
    units, boundary = str(attribute(item, "units", "")), str(attribute(item, "boundary", ""))
    return Axis(name, _column(items, name).astype(np.float64), units, boundary)


def _field(path: Path, items: _Items, name: str, space: tuple[str, ...], nodes: np.ndarray | None) -> Variable:
    item = items[name]
    try:
        named = [(str(channel), str(component)) for channel, component in _parsed(items.file, item, "channels")]
    except (TypeError, ValueError) as error:
        if isinstance(error, DatasetError):
            raise
        problem = "attribute 'channels' is not a list of [name, component]."
        raise DatasetError(path, problem, where=name) from None
    vector = len(named) > 1
    static = item.ndim == 1 + vector + len(space)
    units = str(attribute(item, "units", ""))
    channels = tuple(Channel(channel, units, name, component, static) for channel, component in named)
    components = ("channel",) if vector else ()
    frame = (*components, *space) if nodes is None else (*space, *components)
    stored = ("sample", *(() if static else ("time",)), *frame)
    array = H5Array(path, name)
    return Variable(channels, stored, array if nodes is None else PresentNodes(array, nodes, stored.index("node")))


def _mask(path: Path, items: _Items, space: tuple[str, ...]) -> Variable | None:
    if "mask" not in items.file:
        return None
    lead = ("sample",) if items["mask"].ndim > len(space) else ()
    return Variable((Channel("mask", static=True),), (*lead, *space), H5Array(path, "mask"))


def _splits(items: _Items) -> dict[str, np.ndarray]:
    split = _column(items, "split")
    names = str(attribute(items["split"], "flag_meanings", "none")).split()[1:]
    present = {name: np.flatnonzero(split == number) for number, name in enumerate(names)}
    return {name: members for name, members in present.items() if len(members)}


def _attributes(items: _Items) -> dict[str, Any]:
    file = items.file
    found = {name: _unpacked(attribute(file, name)) for name in file.attrs if name not in OWN_ATTRIBUTES}
    units = {name: str(attribute(items[name], "units", "")) for name in _names(file, "parameters")}
    return {**found, "parameter_units": units} if units else found


def _unpacked(value: Any) -> Any:
    """A list or dict that was stored as JSON; anything else as it is."""
    if isinstance(value, str) and (value[:1] in ("[", "{") or value in ("true", "false")):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def _statistics(items: _Items, opened: Dataset) -> Statistics | None:
    if "statistics" not in items.file:
        return None
    moments = {name: _column(items, f"statistics/{name}").astype(np.float64) for name in MOMENTS}
    for name, values in moments.items():
        if len(values) != len(opened.channels):
            problem = f"has {len(values)} values, expected one for each of {len(opened.channels)} channels."
            raise DatasetError(opened.path, problem, where=f"statistics/{name}", remedy="Run `sciml data stats` again.")
    return statistics_from(moments, int(attribute(items.file["statistics"], "count", 0)))


def _check_shapes(items: _Items, opened: Dataset) -> None:
    samples, frames = len(opened.lengths), opened.times.shape[-1]
    sizes = {"sample": samples, "time": frames, **{axis.name: len(axis.coordinates) for axis in opened.axes}}
    if opened.kind == "particles":
        sizes["node"] = dimension(items.file, "node")
    stored = {variable.channels[0].field: variable for variable in opened.variables}
    for name, variable in {**stored, **({"mask": opened.mask} if opened.mask else {})}.items():
        expected = tuple(len(variable.channels) if axis == "channel" else sizes[axis] for axis in variable.axes)
        found = items[name].shape
        if found != expected:
            raise DatasetError(opened.path, f"has shape {found}, expected {expected} {variable.axes}.", where=name)
    columns = {"split": _column(items, "split"), **opened.parameters}
    for name, values in columns.items():
        if len(values) != samples:
            raise DatasetError(opened.path, f"has {len(values)} values for {samples} trajectories.", where=name)
    if samples and not (opened.lengths.min() >= 1 and opened.lengths.max() <= frames):
        problem = f"holds {opened.lengths.min()} to {opened.lengths.max()} frames, expected 1 to {frames}."
        raise DatasetError(opened.path, problem, where="length")
