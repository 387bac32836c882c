"""``make``: a recipe in, a dataset file out."""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from sciml.datasets.header import Header
from sciml.generation.errors import GenerationError, GenerationInterrupted
from sciml.generation.executors import in_pool, in_process, on_cluster
from sciml.generation.provenance import attributes, stored_recipe
from sciml.generation.recipe import SPLITS, Recipe
from sciml.generation.shard import Shard
from sciml.generation.store import ShardStore, differences, locked, parts_of

Progress = Callable[[int, int], None]
"""``(done, total)`` trajectories; the first call tells what was kept from an earlier run."""


def make(
    recipe: Recipe,
    out: str | Path,
    *,
    workers: int = 1,
    dask_address: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Write the dataset of ``recipe`` to ``out``, in this project's own layout.

    The bytes depend on the recipe alone: not on the executor, the number of workers, the order in which shards were
    finished, or on whether the run was killed and taken up again in between. (Another version of the software, or
    another kind of processor, may differ in the last bits.) Finished shards lie in ``OUT.parts`` and survive anything;
    calling ``make`` again goes on from them. A finished file of the same recipe is left as it is.

    Args:
        recipe: what to make.
        out: the file to write.
        workers: processes on this machine.
        dask_address: a dask.distributed scheduler to use instead, such as "tcp://10.0.0.1:8786". Its workers need this
            package, not this file system.
        overwrite: replace a file, or unfinished work, of another recipe.
        progress: called with ``(done, total)`` trajectories.

    Returns:
        ``out``.

    Raises:
        ValueError: workers or dask_address make no sense.
        GenerationError: something else lies at ``out``; a trajectory does not stay finite; the disk is full or
            read-only; the cluster cannot be reached.
        GenerationInterrupted: the user pressed Ctrl-C.
    """
    execute = _executor(workers, dask_address)
    out = Path(out)
    if is_made(recipe, out, overwrite=overwrite):
        shutil.rmtree(parts_of(out), ignore_errors=True)
        _tell(progress, recipe.trajectories, recipe)
        return out
    store = ShardStore(out, recipe, _header(recipe))
    try:
        store.folder.mkdir(parents=True, exist_ok=True)
        with locked(store.folder):
            store.prepare(overwrite=overwrite)
            _check_space(store)
            _fill(store, execute, progress)
            store.merge()
        store.remove()
    except KeyboardInterrupt:
        raise GenerationInterrupted(f"Stopped. {_kept(store)} Run the same command again to go on.") from None
    except OSError as error:
        raise GenerationError(_disk_message(store, error)) from error
    return out


def is_made(recipe: Recipe, out: str | Path, *, overwrite: bool = False) -> bool:
    """Whether ``out`` is the finished dataset of this recipe.

    Raises:
        GenerationError: something else lies there, and not ``overwrite``.
    """
    out = Path(out)
    if not out.exists():
        return False
    found = _recipe_in(out)
    if found == json.loads(json.dumps(recipe.describe())):
        return True
    if overwrite and out.is_file():
        return False
    what = (
        "is not a generated dataset" if found is None else f"was made by another recipe ({differences(found, recipe)})"
    )
    raise GenerationError(f"{out} {what}. Choose another file, or overwrite it.")


def _fill(store: ShardStore, execute: Callable[..., Iterator[Shard]], progress: Progress | None) -> None:
    """Make and write the shards that are missing."""
    recipe, missing = store.recipe, store.missing()
    done = recipe.trajectories - sum(len(recipe.members(index)) for index in missing)
    _tell(progress, done, recipe)
    for shard in execute(recipe, missing):
        store.write(shard)
        done += len(shard.trajectories)
        _tell(progress, done, recipe)


def _executor(workers: int, dask_address: str | None) -> Callable[[Recipe, Sequence[int]], Iterator[Shard]]:
    if isinstance(workers, bool) or not isinstance(workers, int) or workers < 1:
        raise ValueError(f"Expected workers to be a whole number >= 1, got {workers!r}.")
    if dask_address is not None:
        if workers > 1:
            raise ValueError(f"Expected workers or dask_address, got workers={workers} and {dask_address!r}. Give one.")
        return lambda recipe, indices: on_cluster(recipe, indices, dask_address)
    if workers > 1:
        return lambda recipe, indices: in_pool(recipe, indices, workers)
    return in_process


def _header(recipe: Recipe) -> Header:
    return Header(
        channels=recipe.family.channels,
        axes=recipe.family.domain.box() if recipe.family.kind == "particles" else recipe.grid.axes(),
        times=recipe.times,
        parameters=recipe.family.parameter_units,
        splits=SPLITS,
        kind=recipe.family.kind,
        nodes=recipe.size if recipe.family.kind == "particles" else None,
        dtype=recipe.dtype,
        attributes=attributes(recipe),
    )


def _recipe_in(out: Path) -> Any:
    """The recipe that a file names, None for a file that names none."""
    try:
        with h5py.File(out, "r") as file:
            return stored_recipe({"generator": json.loads(file.attrs["generator"])})
    except (OSError, KeyError, ValueError, TypeError):
        return None


def _check_space(store: ShardStore) -> None:
    """Refuse before hours of work what cannot fit: the shards, and the merged file beside them."""
    recipe, family = store.recipe, store.recipe.family
    dynamic = sum(not channel.static for channel in family.channels)
    numbers = recipe.frames * dynamic + len(family.channels) - dynamic
    total = recipe.trajectories * numbers * recipe.points * np.dtype(recipe.dtype).itemsize
    there = sum(entry.stat().st_size for entry in store.folder.glob("shard-*.h5"))
    free = shutil.disk_usage(store.folder).free
    if 2 * total - there > free:
        raise GenerationError(
            f"{store.out} needs {2 * total / 1e9:.3g} GB while it is made (half of it in the end), and "
            f"{free / 1e9:.3g} GB are free there. Free some space, choose another place, or make fewer trajectories."
        )


def _disk_message(store: ShardStore, error: OSError) -> str:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) or "No space left" in str(error)
    cure = "Free some space" if full else "Make the folder writable, or choose another one"
    reason = "the disk is full" if full else (error.strerror or str(error))
    return f"Cannot write {store.out}: {reason}. {_kept(store)} {cure}, then run the same command again."


def _kept(store: ShardStore) -> str:
    shards = len(list(store.folder.glob("shard-*.json"))) if store.folder.is_dir() else 0
    return f"{shards} of {store.recipe.shards} shards of {store.out} are kept." if shards else "Nothing was written."


def _tell(progress: Progress | None, done: int, recipe: Recipe) -> None:
    if progress is not None:
        progress(done, recipe.trajectories)
