"""The datasets that ``sciml bench`` makes when it is given none."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from sciml.generation.bench_data import DEFAULT_BENCH
from sciml.generation.make import is_made, make

Counting = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]


def default_data(folder: Path, *, counting: Counting) -> list[Path]:
    """Make the default datasets in ``folder``, unless they are there.

    Args:
        folder: where they go.
        counting: shows progress: given a title, a context in which it is told (done, total) trajectories.

    Returns:
        Their files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for name, recipe in DEFAULT_BENCH.items():
        path = folder / f"{name}.h5"
        if not is_made(recipe, path):
            with counting(f"making {path.name}") as progress:
                make(recipe, path, workers=min(2, os.cpu_count() or 1), progress=progress)
        paths.append(path)
    return paths
