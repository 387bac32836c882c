"""What a generated file says of where it comes from."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

import h5py
import numpy as np
import torch

from sciml import __version__
from sciml.generation.recipe import Recipe


def software() -> dict[str, str]:
    """Versions of what the bytes come from; that of torch with its build, such as 2.13.0+cpu."""
    return {"sciml": __version__, "torch": str(torch.__version__), "numpy": np.__version__, "h5py": h5py.__version__}


def attributes(recipe: Recipe) -> dict[str, Any]:
    """The file's global attributes. No dates, host names or worker counts: the bytes depend on the recipe alone."""
    family = recipe.family
    return {
        "title": family.title,
        "source": f"sciml {__version__}, {family.name} version {family.version}: {family.equation}",
        "references": family.source,
        "generator": {"recipe": recipe.describe(), "command": command_line(recipe), "software": software()},
    }


def command_line(recipe: Recipe) -> str:
    """The command that makes the file again; FILE stands for its name."""
    words = ["sciml", "data", "make", recipe.family.name, "FILE"]
    for name in ("trajectories", "size", "frames", "dt", "seed", "dtype", "device", "shard_size", "supersample"):
        words += [f"--{name.replace('_', '-')}", str(recipe.describe()[name])]
    words += ["--splits", ",".join(map(str, recipe.splits))]
    for name, value in recipe.parameters.items():
        words += ["--set", f"{name}={_text(value)}"]
    return shlex.join(words)


def stored_recipe(file_attributes: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The recipe that a file's attributes name, None for a file of other origin."""
    generator = file_attributes.get("generator")
    return generator.get("recipe") if isinstance(generator, Mapping) else None


def _text(value: Any) -> str:
    return ":".join(map(repr, value)) if isinstance(value, (tuple, list)) else repr(value)
