"""The dataset that ``sciml bench`` makes when it is given none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sciml.generation.default_bench import DEFAULT_BENCH
from sciml.generation.make import is_made, make


def default_data(folder: Path, *, announce: Callable[[str], None]) -> list[Path]:
    """Make the default datasets in ``folder``, unless they are there; returns their files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for recipe in DEFAULT_BENCH:
        path = folder / f"{recipe.family.name}.h5"
        if not is_made(recipe, path):
            announce(f"making {path} ({recipe.trajectories} trajectories of {recipe.family.name})")
            make(recipe, path, workers=2)
        paths.append(path)
    return paths
