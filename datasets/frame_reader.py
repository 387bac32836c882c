"""The hot path of training: frames of a grid, each field copied once, from where it lies to where it is wanted.

What ``Dataset.read`` decides at every call (which variable, which axes, is the file safe) is decided once here. Arrays
stored contiguously are mapped into memory, which reads a window in half the time of ``H5Dread``; others are read by
h5py from a dataset object that is kept. ``Dataset.read`` stays the reference, and takes over where this does not apply.
"""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np

from .dataset import Dataset
from .handles import h5_file
from .hdf5 import H5Array
from .hdf5 import dataset as checked
from .sources import InMemory, Joined
from .variable import Selection, Variable

# Above this a read goes through Dataset.read, which asks first whether memory holds it.
LARGE_READ_BYTES = 1 << 28


@dataclass(frozen=True, eq=False)
class Part:
    """Components of one variable that go to consecutive channels of the result.

    Attributes:
        variable: where they lie.
        components: which of its channels.
        first: the channel of the result the first goes to.
    """

    variable: Variable
    components: slice
    first: int


@dataclass(frozen=True, eq=False)
class Copy:
    """One part, ready to be copied: all that does not depend on the item has been worked out.

    Attributes:
        array: mapped, in memory, or a dataset of a file opened in this process.
        index: its selection, with a place to fill for the trajectory and the frames.
        sample, time: those places; None where it does not vary along them.
        transpose: brings the axes of the selection into the order (time, channel..., *space); None where they are.
        expand: adds the axes the selection lacks; None where it has all.
        channels: where it goes in the result.
        tensor: rows of a tensor field; 0 for a scalar or vector.
    """

    array: np.ndarray | h5py.Dataset
    index: tuple[Any, ...]
    sample: int | None
    time: int | None
    transpose: tuple[int, ...] | None
    expand: tuple[Any, ...] | None
    channels: slice
    tensor: int

    def into(self, u: np.ndarray, trajectory: int, frames: slice) -> None:
        """Copy frames of a trajectory into u (time, channel, *space)."""
        index = list(self.index)
        if self.sample is not None:
            index[self.sample] = trajectory
        if self.time is not None:
            index[self.time] = frames
        block = self.array[tuple(index)]
        if self.transpose is not None:
            block = block.transpose(self.transpose)
        if self.expand is not None:
            block = block[self.expand]
        target = u[:, self.channels]
        if self.tensor:
            target = target.reshape(len(u), self.tensor, -1, *u.shape[2:])
        target[...] = block


