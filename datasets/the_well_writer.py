"""The Well's layout, written: a file, or a directory of splits with ``stats.yaml``. See ``the_well`` for the source."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby, product
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import yaml

from .atomic import replacing, replacing_directory
from .channel import Channel
from .dataset import Dataset
from .masks import shared_mask
from .moments import MOMENTS, compute_statistics
from .statistics import Statistics
from .the_well import ORDERS, SPLITS, SUFFIXES

Progress = Callable[[int, int], None]


def write_the_well(dataset: Dataset, target: Path, *, progress: Progress | None = None) -> tuple[str, ...]:
    """Write a dataset so that the package ``the_well`` reads it; what could not be kept is returned.

    A path that ends in .hdf5 or .h5 gets one file of all trajectories; another becomes a directory
    ``data/{train,valid,test}/NAME.hdf5`` with ``stats.yaml``, which must not exist yet. Fields whose components are the
    axes become vectors, those whose components are all pairs of axes tensors, any other channel a scalar. Units are
    kept as attributes, which the package ignores.

    Raises:
        ValueError: particles, trajectories of different lengths, a split The Well does not have, or a directory that
            exists.
    """
    _check(dataset)
    done = _Counter(progress, len(dataset))
    if target.suffix in SUFFIXES:
        _write_file(dataset, target, range(len(dataset)), done)
        return (*_lost(dataset), *(["Splits: they are folders of The Well."] if dataset.splits else []))
    if target.exists():
        raise ValueError(f"Expected a directory that does not exist, got {target}. Remove it or choose another.")
    with replacing_directory(target) as partial:
        _write_directory(dataset, partial, target.name, done)
    return _lost(dataset)


def _write_directory(dataset: Dataset, folder: Path, name: str, done: _Counter) -> None:
    for split, members in _well_splits(dataset).items():
        _write_file(dataset, folder / "data" / split / f"{name}.hdf5", members.tolist(), done, name=name)
    statistics = dataset.statistics or compute_statistics(dataset)
    tables = _stats_tables(dataset.channels, statistics)
    (folder / "stats.yaml").write_text(yaml.safe_dump(tables, sort_keys=False))


class _Counter:
    """Trajectories written so far, over all files."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress, self._total, self._done = progress, total, 0

    def step(self) -> None:
        self._done += 1
        if self._progress:
            self._progress(self._done, self._total)


def _check(dataset: Dataset) -> None:
    if dataset.kind != "grid":
        raise ValueError(f"Expected fields on a grid, got particles in {dataset.path}. Use layout='native'.")
    if not len(dataset) or len(set(dataset.lengths.tolist())) > 1:
        lengths = sorted(set(dataset.lengths.tolist()))
        raise ValueError(f"Expected trajectories of one length, got {lengths}. The Well cannot hold others.")


def _well_splits(dataset: Dataset) -> dict[str, np.ndarray]:
    unknown = set(dataset.splits) - set(SPLITS)
    if unknown:
        raise ValueError(f"Expected splits out of {SPLITS}, got {sorted(unknown)}. Write one file: NAME.hdf5.")
    return dict(dataset.splits) or {"train": np.arange(len(dataset))}


def _lost(dataset: Dataset) -> tuple[str, ...]:
    lost = ["float64 precision of times and coordinates: The Well has float32."]
    if dataset.read(0, slice(0, 1)).dtype == np.float64:
        lost.append("float64 precision of the fields: The Well has float32.")
    order = [channel.name for _, group in _ordered(dataset) for channel in group]
    if order != [channel.name for channel in dataset.channels]:
        lost.append(f"The order of the channels: The Well has {order}.")
    kept = {"dataset_name", "grid_type", "boundaries", "scalars", "parameter_units"}
    if set(dataset.attributes) - kept:
        lost.append(f"Attributes {sorted(set(dataset.attributes) - kept)}.")
    if any(dataset.attributes.get("parameter_units", {}).values()):
        lost.append("Units of the parameters.")
    if dataset.mask is not None and shared_mask(dataset) is None:
        lost.append("The mask: it differs between trajectories or frames.")
    return tuple(lost)


