"""A dataset as ``xarray.Dataset``: named, labelled, and read when looked at."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray
from xarray.core import indexing

from .channel import Channel
from .dataset import Dataset
from .reading import read_variable
from .variable import Variable


def xarray_view(dataset: Dataset) -> xr.Dataset:
    """One variable per channel, dims (trajectory, time, *space), without time if static; nothing is read yet.

    Trajectories shorter than the longest (or with fewer particles) are padded with NaN. Parameters are coordinates of
    ``trajectory``; times are a coordinate of ``time``, of (trajectory, time) where trajectories keep their own clocks.
    """
    fields = {
        channel.name: _view(dataset, variable, component, channel)
        for variable in dataset.variables
        for component, channel in enumerate(variable.channels)
    }
    return xr.Dataset(fields, coords=_coordinates(dataset), attrs=_attributes(dataset))


def _view(dataset: Dataset, variable: Variable, component: int, channel: Channel) -> xr.Variable:
    lazy = LazyChannel(dataset, variable, component)
    return xr.Variable(lazy.dims, indexing.LazilyIndexedArray(lazy), {"units": channel.units} if channel.units else {})


def _coordinates(dataset: Dataset) -> dict[str, Any]:
    frames = int(dataset.lengths.max(initial=0))
    time_dims = ("time",) if dataset.times.ndim == 1 else ("trajectory", "time")
    units = {"units": dataset.time_units} if dataset.time_units else {}
    # A coordinate that is no dimension's own may not bear its name.
    times = {"time" if len(time_dims) == 1 else "times": (time_dims, dataset.times[..., :frames], units)}
    space = {a.name: (a.name, a.coordinates, _axis_attributes(a.units, a.boundary)) for a in dataset.axes}
    parameters = {name: ("trajectory", values) for name, values in dataset.parameters.items() if name not in space}
    return {**times, **(space if dataset.kind == "grid" else {}), **parameters}


def _axis_attributes(units: str, boundary: str) -> dict[str, str]:
    return {name: value for name, value in (("units", units), ("boundary", boundary)) if value}


def _attributes(dataset: Dataset) -> dict[str, Any]:
    plain = {name: value for name, value in dataset.attributes.items() if isinstance(value, str | int | float)}
    return {**plain, "layout": dataset.layout, "notes": " ".join(dataset.notes)}


class LazyChannel(BackendArray):
    """One channel of all trajectories, for xarray to index."""

    def __init__(self, dataset: Dataset, variable: Variable, component: int) -> None:
        self.dataset, self.variable, self.component = dataset, variable, component
        self.is_static = "time" not in variable.axes
        space = tuple(axis.name for axis in dataset.axes) if dataset.kind == "grid" else ("node",)
        self.dims = ("trajectory", *(() if self.is_static else ("time",)), *space)
        points = dataset.shape if dataset.nodes is None else (int(dataset.nodes.max(initial=0)),)
        frames = () if self.is_static else (int(dataset.lengths.max(initial=0)),)
        self.shape = (len(dataset), *frames, *points)
        self.dtype = np.dtype(np.float64)
        self.dtype = self._probed_dtype() if len(dataset) else self.dtype

    def _probed_dtype(self) -> np.dtype:
        """That of one value if it is floating point, float32 at least, as ``Dataset.read``."""
        dtype = self._read(0, slice(0, 1), [slice(0, 1)] * (len(self.shape) - 1)).dtype
        return np.result_type(np.float32, dtype) if dtype.kind == "f" else np.dtype(np.float32)

    def __getitem__(self, key: indexing.ExplicitIndexer) -> np.ndarray:
        return indexing.explicit_indexing_adapter(key, self.shape, indexing.IndexingSupport.BASIC, self._basic)

    def _basic(self, key: tuple[int | slice, ...]) -> np.ndarray:
        """Integers and slices with positive step: read trajectory by trajectory."""
        as_slices = [entry if isinstance(entry, slice) else slice(entry, entry + 1) for entry in key]
        trajectories = range(*as_slices[0].indices(self.shape[0]))
        shape = [len(range(*entry.indices(n))) for entry, n in zip(as_slices, self.shape)]
        result = np.full(shape, np.nan, self.dtype)
        for place, trajectory in enumerate(trajectories):
            time, *space = [slice(0, 1), *as_slices[1:]] if self.is_static else as_slices[1:]
            block = self._read(trajectory, time, space)
            target = result[place]
            target[tuple(slice(0, n) for n in block.shape)] = block
        return np.asarray(result[tuple(slice(None) if isinstance(entry, slice) else 0 for entry in key)])

    def _read(self, trajectory: int, time: slice, space: list[slice]) -> np.ndarray:
        names = self.dims[1 if self.is_static else 2 :]
        ends = (int(self.dataset.lengths[trajectory]), *self._points(trajectory))
        window, *where = (slice(*entry.indices(n)) for entry, n in zip([time, *space], ends))
        stored = dict(zip(names, where))
        block = read_variable(self.variable, trajectory, window, stored, slice(self.component, self.component + 1))[
            :, 0
        ]
        counts = [len(range(*entry.indices(n))) for entry, n in zip(where, ends[1:])]
        frames = block.shape[0] if self.is_static else len(range(*window.indices(ends[0])))
        block = np.broadcast_to(block, (frames, *counts))
        return block[0] if self.is_static else block

    def _points(self, trajectory: int) -> tuple[int, ...]:
        return self.dataset.shape if self.dataset.nodes is None else (int(self.dataset.nodes[trajectory]),)