class FrameReader:
    """Reads frames of a ``Dataset`` as (time, channel, *space); pickled to a worker it opens its files anew there."""

    def __init__(self, opened: Dataset, names: Sequence[str] | None, *, space_stride: int, dtype: np.dtype) -> None:
        self._dataset, self._names, self._stride, self._dtype = opened, names, space_stride, np.dtype(dtype)
        self._starts, members = _members(opened)
        self._parts = [_parts(variables, names) for variables in members] if opened.kind == "grid" else []
        self._width = len(opened.channels) if names is None else len(names)
        self._points = tuple(-(-n // space_stride) for n in opened.shape)
        self._copies: dict[int, list[Copy]] = {}
        self._owner = os.getpid()

    def read(self, trajectory: int, frames: slice) -> np.ndarray:
        """Frames of one trajectory, a new array; ``frames`` lies inside the trajectory.

        Raises:
            DatasetError: the file is damaged there.
        """
        shape = (len(range(frames.start, frames.stop, frames.step)), self._width, *self._points)
        member = bisect_right(self._starts, trajectory) - 1
        if not self._parts or self._parts[member] is None or 8 * math.prod(shape) > LARGE_READ_BYTES:
            return self._read_checked(trajectory, frames)
        try:
            u = np.empty(shape, dtype=self._dtype)
            for copy in self._opened(member):
                copy.into(u, trajectory - self._starts[member], frames)
            return u
        except (OSError, RuntimeError, ValueError):
            return self._read_checked(trajectory, frames)  # reads it, or says what is wrong with the file

    def _read_checked(self, trajectory: int, frames: slice) -> np.ndarray:
        u = self._dataset.read(trajectory, frames, names=self._names, space_stride=self._stride)
        return u if u.dtype == self._dtype and u.flags.writeable else u.astype(self._dtype)

    def _opened(self, member: int) -> list[Copy]:
        """How to copy each part of a file, its arrays opened in this process."""
        if self._owner != os.getpid():
            self._copies, self._owner = {}, os.getpid()
        copies = self._copies.get(member)
        if copies is None or not all(_is_open(copy.array) for copy in copies):
            copies = [_copy(part, self._dataset, self._stride) for part in self._parts[member] or ()]
            self._copies[member] = copies
        return copies

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_copies": {}}


def _members(opened: Dataset) -> tuple[tuple[int, ...], list[tuple[Variable, ...]]]:
    """The files a dataset is joined of: number of the first trajectory of each, and its variables."""
    joined = [variable.source for variable in opened.variables if isinstance(variable.source, Joined)]
    if len(joined) < len(opened.variables):
        return (0,), [opened.variables]
    starts = joined[0].starts
    return starts, [tuple(_member(variable, number) for variable in opened.variables) for number in range(len(starts))]


def _member(variable: Variable, number: int) -> Variable:
    source = variable.source
    if not isinstance(source, Joined):
        return variable
    axes, sample = list(variable.axes), source.sample_axes[number]
    if sample is not None:
        axes.insert(sample, "sample")
    return Variable(variable.channels, tuple(axes), source.sources[number])


def _parts(variables: Sequence[Variable], names: Sequence[str] | None) -> list[Part] | None:
    """The runs of channels that can be copied as one; None where a variable has to be taken apart otherwise."""
    home = {c.name: (variable, i) for variable in variables for i, c in enumerate(variable.channels)}
    picked = [home[name] for name in (home if names is None else names)]
    parts: list[Part] = []
    for channel, (variable, component) in enumerate(picked):
        last = parts[-1] if parts else None
        if last is not None and last.variable is variable and component == last.components.stop:
            parts[-1] = Part(variable, slice(last.components.start, component + 1), last.first)
        else:
            parts.append(Part(variable, slice(component, component + 1), channel))
    whole = all(part.components == slice(0, len(part.variable.channels)) for part in parts if _is_tensor(part.variable))
    plain = all(_is_plain(part.variable) for part in parts)
    return parts if whole and plain else None


def _is_tensor(variable: Variable) -> bool:
    return variable.axes.count("channel") > 1


def _is_plain(variable: Variable) -> bool:
    source = variable.source
    return isinstance(source, InMemory) or (isinstance(source, H5Array) and not source.groups)


def _copy(part: Part, opened: Dataset, stride: int) -> Copy:
    axes, tensor = part.variable.axes, _is_tensor(part.variable)
    entries: dict[str, Any] = {"sample": 0, "time": slice(None), "channel": slice(None) if tensor else part.components}
    entries |= {axis.name: slice(None, None, stride) for axis in opened.axes}
    order = _order(part.variable, opened)
    present = tuple(axis for axis in order if axis is not None)
    return Copy(
        array=_array(part.variable),
        index=tuple(entries[axis] for axis in axes),
        sample=axes.index("sample") if "sample" in axes else None,
        time=axes.index("time") if "time" in axes else None,
        transpose=None if list(present) == sorted(present) else present,
        expand=None if len(present) == len(order) else tuple(None if a is None else slice(None) for a in order),
        channels=slice(part.first, part.first + part.components.stop - part.components.start),
        tensor=math.isqrt(len(part.variable.channels)) if tensor else 0,
    )


def _order(variable: Variable, opened: Dataset) -> tuple[int | None, ...]:
    """For each axis of (time, channel..., *space): which axis of the selection it is; None where that lacks it."""
    stored = [axis for axis in variable.axes if axis != "sample"]
    numbered = [(axis, stored[:i].count(axis)) for i, axis in enumerate(stored)]
    channels = [("channel", i) for i in range(max(1, stored.count("channel")))]
    wanted = [("time", 0), *channels, *((axis.name, 0) for axis in opened.axes)]
    return tuple(numbered.index(axis) if axis in numbered else None for axis in wanted)


def _array(variable: Variable) -> np.ndarray | h5py.Dataset:
    source = variable.source
    if isinstance(source, InMemory):
        return source.array
    if not isinstance(source, H5Array):
        raise ValueError(f"Expected an HDF5 or in-memory source, got {source}.")
    stored = checked(h5_file(source.path), source.name)
    whole = mapped(stored)
    return stored if whole is None else whole


def mapped(stored: h5py.Dataset) -> np.ndarray | None:
    """The array as a read-only map of the file; None where it is not stored contiguously."""
    offset = stored.id.get_offset()
    if offset is None or stored.chunks is not None or not stored.size or stored.dtype.kind not in "fiu":
        return None
    whole = np.asarray(np.memmap(stored.file.filename, stored.dtype, "r", offset, stored.shape))
    # Trust, but verify: both ends must be what HDF5 reads there.
    ends: tuple[Selection, ...] = ((0,) * stored.ndim, (-1,) * stored.ndim)
    same = all(np.asarray(stored[end]).tobytes() == whole[end].tobytes() for end in ends)
    return whole if same else None


def _is_open(array: np.ndarray | h5py.Dataset) -> bool:
    return isinstance(array, np.ndarray) or bool(array)