def _write_file(
    dataset: Dataset, path: Path, members: Sequence[int], done: _Counter, *, name: str | None = None
) -> None:
    with replacing(path) as partial, h5py.File(partial, "w") as file:
        _write_root(file, dataset, members, name or path.stem)
        _write_dimensions(file, dataset, members)
        _write_boundaries(file, dataset, members)
        fields = list(_make_fields(file, dataset, len(members)))
        for row, number in enumerate(members):
            u = dataset.read(int(number))
            for field, channels, order in fields:
                field[row] = _stored(u[:, channels], order, static=not field.attrs["time_varying"])
            done.step()


def _write_root(file: h5py.File, dataset: Dataset, members: Sequence[int], name: str) -> None:
    constant = {}
    scalars = file.create_group("scalars")
    for parameter, values in dataset.parameters.items():
        chosen = np.asarray(values, dtype=np.float64)[list(members)]
        varies = not (chosen == chosen[0]).all()
        if not varies:
            constant[parameter] = float(chosen[0])
        kept = chosen if varies else chosen[0]
        # float32 as The Well has it, unless that would change the value.
        exact = np.array_equal(np.float32(kept), kept)
        _array(scalars, parameter, np.asarray(kept, dtype="f4" if exact else "f8"), sample=varies, time=False)
    _write_series(scalars, dataset, members)
    file.attrs["dataset_name"] = str(dataset.attributes.get("dataset_name", name))
    file.attrs["grid_type"] = str(dataset.attributes.get("grid_type", "cartesian"))
    file.attrs["n_spatial_dims"], file.attrs["n_trajectories"] = len(dataset.axes), len(members)
    _names(file, "simulation_parameters", list(constant))
    for parameter, value in constant.items():
        file.attrs[parameter] = value


def _write_series(scalars: h5py.Group, dataset: Dataset, members: Sequence[int]) -> None:
    """Scalars that change in time, which the reader keeps as an attribute."""
    series = dataset.attributes.get("scalars", {})
    for name, values in series.items():
        rows = np.asarray(values, dtype="f4")[list(members), : int(dataset.lengths[0])]
        _array(scalars, name, rows, sample=True, time=True)
    _names(scalars, "field_names", [*dataset.parameters, *series])


def _write_dimensions(file: h5py.File, dataset: Dataset, members: Sequence[int]) -> None:
    group = file.create_group("dimensions")
    _names(group, "spatial_dims", [axis.name for axis in dataset.axes])
    own, frames = dataset.times.ndim == 2, int(dataset.lengths[0])
    times = dataset.times[list(members)] if own else dataset.times
    _array(group, "time", times[..., :frames].astype("f4"), sample=own, time=True).attrs["units"] = dataset.time_units
    for axis in dataset.axes:
        values = axis.coordinates.astype("f4")
        _array(group, axis.name, values, sample=False, time=False).attrs["units"] = axis.units


def _write_boundaries(file: h5py.File, dataset: Dataset, members: Sequence[int]) -> None:
    group = file.create_group("boundary_conditions")
    stated = dataset.attributes.get("boundaries", {})
    for axis in dataset.axes:
        ends = stated.get(axis.name) if isinstance(stated, dict) else None
        first, last = ends if ends and len(ends) == 2 else (axis.boundary, axis.boundary)
        for kind in sorted({first, last} - {""}):
            mask = np.zeros(len(axis.coordinates), dtype=bool)
            mask[0], mask[-1] = first == kind, last == kind
            _boundary(group, f"{axis.name}_{kind}", kind, [axis.name], mask)
    solid = shared_mask(dataset, members)
    if solid is not None:
        _boundary(group, "mask", "wall", [axis.name for axis in dataset.axes], solid)


