"""Where a PDEGym set lies in a folder: as one file, or as the shards it is published in, which need no assembling."""

from __future__ import annotations

import re
from pathlib import Path

from .pdegym_record import PDEGymSet

_MANY = 10_000  # shards: numbers above are a slip of somebody
_SHARD = re.compile(r"(velocity|data|solution)_(\d+)\.nc")


def natural_key(name: str) -> list[tuple[int, str]]:
    """A key by which names sort as people count: ``velocity_9`` before ``velocity_10``."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)]


def found_files(entry: PDEGymSet, folder: str | Path, *, loose: bool = True) -> tuple[Path, ...]:
    """The set's one file, or else its shards in order, or nothing.

    Looked for are, in this order: ``folder`` itself where it is a file, FOLDER/NAME.nc, FOLDER/NAME/NAME.nc, shards in
    FOLDER/NAME, and, if ``loose``, shards in FOLDER, whose names do not tell the set.
    """
    folder = Path(folder)
    if folder.is_file():
        return (folder,)
    for place in (folder, folder / entry.repository):
        if (place / entry.file).is_file():
            return (place / entry.file,)
    return shards(folder / entry.repository) or (shards(folder) if loose else ())


def require_files(entry: PDEGymSet, folder: str | Path) -> tuple[Path, ...]:
    """``found_files``, of which there must be some.

    Raises:
        ValueError: there are none.
    """
    files = found_files(entry, folder)
    if not files:
        raise ValueError(
            f"Expected {entry.file}, or shards such as {entry.repository}/{entry.variable}_0.nc, in {folder}, found "
            f"neither. Download the data set camlab-ethz/{entry.repository} of the Hugging Face Hub into it."
        )
    return files


def shards(folder: Path) -> tuple[Path, ...]:
    """The shards in a folder, in the order of their numbers."""
    if not folder.is_dir():
        return ()
    return tuple(sorted((path for path in folder.iterdir() if _SHARD.fullmatch(path.name)), key=shard_number))


def shard_number(path: Path) -> int:
    """The number in a shard's name; 0 for a whole file."""
    match = _SHARD.fullmatch(path.name)
    return int(match[2]) if match else 0


def missing_shards(files: tuple[Path, ...]) -> list[int]:
    """Numbers below the highest that no shard has. Whether more follow, their trajectories tell."""
    numbers = {shard_number(path) for path in files}
    return [number for number in range(min(max(numbers, default=0), _MANY)) if number not in numbers]
