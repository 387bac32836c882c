"""Which sets of PDEGym a folder holds, whole or in shards, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import DatasetError
from .pdegym_catalogue import PDEGYM
from .pdegym_files import found_files, missing_shards, shard_number
from .pdegym_reader import stored_shape
from .pdegym_record import PDEGymSet


@dataclass(frozen=True)
class Holding:
    """What a folder holds of a set.

    Attributes:
        entry: the set.
        paths: the file, or the shards.
        shape: of its variable over all of them; () where none could be read.
        size: bytes on disk.
        problems: what is wrong or missing, a sentence each; none for a whole set.
    """

    entry: PDEGymSet
    paths: tuple[Path, ...]
    shape: tuple[int, ...]
    size: int
    problems: tuple[str, ...]

    @property
    def state(self) -> str:
        """ "whole", "part", "unreadable" or "missing"."""
        if not self.paths:
            return "missing"
        if not self.shape:
            return "unreadable"
        return "part" if self.problems else "whole"

    @property
    def files(self) -> str:
        """The file's name, or the numbers of the shards."""
        if not self.paths:
            return ""
        if len(self.paths) == 1 and self.paths[0].name == self.entry.file:
            return self.paths[0].name
        return f"{self.entry.variable}_{{{_ranges([shard_number(path) for path in self.paths])}}}.nc"


def inventory(folder: str | Path) -> list[Holding]:
    """What a folder, or the folders in it that have the sets' names, holds of each set. Reads headers, not data.

    Raises:
        ValueError: there is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"Expected a folder of PDEGym files, got {folder}. Give the one that downloads went to.")
    return [_holding(entry, folder) for entry in PDEGYM]


def _holding(entry: PDEGymSet, folder: Path) -> Holding:
    # Shards without a folder of their set's name could be of any set.
    paths = found_files(entry, folder) if folder.name == entry.repository else found_files(entry, folder, loose=False)
    if not paths:
        wanted = f"{entry.file}, or {entry.repository}/{entry.variable}_0.nc, ..."
        return Holding(entry, (), (), 0, (f"Expected {wanted}.",))
    size = sum(path.stat().st_size for path in paths)
    shapes, problems = [], []
    for path in paths:
        try:
            shapes.append(stored_shape(entry, path))
        except (DatasetError, OSError) as error:
            problems.append(str(error))
    if gaps := missing_shards(paths):
        problems.append(f"No {entry.variable}_{{{_ranges(gaps)}}}.nc.")
    if not shapes:
        return Holding(entry, paths, (), size, tuple(problems))
    shape = (sum(found[0] for found in shapes), *shapes[0][1:])
    return Holding(entry, paths, shape, size, (*problems, *_differences(entry, shape)))


def _differences(entry: PDEGymSet, shape: tuple[int, ...]) -> list[str]:
    found = []
    if shape[0] < entry.count:
        found.append(f"{entry.count - shape[0]} of {entry.count} trajectories are missing.")
    if shape[1:] != entry.shape[1:]:
        found.append(f"Samples of shape {shape[1:]}, published {entry.shape[1:]}.")
    return found


def _ranges(numbers: Sequence[int]) -> str:
    """0, 1, 2, 5 as "0-2,5"."""
    runs: list[list[int]] = []
    for number in sorted(numbers):
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ",".join(str(a) if a == b else f"{a}-{b}" for a, b in runs)
