"""Finished shards on disk, until they are merged into the dataset.

They lie in ``FILE.parts`` beside the file to be: each shard with a note of its checksum, written after it. A shard
counts only if its note is there and its checksum agrees, so that a run killed at any moment, or a damaged disk, costs
the shards concerned and nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py

from sciml.datasets.header import Header
from sciml.datasets.shards import merge_shards, write_shard
from sciml.generation.errors import GenerationError
from sciml.generation.provenance import software
from sciml.generation.recipe import Recipe
from sciml.generation.shard import Shard
from sciml.generation.space import ensure_room
from sciml.generation.verification import report


def parts_of(out: Path) -> Path:
    """The folder that holds the shards of ``out`` until it is finished."""
    return out.with_name(out.name + ".parts")


@dataclass(frozen=True)
class ShardStore:
    """The shards of one unfinished dataset.

    Attributes:
        out: the file to be.
        recipe: of all its shards.
        header: what the shards share.
    """

    out: Path
    recipe: Recipe
    header: Header

    @property
    def folder(self) -> Path:
        """Where the shards lie."""
        return parts_of(self.out)

    def prepare(self, *, overwrite: bool) -> None:
        """Make the folder, or check that the one that is there belongs to this recipe.

        Shards of the same recipe by other versions of the software are thrown away: a file half from each could be
        made again by neither.

        Raises:
            GenerationError: it holds shards of another recipe, and not ``overwrite``.
        """
        claim = {"recipe": self.recipe.describe(), "software": software()}
        found = _read_json(self.folder / "recipe.json")
        if found == claim:
            return
        if found is not None and found.get("recipe") != claim["recipe"] and not overwrite:
            raise GenerationError(
                f"{self.folder} holds unfinished work of another recipe "
                f"({differences(found.get('recipe'), self.recipe)}). Give that recipe again to finish it, "
                "choose another file, or overwrite."
            )
        for entry in self.folder.glob("*"):
            if entry.name != "lock":
                entry.unlink()
        _write_json(self.folder / "recipe.json", claim)

    def missing(self) -> list[int]:
        """The shards still to be made, in order."""
        return [index for index in range(self.recipe.shards) if not self._intact(index)]

    def write(self, shard: Shard) -> None:
        """Write a shard, then its note."""
        path = self.path(shard.index)
        ensure_room(self.folder, shard.size)
        write_shard(path, self.header, shard.trajectories, start=self.recipe.members(shard.index).start)
        _write_json(self._note(shard.index), {"sha256": _sha256(path), "violations": dict(shard.violations)})

    def merge(self) -> None:
        """Merge all shards, add the verification, and put the file in its place."""
        indices = range(self.recipe.shards)
        notes = [json.loads(self._note(index).read_text()) for index in indices]
        verification = report(self.recipe.family.invariants, [note["violations"] for note in notes])
        shards = [self.path(index) for index in indices]
        ensure_room(self.folder, sum(path.stat().st_size for path in shards))
        merged = merge_shards(self.folder / "merged.h5", shards)
        with h5py.File(merged, "r+") as file:
            file.attrs["verification"] = json.dumps({"finite": True, **verification})
        os.replace(merged, self.out)

    def remove(self) -> None:
        """Remove the shards."""
        shutil.rmtree(self.folder)

    def path(self, index: int) -> Path:
        """Where a shard lies."""
        return self.folder / f"shard-{index:06d}.h5"

    def _note(self, index: int) -> Path:
        return self.path(index).with_suffix(".json")

    def _intact(self, index: int) -> bool:
        note, path = _read_json(self._note(index)), self.path(index)
        return note is not None and path.is_file() and note.get("sha256") == _sha256(path)


def differences(found: Any, recipe: Recipe) -> str:
    """What differs between a stored recipe and this one, for a message."""
    if not isinstance(found, dict):
        return "without a recipe"
    wanted = recipe.describe()
    unlike = [name for name in wanted if found.get(name) != wanted[name]]
    return "; ".join(f"{name}: {found.get(name)} there, {wanted[name]} asked for" for name in unlike)


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the folder for this process alone; the lock goes with the process, however it ends.

    Raises:
        GenerationError: another process holds it.
    """
    try:
        import fcntl
    except ImportError:  # not on Windows, where two runs at once are the user's to avoid
        yield
        return
    with open(folder / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise GenerationError(
                f"Another process is at work in {folder}. Wait for it or stop it, then run again."
            ) from None
        yield


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _read_json(path: Path) -> Any:
    """What the file holds, None where it is absent or damaged."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _write_json(path: Path, content: Any) -> None:
    beside = path.with_name(path.name + ".tmp")
    beside.write_text(json.dumps(content))
    os.replace(beside, path)
