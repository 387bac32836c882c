"""Heaps of variable-length strings walked before HDF5 walks them: a damaged one makes the library loop for ever.

A global heap collection (HDF5 File Format Specification, section III.E) is the signature GCOL, version 1, three
reserved bytes, its size, and objects of a header (index, references, reserved, size) and padded data. An object of
index 0 is the free space, whose size counts its header; HDF5 2.0 does not notice a size of zero there.
"""

from __future__ import annotations

import os
from pathlib import Path

from .errors import DatasetError

SIGNATURE = b"GCOL\x01\x00\x00\x00"
HEADER = 16
# Metadata mostly lies near an end of the file; looking through all of a large one would cost more than opening it.
REACH = 1 << 22


def check_heaps(path: Path) -> None:
    """Walk the heap collections near both ends of a file.

    Raises:
        DatasetError: one whose objects do not fill it.
    """
    size = os.path.getsize(path)
    with open(path, "rb") as file:
        for start in {0, max(0, size - REACH)}:
            file.seek(start)
            _check_part(path, file.read(REACH), start)


def _check_part(path: Path, part: bytes, start: int) -> None:
    at = part.find(SIGNATURE)
    while at >= 0:
        end = at + _number(part, at + 8)
        if end <= len(part) and not _is_sound(part, at + HEADER, end):
            remedy = "Fetch or write it again."
            raise DatasetError(path, f"has a damaged heap of strings at byte {start + at}.", remedy=remedy)
        at = part.find(SIGNATURE, at + 1)


def _is_sound(part: bytes, at: int, end: int) -> bool:
    while end - at >= HEADER:
        index, size = _number(part, at, 2), _number(part, at + 8)
        step = HEADER + (size + 7) // 8 * 8 if index else size
        if step < HEADER:
            return False
        at += step
    return at <= end


def _number(part: bytes, at: int, width: int = 8) -> int:
    return int.from_bytes(part[at : at + width], "little")
