"""Room on the disk, made sure of before HDF5 writes: it takes a full disk badly, down to killing the process."""

from __future__ import annotations

import errno
import os
from pathlib import Path

_OVERHEAD = 65536  # bytes of a file that are not fields
_UNSUPPORTED = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSYS)


def ensure_room(folder: Path, size: int) -> None:
    """Allocate and free again as much as a file of ``size`` bytes of fields will take.

    Raises:
        OSError: the disk is full, or a quota or a limit on file sizes stands in the way.
    """
    if not hasattr(os, "posix_fallocate"):  # not on macOS and Windows, where the free space was compared at the start
        return
    probe = folder / "room.tmp"
    try:
        with open(probe, "wb") as file:
            os.posix_fallocate(file.fileno(), 0, size + _OVERHEAD)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:
            raise
    finally:
        probe.unlink(missing_ok=True)