def _boundary(group: h5py.Group, name: str, kind: str, dims: list[str], mask: np.ndarray) -> None:
    condition = group.create_group(name)
    condition.attrs["bc_type"] = kind.upper()
    condition.attrs["sample_varying"] = condition.attrs["time_varying"] = False
    _names(condition, "associated_dims", dims)
    _names(condition, "associated_fields", [])
    condition.create_dataset("mask", data=mask)
    condition.create_dataset("values", data=np.zeros(int(mask.sum()), dtype="f4"))


def _make_fields(file: h5py.File, dataset: Dataset, count: int) -> Iterator[tuple[h5py.Dataset, list[int], int]]:
    """Each field made, with its channels and tensor order."""
    names: dict[int, list[str]] = {0: [], 1: [], 2: []}
    for order in names:
        file.create_group(ORDERS[order])
    place = {channel.name: i for i, channel in enumerate(dataset.channels)}
    for order, channels in _ordered(dataset):
        static, name = channels[0].static, channels[0].field if order else channels[0].name
        lead = (count,) if static else (count, int(dataset.lengths[0]))
        shape = (*lead, *dataset.shape, *(len(dataset.axes),) * order)
        field = file[ORDERS[order]].create_dataset(name, shape, "f4")
        field.attrs["dim_varying"] = np.ones(len(dataset.axes), dtype=bool)
        field.attrs["sample_varying"], field.attrs["time_varying"] = True, not static
        field.attrs["units"] = channels[0].units
        if order == 2:
            field.attrs["symmetric"] = field.attrs["antisymmetric"] = False
        names[order].append(name)
        yield field, [place[channel.name] for channel in channels], order
    for order, listed in names.items():
        _names(file[ORDERS[order]], "field_names", listed)


def _ordered(dataset: Dataset) -> list[tuple[int, tuple[Channel, ...]]]:
    """Tensor order and channels of each field, scalars first, in the order The Well lists them."""
    fields: list[tuple[int, tuple[Channel, ...]]] = []
    for _, group in groupby(dataset.channels, key=lambda channel: (channel.field, channel.static)):
        channels = tuple(group)
        order = _order_of(channels, [axis.name for axis in dataset.axes])
        fields += [(order, channels)] if order else [(0, (channel,)) for channel in channels]
    return sorted(fields, key=lambda field: field[0])


def _order_of(channels: tuple[Channel, ...], axes: list[str]) -> int:
    components = [channel.component for channel in channels]
    for order in (1, 2):
        if components == ["".join(names) for names in product(axes, repeat=order)]:
            return order
    return 0


def _stored(u: np.ndarray, order: int, *, static: bool) -> np.ndarray:
    """(time, component, *space) as ([time,] *space, D, ...)."""
    u = u[0] if static else u
    axis = 0 if static else 1
    if not order:
        return u.take(0, axis=axis)
    u = np.moveaxis(u, axis, -1)
    side = round(u.shape[-1] ** (1 / order))
    return u.reshape(*u.shape[:-1], *(side,) * order)


def _array(group: h5py.Group, name: str, values: np.ndarray, *, sample: bool, time: bool) -> h5py.Dataset:
    array = group.create_dataset(name, data=values)
    array.attrs["sample_varying"], array.attrs["time_varying"] = sample, time
    return array


def _names(item: h5py.Group, name: str, values: list[str]) -> None:
    item.attrs.create(name, np.array(values, dtype=object), shape=(len(values),), dtype=h5py.string_dtype())


def _stats_tables(channels: Sequence[Channel], statistics: Statistics) -> dict[str, dict[str, Any]]:
    tables: dict[str, dict[str, Any]] = {}
    for name in MOMENTS:
        values, table, first = getattr(statistics, name), {}, 0
        for (field, static), group in groupby(channels, key=lambda channel: (channel.field, channel.static)):
            count = len(tuple(group))
            part = values[first : first + count].tolist()
            first += count
            if static and name.endswith("delta"):
                continue
            side = round(count**0.5)
            is_tensor = count > 3 and side**2 == count
            table[field] = part[0] if count == 1 else np.reshape(part, (side, side)).tolist() if is_tensor else part
        tables[name] = table
    return tables
