"""GIOROM's particles: train, test, rollout and rollout_full, each .pt or .obj, beside metadata.json.

H. Viswanath et al., GIOROM, 2024. Each file is a dict of lists with an entry an example: ``particle_type`` (node,) and
``position`` (node, time, dimension). Examples of train and test are windows of six frames, whose seventh is ``output``
(node, dimension): trajectories of seven frames here. Those of the rollouts are whole, and their output means nothing;
rollout_full has the same scenes with all particles. A file's examples are the split of its name.

Types are stored, but set to 5 whatever the material. .pt files hold tensors or arrays, and are mapped into memory; .obj
files are pickles, read whole, of which only arrays are rebuilt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .concatenate import concatenate
from .dataset import Dataset
from .errors import DatasetError
from .particles import check_positions, describe_particles
from .restricted_pickle import load_pickle
from .torch_file import as_array, load_torch
from .variable import Selection

NAMES = ("train", "test", "rollout", "rollout_full", "rollout_mid", "rollout_different_discs")
SUFFIXES = (".pt", ".obj")
REMEDY = "Expected a dict of lists: particle_type (node,) and position (node, time, dimension) of each example."


@dataclass(frozen=True, eq=False)
class Examples:
    """The lists of one file as they are stored; ``output`` is None where it means nothing."""

    position: Sequence[Any]
    particle_type: Sequence[Any]
    output: Sequence[Any] | None


@dataclass(frozen=True)
class ExampleSource:
    """Positions (time, node, dimension), or types (node,), of the examples of a file."""

    path: Path
    part: str

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        found = examples(self.path)
        if self.part == "types":
            return _array(self.path, found.particle_type[trajectory], "particle_type", trajectory)[selection]
        frames = _array(self.path, found.position[trajectory], "position", trajectory).swapaxes(0, 1)
        if found.output is not None:
            frames = np.concatenate([frames, _array(self.path, found.output[trajectory], "output", trajectory)[None]])
        return frames[selection]


def is_giorom_directory(path: Path) -> bool:
    """Whether it has metadata.json and one of the files."""
    files = [path / f"{name}{suffix}" for name in NAMES for suffix in SUFFIXES]
    return (path / "metadata.json").is_file() and any(file.is_file() for file in files)


def is_giorom(path: Path) -> bool:
    """Whether a file is one of them: by its suffix, or a dict with positions beside metadata.json."""
    if path.suffix == ".obj":
        return True
    if path.suffix != ".pt" or not (path.parent / "metadata.json").is_file():
        return False
    found = _loaded(path)
    return isinstance(found, dict) and "position" in found


def open_giorom(path: Path) -> Dataset:
    """Open one file; its examples are the split of its name.

    Raises:
        DatasetError: a damaged file, a pickle that holds more than arrays, lists that disagree, or no metadata.json.
    """
    found = examples(path)
    shapes: list[tuple[int, int, int]] = []
    for number, position in enumerate(found.position):
        nodes, *rest = _array(path, position, "position", number).shape or (0,)
        more = 0 if found.output is None else 1
        frames = (rest[0] + more, nodes, *rest[1:]) if rest else (nodes,)
        shapes.append(check_positions(path, f"position {number}", frames, shapes[0][2] if shapes else None))
        _check_shape(path, found.particle_type[number], "particle_type", number, (nodes,))
        if found.output is not None:
            _check_shape(path, found.output[number], "output", number, (nodes, shapes[-1][2]))
    opened = describe_particles(
        path,
        path.parent / "metadata.json",
        layout="giorom",
        shapes=shapes,
        positions=ExampleSource(path, "positions"),
        types=ExampleSource(path, "types"),
    )
    return replace(opened, splits={path.stem: np.arange(len(opened))} if path.stem in NAMES else {})


def open_giorom_directory(path: Path) -> Dataset:
    """Open all files of a directory as one dataset; of a file that is there in both forms, the .pt.

    Raises:
        DatasetError: as ``open_giorom``.
    """
    forms = [[path / f"{name}{suffix}" for suffix in SUFFIXES] for name in NAMES]
    files = [next((file for file in form if file.is_file()), None) for form in forms]
    return concatenate(path, [open_giorom(file) for file in files if file is not None])


def examples(path: Path) -> Examples:
    """The lists of a file, kept for the next call.

    Raises:
        DatasetError: as ``open_giorom``.
    """
    found = _loaded(path)
    windows = not path.stem.startswith("rollout")
    wanted = ("position", "particle_type", "output") if windows else ("position", "particle_type")
    if not isinstance(found, dict):
        raise DatasetError(path, f"holds a {type(found).__name__}.", remedy=REMEDY)
    for name in wanted:
        if not isinstance(found.get(name), list | tuple) or not len(found[name]):
            problem = f"is {type(found.get(name)).__name__}, expected a list of arrays; there are {sorted(found)}."
            raise DatasetError(path, problem, where=name, remedy=REMEDY)
        if len(found[name]) != len(found["position"]):
            problem = f"has {len(found[name])} entries for {len(found['position'])} of position."
            raise DatasetError(path, problem, where=name, remedy=REMEDY)
    return Examples(found["position"], found["particle_type"], found["output"] if windows else None)


def _loaded(path: Path) -> Any:
    try:
        state = path.stat()
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({error.strerror}).", remedy="Check the path.") from None
    return _load(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=6)
def _load(path: Path, modified: int, size: int) -> Any:
    if path.suffix == ".obj":
        return load_pickle(path)
    return load_torch(path, remedy=f"Only tensors and arrays are loaded. {REMEDY}")


def _check_shape(path: Path, value: Any, name: str, number: int, expected: tuple[int, ...]) -> None:
    shape = _array(path, value, name, number).shape
    if shape != expected:
        raise DatasetError(path, f"has shape {shape}, expected {expected}.", where=f"{name} {number}", remedy=REMEDY)


def _array(path: Path, value: Any, name: str, number: int) -> np.ndarray:
    found = as_array(value)
    if found is None:
        problem = f"is a {type(value).__name__}, expected an array of numbers."
        raise DatasetError(path, problem, where=f"{name} {number}", remedy=REMEDY)
    return found
