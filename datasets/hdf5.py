"""Untrusted HDF5 read safely: links stay inside the file, types are plain numbers, sizes are believable.

HDF5 follows links into other files by itself (external links, external raw storage, virtual datasets), so every name is
resolved here, one link at a time, before h5py is asked for it.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .errors import DatasetError
from .handles import h5_file
from .variable import Selection

MAX_LINKS = 16
# Above this declared size, data must be stored: 10,000 to 1 is beyond every real field under every filter.
BELIEVABLE_BYTES = 1 << 26
BELIEVABLE_RATIO = 10_000
SHARE_OF_MEMORY = 0.5


@dataclass(frozen=True)
class H5Array:
    """A dataset of an HDF5 file, or one of the same name in each trajectory's group: a ``Source``.

    Attributes:
        path: the file.
        name: path of the dataset in it, or in each group.
        groups: one group per trajectory; () where one dataset holds all.
        shape: what every group's dataset must have; None where only one is read or any will do.
    """

    path: Path
    name: str
    groups: tuple[str, ...] = ()
    shape: tuple[int, ...] | None = None

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        """The values at ``selection``; reads nothing else.

        Raises:
            DatasetError: no such dataset, wrong shape, a corrupt chunk, or more than memory can hold.
        """
        name = f"{self.groups[trajectory]}/{self.name}" if self.groups else self.name
        array = dataset(h5_file(self.path), name)
        if self.shape is not None and array.shape != self.shape:
            raise DatasetError(self.path, f"has shape {array.shape}, expected {self.shape}.", where=name)
        return read(array, selection)


def dataset(file: h5py.File, name: str, *, sparse: bool = False) -> h5py.Dataset:
    """The dataset ``name`` of ``file``, checked: it lies in this file, holds plain numbers and a believable size.

    Args:
        file, name: where it is.
        sparse: whether most chunks may be missing, for readers of one entry of the first axis at a time.

    Raises:
        DatasetError: missing, a group, linked from or stored in another file, not numbers, or absurdly large.
    """
    found = resolve(file, name)
    if not isinstance(found, h5py.Dataset):
        raise DatasetError(file.filename, "is a group, expected a dataset.", where=name)
    _check_storage(file, found, name)
    _check_dtype(file, found, name)
    _check_size(file, found, name, sparse)
    return found


def dimension(file: h5py.File, name: str) -> int:
    """The length of a dimension scale, whose values may never have been written: netCDF has such for plain dimensions.

    Raises:
        DatasetError: missing, or not of one axis.
    """
    found = resolve(file, name)
    if not isinstance(found, h5py.Dataset) or found.shape is None or len(found.shape) != 1:
        raise DatasetError(file.filename, "is not a dimension.", where=name, remedy="Fetch the file again.")
    return int(found.shape[0])


def has(group: h5py.Group | h5py.Dataset, name: str) -> bool:
    """Whether the group has a link of that name. ``in`` would also open the file that an external link points to."""
    return isinstance(group, h5py.Group) and group.id.links.exists(name.encode())


def resolve(file: h5py.File, name: str) -> h5py.Group | h5py.Dataset:
    """The object ``name`` of ``file``, following soft links inside the file alone.

    Raises:
        DatasetError: missing, cyclic, or behind a link into another file.
    """
    try:
        return file[_plain_path(file, name)]
    except DatasetError:
        raise
    except (KeyError, OSError, RuntimeError, ValueError) as error:
        raise DatasetError(file.filename, f"cannot be opened: {_one_line(error)}.", where=name) from None


def _plain_path(file: h5py.File, name: str) -> str:
    """``name`` with every soft link replaced by what it points to."""
    done, left, links = "", [part for part in name.split("/") if part], 0
    while left:
        part = left.pop(0)
        here = f"{done}/{part}"
        kind = _link_kind(file, done, part)
        if kind == h5py.h5l.TYPE_EXTERNAL:
            remedy = "Links into other files are not followed: copy the data into this file with h5repack or h5copy."
            raise DatasetError(file.filename, "is an external link.", where=here, remedy=remedy)
        if kind == h5py.h5l.TYPE_SOFT:
            links += 1
            if links > MAX_LINKS:
                raise DatasetError(file.filename, "is a cyclic link.", where=name, remedy="Remove it.")
            parent = file[done or "/"]  # kept alive while its links are asked
            target = parent.id.links.get_val(part.encode()).decode(errors="replace")
            left = [step for step in target.split("/") if step] + left
            done = "" if target.startswith("/") else done
        else:
            done = here
    return done or "/"


def _link_kind(file: h5py.File, group: str, part: str) -> int:
    parent = file[group or "/"]
    if not has(parent, part):
        there = ", ".join(list(parent)[:8]) if isinstance(parent, h5py.Group) else "it is a dataset"
        raise DatasetError(file.filename, f"is missing; found: {there or 'nothing'}.", where=f"{group}/{part}")
    return parent.id.links.get_info(part.encode()).type


def _check_storage(file: h5py.File, array: h5py.Dataset, name: str) -> None:
    if array.external:
        remedy = "Copy it into this file with h5repack."
        raise DatasetError(file.filename, "keeps its values in another file.", where=name, remedy=remedy)
    if array.is_virtual and any(source.file_name != "." for source in array.virtual_sources()):
        remedy = "Copy it into this file with h5repack."
        raise DatasetError(file.filename, "is a virtual dataset over other files.", where=name, remedy=remedy)


def _check_dtype(file: h5py.File, array: h5py.Dataset, name: str) -> None:
    if array.dtype.kind not in "fiub":
        problem = f"has dtype {array.dtype}, expected floating point, integer or bool."
        raise DatasetError(file.filename, problem, where=name, remedy="Store plain numbers, one dataset per field.")


def _check_size(file: h5py.File, array: h5py.Dataset, name: str, sparse: bool) -> None:
    if array.shape is None:
        raise DatasetError(file.filename, "is an empty dataspace, expected an array.", where=name)
    declared, stored = math.prod(array.shape) * array.dtype.itemsize, array.id.get_storage_size()
    whole = array.chunks is None and not array.is_virtual
    read_at_once = declared // max(1, array.shape[0]) if sparse and array.shape else declared
    unbelievable = read_at_once > max(BELIEVABLE_BYTES, BELIEVABLE_RATIO * stored) or (
        sparse and declared and not stored
    )
    if (whole and declared > max(stored, 1 << 16)) or unbelievable:
        problem = f"declares shape {array.shape} ({_size(declared)}) but {_size(stored)} are stored."
        raise DatasetError(file.filename, problem, where=name, remedy="The file is damaged or was never filled.")
    if whole and stored > os.path.getsize(file.filename):
        problem = f"needs {_size(stored)}, more than the file has."
        raise DatasetError(file.filename, problem, where=name, remedy="The file is truncated: fetch it again.")


def read(array: h5py.Dataset, selection: Selection = ()) -> np.ndarray:
    """The values of ``array`` at ``selection``, all by default.

    Raises:
        DatasetError: a chunk cannot be decoded, or the selection would take more than half the free memory.
    """
    shape = selected_shape(array.shape, selection)
    need, free = math.prod(shape) * array.dtype.itemsize, available_memory()
    if need > SHARE_OF_MEMORY * free:
        problem = f"a read of shape {shape} needs {_size(need)}, {_size(free)} of memory are free."
        raise DatasetError(array.file.filename, problem, where=array.name, remedy="Read fewer frames at a time.")
    try:
        return np.asarray(array[selection])
    except (OSError, RuntimeError, ValueError, MemoryError) as error:
        remedy = "The file is damaged (fetch it again), or a compression filter is missing (pip install hdf5plugin)."
        problem = f"cannot be read: {_one_line(error)}."
        raise DatasetError(array.file.filename, problem, where=array.name, remedy=remedy) from None


def selected_shape(shape: tuple[int, ...], selection: Selection) -> tuple[int, ...]:
    """Shape of an array of ``shape`` at ``selection`` (integers and slices; what is left out is taken whole)."""
    entries = list(selection) + [slice(None)] * (len(shape) - len(selection))
    return tuple(len(range(*e.indices(n))) for e, n in zip(entries, shape, strict=True) if isinstance(e, slice))


def attribute(item: h5py.HLObject, name: str, default: Any = None) -> Any:
    """An attribute as plain Python: bytes decoded, arrays of strings as lists, numbers as numbers.

    Writers disagree whether a string is bytes or text, and a list of one a list: see also ``strings``.
    """
    try:
        value = item.attrs.get(name, default)
    except (OSError, RuntimeError, ValueError, TypeError) as error:
        problem = f"attribute {name!r} cannot be read: {_one_line(error)}."
        raise DatasetError(item.file.filename, problem, where=item.name) from None
    return default if isinstance(value, h5py.Empty) else plain(value)


def plain(value: Any) -> Any:
    """bytes -> str, NumPy scalars and arrays -> Python numbers and lists."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    return [plain(entry) for entry in value] if isinstance(value, list | tuple) else value


def strings(item: h5py.HLObject, name: str) -> list[str]:
    """An attribute that should be a list of strings; a bare string counts as one, a missing one as none."""
    value = attribute(item, name, [])
    return [str(entry) for entry in value] if isinstance(value, list) else [str(value)]


@lru_cache(maxsize=1)
def _total_memory() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def available_memory() -> int:
    """Bytes that can be had without swapping; half of what there is where the system does not say."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
    except (OSError, StopIteration, ValueError):
        return _total_memory() // 2


def _size(count: int) -> str:
    value, units = float(count), iter(("bytes", "kB", "MB", "GB", "TB"))
    unit = next(units)
    for larger in units:
        if value < 1000:
            break
        value, unit = value / 1000, larger
    return f"{value:.3g} {unit}"


def _one_line(error: Exception) -> str:
    return " ".join(str(error).strip("'\"").split()).rstrip(".")
