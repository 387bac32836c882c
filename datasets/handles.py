"""Open HDF5 files of this process: each opened once, on first use, never pickled and never shared over a fork."""

from __future__ import annotations

import os
from collections import OrderedDict
from pathlib import Path
from threading import Lock

import h5py

from .errors import DatasetError
from .heaps import check_heaps
from .signature import require_hdf5

LIMIT = 32

# (path, mtime, size) -> handle, least recently used first. A rewritten file gets a new key, hence a new handle.
_open: OrderedDict[tuple[str, int, int], h5py.File] = OrderedDict()
_owner = os.getpid()
_lock = Lock()


def h5_file(path: str | Path) -> h5py.File:
    """This process's read-only handle of a file. Do not close it.

    Raises:
        DatasetError: missing, unreadable, empty, truncated or not HDF5.
    """
    key = _key(Path(path))
    with _lock:
        _drop_after_fork()
        file = _open.get(key)
        if file is None or not file.id.valid:
            file = _open[key] = _opened(Path(path))
            while len(_open) > LIMIT:
                _open.popitem(last=False)  # closed when the last reader lets go of it
        _open.move_to_end(key)
        return file


def close_all() -> None:
    """Close every handle of this process, as before rewriting a file on a system that locks open files."""
    with _lock:
        while _open:
            _open.popitem()[1].close()


def _key(path: Path) -> tuple[str, int, int]:
    try:
        state = os.stat(path)
    except FileNotFoundError:
        raise DatasetError(path, "does not exist.", remedy="Check the path.") from None
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({error.strerror}).", remedy="Check its permissions.") from None
    return os.path.abspath(path), state.st_mtime_ns, state.st_size


def _drop_after_fork() -> None:
    # A handle inherited over a fork shares library state with the parent: forget it and open anew.
    global _owner
    if _owner != os.getpid():
        _open.clear()
        _owner = os.getpid()


def _opened(path: Path) -> h5py.File:
    require_hdf5(path)
    check_heaps(path)
    try:
        return _open_shared(path)
    except (OSError, RuntimeError, ValueError) as error:
        raise DatasetError(path, f"cannot be opened: {_reason(error)}.", remedy=_way_out(error)) from None


def _open_shared(path: Path) -> h5py.File:
    """With the library's default locking, so that others in this process can open the file too; else without."""
    try:
        return h5py.File(path, "r")
    except OSError as error:
        if "lock" not in str(error):
            raise
        return h5py.File(path, "r", locking=False)


def _reason(error: Exception) -> str:
    text = str(error)
    if "truncated" in text:
        return "the file is truncated"
    return text[text.find("(") + 1 : text.rfind(")")] or text if "(" in text else text


def _way_out(error: Exception) -> str:
    if "lock" in str(error):
        return "Another process is writing it: wait, or set HDF5_USE_FILE_LOCKING=FALSE."
    return "Fetch or write it again; `h5dump -H` shows what is left."
