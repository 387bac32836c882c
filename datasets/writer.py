"""Our own layout, written: NetCDF-4-compatible HDF5 that xarray, netCDF4, h5py and ncdump read.

At the root lie the dimensions sample, time and x[, y, z] (for particles: sample, time, node) as dimension scales, one
variable per field of shape (sample, time[, component], *space) or (sample, time, node[, component]), static fields
without time, each physical parameter as a (sample,) variable, ``length``, ``split`` and, where there is one, ``mask``.
The component axis comes before space because that is the order every operator takes: nothing is permuted on reading.
Groups hold what is not data: /statistics, and /checksums with the CRC-32 of each trajectory of each field.

Uncompressed fields are stored contiguously, compressed ones in chunks of whole frames. The bytes of a file depend on
nothing but what is written.
"""

from __future__ import annotations

import json
import os
import re
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from itertools import islice
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .atomic import replacing
from .channel import Channel
from .header import Header, Trajectory, field_rows
from .moments import MOMENTS, TrajectoryMoments, box_periods
from .statistics import Statistics

LAYOUT = "1"
CHUNK_BYTES = 1 << 16
LARGE_FRAME_BYTES = 1 << 24
Progress = Callable[[int, int], None]


@dataclass(frozen=True, eq=False)
class Row:
    """One trajectory as it is stored: padded with NaN, of the stored dtype."""

    values: dict[str, np.ndarray]
    length: int
    nodes: int
    split: int
    parameters: dict[str, float]
    times: np.ndarray | None = None
    mask: np.ndarray | None = None


def write_dataset(
    path: str | Path,
    header: Header,
    trajectories: Iterable[Trajectory],
    *,
    count: int | None = None,
    compression: int = 0,
    statistics: bool = True,
    progress: Progress | None = None,
) -> Path:
    """Write a whole file, trajectory by trajectory; it appears at ``path`` when it is complete.

    Args:
        path: the file; what is there is replaced at the end.
        header: what the trajectories share.
        trajectories: each is asked for once and forgotten once written.
        count: how many; by default ``len(trajectories)``.
        compression: level of gzip with byte shuffle, 0 for none: contiguous storage, 3 to 4 times as fast to read.
        statistics: store those of the split "train", or of all trajectories where none is in it.
        progress: called as ``progress(done, total)`` after each trajectory.

    Raises:
        ValueError: a trajectory does not fit the header, or there are not ``count`` of them.
    """
    if count is None:
        if not isinstance(trajectories, Sequence):
            raise ValueError(
                "Expected count with trajectories that have no len(). Give count=..., or use NativeWriter."
            )
        count = len(trajectories)
    rows = (row_of(header, trajectory) for trajectory in trajectories)
    return write_rows(path, header, rows, count, compression=compression, statistics=statistics, progress=progress)


def write_rows(
    path: str | Path,
    header: Header,
    rows: Iterable[Row],
    count: int,
    *,
    compression: int = 0,
    statistics: bool = True,
    progress: Progress | None = None,
) -> Path:
    """``write_dataset`` of rows that are padded already."""
    with replacing(path) as partial, h5py.File(partial, "w", libver=("earliest", "v110")) as file:
        sink = NativeFile(file, header, count, compression=compression, statistics=statistics)
        done = 0
        for done, row in enumerate(islice(rows, count + 1), 1):
            if done > count:
                raise ValueError(f"Expected {count} trajectories, got more.")
            sink.put(done - 1, row)
            if progress:
                progress(done, count)
        if done < count:
            raise ValueError(f"Expected {count} trajectories, got {done}.")
        sink.finish()
    return Path(path)


def row_of(header: Header, trajectory: Trajectory) -> Row:
    """A trajectory, checked against the header and padded.

    Raises:
        ValueError: it does not fit.
    """
    frames, values = len(header.times), field_rows(header, trajectory)
    nodes = trajectory.u.shape[1] if header.kind == "particles" else 0
    for channels in header.fields:
        name = channels[0].field
        lead = () if channels[0].static else (frames,)
        values[name] = _padded(values[name], (*lead, *_frame_shape(header, channels)), header.dtype)
    times = None if trajectory.times is None else _padded(trajectory.times, (frames,), "float64")
    mask = None if trajectory.mask is None else np.asarray(trajectory.mask, dtype=np.int8)
    split = header.splits.index(trajectory.split) if trajectory.split else -1
    parameters = {name: float(trajectory.parameters[name]) for name in header.parameters}
    return Row(values, len(trajectory.u), nodes, split, parameters, times, mask)


