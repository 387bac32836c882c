"""Reads single samples of a PDEGym set from its file or shards, as they are stored."""

from __future__ import annotations

import math
import os
from bisect import bisect_right
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .errors import DatasetError
from .frame_reader import LARGE_READ_BYTES, mapped
from .handles import h5_file
from .hdf5 import dataset, read, selected_shape
from .pdegym_record import PDEGymSet, Quantity
from .variable import Selection

MAX_SAMPLES = 1 << 22  # a hundred times the largest set


class PDEGymReader:
    """The samples of one file, or of shards one after the other, opened where they are read.

    Attributes:
        entry: which set it is.
        paths: the files.
        count: samples in all of them.
        frames: of each sample; 1 for a steady map.
        points: along each axis of space, as stored.
    """

    def __init__(self, entry: PDEGymSet, paths: tuple[Path, ...]) -> None:
        """Args:
            entry: what the files should be.
            paths: the files, in order.

        Raises:
            DatasetError: a file is missing, damaged, or not what it should be.
        """
        self.entry, self.paths = entry, paths
        sizes = [stored_shape(entry, path) for path in paths]
        for path, size in zip(paths, sizes):
            if size[1:] != sizes[0][1:]:
                problem = f"has samples of shape {size[1:]}, expected {sizes[0][1:]} as in {paths[0].name}."
                raise DatasetError(path, problem, where=entry.variable, remedy="Give shards of one set.")
        self._starts = tuple(accumulate((size[0] for size in sizes[:-1]), initial=0))
        self.count = sum(size[0] for size in sizes)
        if self.count > MAX_SAMPLES:
            raise DatasetError(paths[0], f"has {self.count} samples, expected {entry.count}.", remedy=_another(entry))
        shape = dict(zip(entry.axes, sizes[0]))
        self.frames, self.points = shape.get("time", 1), (shape["x"], shape["y"])
        self._arrays: dict[tuple[int, str], np.ndarray | h5py.Dataset] = {}
        self._owner = os.getpid()

    def variable(self, sample: int, frame: int) -> np.ndarray:
        """A frame of a sample: (channel, x, y), with as many channels as items are made of.

        Raises:
            DatasetError: the file is damaged there.
        """
        axes, name = self.entry.axes[1:], self.entry.variable
        entries: dict[str, int | slice] = {"time": frame, "channel": slice(0, channels_needed(self.entry))}
        values = self._read(name, sample, tuple(entries.get(axis, slice(None)) for axis in axes))
        return values if "channel" in axes else values[None]

    def named(self, name: str, sample: int) -> np.ndarray:
        """Another variable of a sample, without time: (x, y), or () for a number."""
        values = self._read(name, sample, ())
        if values.shape not in (self.points, (), (1,)):
            path, _, where = self._place(name, sample)
            raise DatasetError(path, f"has shape {values.shape}, expected {self.points} or ().", where=where)
        return values if values.shape == self.points else values.reshape(())

    def _read(self, name: str, sample: int, selection: Selection) -> np.ndarray:
        path, row, where = self._place(name, sample)
        if self.entry.grouped:
            return read(dataset(h5_file(path), where), selection)
        array = self._array(path, where)
        if not row < len(array):
            raise DatasetError(path, f"has {len(array)} samples, expected more than {row}.", where=where)
        whole: tuple[Any, ...] = (row, *selection)
        if isinstance(array, np.ndarray):
            return array[whole]
        if 8 * math.prod(selected_shape(array.shape, whole)) < LARGE_READ_BYTES:
            with suppress(OSError, RuntimeError, ValueError):  # read says what is wrong
                return np.asarray(array[whole])
        return read(array, whole)

    def _place(self, name: str, sample: int) -> tuple[Path, int, str]:
        """The file, the row in it, and the name there."""
        if self.entry.grouped:
            return self.paths[0], 0, f"Sample_{sample}/{name}"
        file = bisect_right(self._starts, sample) - 1
        return self.paths[file], sample - self._starts[file], name

    def _array(self, path: Path, name: str) -> np.ndarray | h5py.Dataset:
        """Opened once in each process, and again where it was closed."""
        if self._owner != os.getpid():
            self._arrays, self._owner = {}, os.getpid()
        key = (self.paths.index(path), name)
        array = self._arrays.get(key)
        if array is None or not (isinstance(array, np.ndarray) or bool(array)):
            stored = dataset(h5_file(path), name, sparse=True)
            whole = mapped(stored)
            array = self._arrays[key] = stored if whole is None else whole
        return array

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_arrays": {}}


def stored_shape(entry: PDEGymSet, path: Path) -> tuple[int, ...]:
    """Shape of the set's variable in a file, samples first.

    Raises:
        DatasetError: the file is damaged, or holds something else.
    """
    file = h5_file(path)
    if entry.grouped:
        return _grouped_shape(entry, path, file)
    shape = dataset(file, entry.variable, sparse=True).shape
    axes = f"({', '.join(entry.axes)})"
    if len(shape) != len(entry.axes):
        raise DatasetError(path, f"has shape {shape}, expected {axes}.", where=entry.variable, remedy=_another(entry))
    channels = dict(zip(entry.axes, shape)).get("channel", 1)
    if channels < channels_needed(entry):
        problem = f"has {channels} channels in shape {shape}, expected {channels_needed(entry)} or more as {axes}."
        raise DatasetError(path, problem, where=entry.variable, remedy=_another(entry))
    for name in others_needed(entry):
        expected, found = (shape[0], *shape[-2:]), dataset(file, name, sparse=True).shape
        if found != expected:
            raise DatasetError(path, f"has shape {found}, expected {expected}.", where=name, remedy=_another(entry))
    return shape


def channels_needed(entry: PDEGymSet) -> int:
    """Channels of the variable, from the first on, among which are all that items are made of."""
    return 1 + max(quantity.source for quantity in _quantities(entry) if isinstance(quantity.source, int))


def others_needed(entry: PDEGymSet) -> list[str]:
    """The names of the other variables that items are made of."""
    names = (quantity.source for quantity in _quantities(entry) if isinstance(quantity.source, str))
    return list(dict.fromkeys(names))


def _quantities(entry: PDEGymSet) -> tuple[Quantity, ...]:
    return (*entry.inputs, *entry.outputs)


def _grouped_shape(entry: PDEGymSet, path: Path, file: h5py.File) -> tuple[int, ...]:
    """Samples are known by their numbers, as in the reference: there are as many as the highest says."""
    numbers = [int(name[7:]) for name in file if name.startswith("Sample_") and name[7:].isdecimal()]
    if not numbers:
        raise DatasetError(path, "has no group Sample_0, Sample_1, ...", remedy=_another(entry))
    first = f"Sample_{min(numbers)}"
    shape = dataset(file, f"{first}/{entry.variable}").shape
    if len(shape) != 2:
        raise DatasetError(path, f"has shape {shape}, expected (x, y).", where=f"{first}/{entry.variable}")
    return (max(numbers) + 1, *shape)


def _another(entry: PDEGymSet) -> str:
    return f"Is it {entry.name}? See `sciml data info FILE`."
