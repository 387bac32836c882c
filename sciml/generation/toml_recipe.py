"""A recipe as a TOML file.

family = "navier-stokes-2d"
trajectories = 88
size = 64
splits = [64, 8, 16]

[parameters]
viscosity = 1e-3            # the same for all
amplitude = [0.5, 2.0]      # each trajectory draws its own
"""

from __future__ import annotations

import tomllib
from dataclasses import fields
from pathlib import Path

from sciml.generation.catalogue import family_named
from sciml.generation.errors import GenerationError
from sciml.generation.make import Progress, make
from sciml.generation.recipe import Recipe


def read_recipe(path: str | Path) -> Recipe:
    """The recipe in a TOML file: the fields of ``Recipe``, the family by its name.

    Raises:
        GenerationError: the file cannot be read, is not TOML, or its entries are not a recipe's.
    """
    path = Path(path)
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise GenerationError(f"{path}: cannot be read ({error.strerror}). Check the name.") from None
    except ValueError as error:
        raise GenerationError(f"{path}: is not TOML: {error}.") from None
    known = [field.name for field in fields(Recipe)]
    unknown = sorted(set(entries) - set(known))
    if unknown or "family" not in entries:
        problem = f"unknown entries {', '.join(unknown)}" if unknown else "no family"
        raise GenerationError(f"{path}: {problem}. Expected family and, where wanted, {', '.join(known[1:])}.")
    try:
        return Recipe(**{**entries, "family": family_named(entries["family"])})
    except ValueError as error:
        raise GenerationError(f"{path}: {error}") from None


def make_from_toml(
    path: str | Path,
    out: str | Path | None = None,
    *,
    workers: int = 1,
    dask_address: str | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Path:
    """``make`` the recipe in a TOML file; ``out`` is by default the file's name with ".h5" in the current folder.

    Raises:
        ValueError, GenerationError, GenerationInterrupted: as ``read_recipe`` and ``make`` do.
    """
    out = Path(Path(path).stem + ".h5") if out is None else out
    return make(
        read_recipe(path), out, workers=workers, dask_address=dask_address, overwrite=overwrite, progress=progress
    )