def _padded(values: np.ndarray, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    if values.shape == shape:
        return np.ascontiguousarray(values, dtype=dtype)
    whole = np.full(shape, np.nan, dtype=dtype)
    whole[tuple(slice(n) for n in values.shape)] = values
    return whole


def _frame_shape(header: Header, channels: tuple[Channel, ...]) -> tuple[int, ...]:
    components = (len(channels),) if len(channels) > 1 else ()
    return (*header.shape, *components) if header.kind == "particles" else (*components, *header.shape)


def frame_axes(header: Header, channels: tuple[Channel, ...]) -> tuple[str, ...]:
    """Dimension names of a frame of a field."""
    components = (f"{channels[0].field}_component",) if len(channels) > 1 else ()
    return (*header.space, *components) if header.kind == "particles" else (*components, *header.space)


class NativeFile:
    """A file with all its variables made and no row written yet; ``put`` each row, then ``finish``."""

    def __init__(self, file: h5py.File, header: Header, count: int, *, compression: int, statistics: bool) -> None:
        self._file, self._header, self._count, self._compression = file, header, count, compression
        _write_attributes(file, header)
        self._make_dimensions()
        self._make_variables()
        self._make_fields()
        periods = box_periods(header.kind, header.axes, header.channels)
        train, others = (TrajectoryMoments(len(header.channels), periods) for _ in range(2))
        self._moments = (train, others) if statistics else None

    def put(self, index: int, row: Row) -> None:
        """Write one trajectory."""
        file = self._file
        for name, values in row.values.items():
            file[name][index] = values
            file["checksums"][name][index] = checksum(values)
        file["length"][index], file["split"][index] = row.length, row.split
        for name, value in row.parameters.items():
            file[name][index] = value
        if self._header.kind == "particles":
            file["nodes"][index] = row.nodes
        if row.times is not None:
            file["times"][index] = row.times
        if row.mask is not None:
            file["mask"][index] = row.mask
            file["checksums/mask"][index] = checksum(row.mask)
        if self._moments:
            in_train = row.split >= 0 and self._header.splits[row.split] == "train"
            mask = row.mask if row.mask is not None else self._header.mask
            self._moments[0 if in_train else 1].add(_stacked(self._header, row), mask)

    def finish(self) -> None:
        """Write what only the last row completes."""
        if self._moments:
            train, others = self._moments
            of, moments = ("train", train) if train.values.count else ("all", others)
            result = moments.result()
            # A file may hold NaN; statistics that would be NaN are better absent.
            if all(np.isfinite(getattr(result, name)).all() for name in MOMENTS):
                write_statistics(self._file, self._header.channels, result, of=of)

    def _make_dimensions(self) -> None:
        header = self._header
        self._dimension("sample", self._count)
        if header.own_times:
            self._dimension("time", len(header.times))
        else:
            self._coordinate("time", header.times, units=header.time_units, axis="T", standard_name="time")
        for axis in header.axes:
            self._coordinate(axis.name, axis.coordinates, units=axis.units, boundary=axis.boundary)
        if header.kind == "particles":
            self._dimension("node", header.shape[0])
        for channels in header.fields:
            if len(channels) > 1:
                labels = [channel.component or str(i) for i, channel in enumerate(channels)]
                name = f"{channels[0].field}_component"
                self._file.create_dataset(name, data=labels, dtype=h5py.string_dtype()).make_scale(name)

    def _make_variables(self) -> None:
        header = self._header
        flags = np.arange(-1, len(header.splits), dtype=np.int8)
        self._variable("length", ("sample",), "i4", long_name="frames of each trajectory")
        self._variable("split", ("sample",), "i1", flag_values=flags, flag_meanings=" ".join(("none", *header.splits)))
        if header.kind == "particles":
            self._variable("nodes", ("sample",), "i4", long_name="particles of each trajectory")
        if header.own_times:
            self._variable("times", ("sample", "time"), "f8", units=header.time_units, standard_name="time")
        for name, units in header.parameters.items():
            self._variable(name, ("sample",), "f8", units=units)
        if header.mask is not None or header.own_masks:
            lead = ("sample",) if header.own_masks else ()
            flags = np.array([0, 1], dtype=np.int8)
            self._variable("mask", (*lead, *header.space), "i1", flag_values=flags, flag_meanings="inside outside")
        if header.mask is not None:
            self._file["mask"][...] = header.mask.astype(np.int8)

    def _make_fields(self) -> None:
        group = self._file.create_group("checksums")
        group.attrs["algorithm"] = "CRC-32 of a trajectory's values, little-endian, in C order, before compression"
        for channels in self._header.fields:
            lead = ("sample",) if channels[0].static else ("sample", "time")
            axes = (*lead, *frame_axes(self._header, channels))
            names = json.dumps([[channel.name, channel.component] for channel in channels])
            fill = np.full(1, np.nan, self._header.dtype)
            field, dtype = channels[0], self._header.dtype
            self._variable(field.field, axes, dtype, units=field.units, channels=names, _FillValue=fill)
        summed = [channels[0].field for channels in self._header.fields]
        for name in [*summed, "mask"] if self._header.own_masks else summed:
            self._variable(f"checksums/{name}", ("sample",), "u4")

    def _dimension(self, name: str, size: int) -> None:
        # A dimension without values: netCDF's own spelling of it.
        dataset = self._file.create_dataset(name, (size,), ">f4")
        dataset.make_scale(f"This is a netCDF dimension but not a netCDF variable.{size:10d}")

    def _coordinate(self, name: str, values: np.ndarray, **attributes: Any) -> None:
        dataset = self._file.create_dataset(name, data=np.asarray(values, dtype=np.float64))
        dataset.make_scale(name)
        _set(dataset, attributes)

    def _variable(self, name: str, axes: tuple[str, ...], dtype: str, **attributes: Any) -> None:
        shape = tuple(len(self._file[axis]) for axis in axes)
        stored, frames = np.dtype(dtype).newbyteorder("<"), len(shape) > 2 and self._compression
        if frames:
            chunks = chunk_shape(shape, stored.itemsize, static="time" not in axes)
            gzip = {"compression": "gzip", "compression_opts": self._compression, "shuffle": True}
            dataset = self._file.create_dataset(name, shape, stored, chunks=chunks, **gzip)
        else:
            dataset = self._file.create_dataset(name, shape, stored, dcpl=_contiguous())
        for i, axis in enumerate(axes):
            dataset.dims[i].attach_scale(self._file[axis])
        _set(dataset, attributes)


def chunk_shape(shape: tuple[int, ...], itemsize: int, *, static: bool) -> tuple[int, ...]:
    """Whole frames of one trajectory: one, or as many small ones as make 64 KiB; components apart in large frames."""
    if static:
        return (1, *shape[1:])
    frame = itemsize * int(np.prod(shape[2:]))
    if frame > LARGE_FRAME_BYTES and len(shape) > 5:
        return (1, 1, 1, *shape[3:])
    return (1, int(np.clip(CHUNK_BYTES // max(frame, 1), 1, max(shape[1], 1))), *shape[2:])


def write_statistics(file: h5py.File, channels: Sequence[Channel], statistics: Statistics, *, of: str) -> None:
    """Put statistics into an open file, in place of those there."""
    if "statistics" in file:
        del file["statistics"]
    group = file.create_group("statistics")
    group.attrs["split"], group.attrs["count"] = of, statistics.count
    names = group.create_dataset("channel", data=[channel.name for channel in channels], dtype=h5py.string_dtype())
    names.make_scale("channel")
    for name in MOMENTS:
        group.create_dataset(name, data=np.asarray(getattr(statistics, name), dtype=np.float64))
        group[name].dims[0].attach_scale(names)


def checksum(values: np.ndarray) -> int:
    """CRC-32 of an array's bytes, little-endian, in C order."""
    plain = np.ascontiguousarray(values, dtype=values.dtype.newbyteorder("<"))
    return zlib.crc32(plain.reshape(-1).view(np.uint8))


def _write_attributes(file: h5py.File, header: Header) -> None:
    given = {"Conventions": "CF-1.11", **header.attributes}
    given.setdefault("date_created", _build_date())
    for name, value in given.items():
        if value is not None:
            file.attrs[re.sub(r"[^\w.+@-]", "_", name)] = _stored(value)
    file.attrs["sciml_layout"], file.attrs["sciml_version"] = LAYOUT, _package_version()
    file.attrs["kind"] = header.kind
    file.attrs["fields"] = json.dumps([channels[0].field for channels in header.fields])
    file.attrs["axes"] = json.dumps([axis.name for axis in header.axes])
    file.attrs["parameters"] = json.dumps(list(header.parameters))


def _stored(value: Any) -> Any:
    """Text, a number, or JSON: what every netCDF library reads."""
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else json.dumps(value)


def _build_date() -> str | None:
    # https://reproducible-builds.org/specs/source-date-epoch/: no clock is read, for the same bytes every time.
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(int(epoch), UTC).isoformat() if epoch else None


def _package_version() -> str:
    try:
        return version("sciml")
    except PackageNotFoundError:
        return "unknown"


def _contiguous() -> h5py.h5p.PropDCID:
    # Space is taken at once, in order of creation: offsets do not depend on the order of writing.
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    return properties


def _set(item: h5py.Dataset, attributes: dict[str, Any]) -> None:
    for name, value in attributes.items():
        if not isinstance(value, str) or value:
            item.attrs[name] = value


def _stacked(header: Header, row: Row) -> np.ndarray:
    """(time, channel, *space) of a row without its padding."""
    parts = []
    for channels in header.fields:
        values = row.values[channels[0].field]
        values = values[None] if channels[0].static else values[: row.length]
        axis = 1 if header.kind == "grid" else values.ndim
        values = values if len(channels) > 1 else np.expand_dims(values, axis)
        values = values if header.kind == "grid" else values[:, : row.nodes].swapaxes(1, 2)
        parts.append(np.broadcast_to(values, (row.length, *values.shape[1:])))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)
