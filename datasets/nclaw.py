"""NCLaw's simulations as it saves them: ``<material>/shape_<i>/<geometry>/state/0000.pt``, 0001.pt, ..., a frame each.

P. Ma et al., "Learning Neural Constitutive Laws From Motion Observations for Generalizable PDE Dynamics", ICML 2023. A
frame is a dict of tensors of which positions x and velocities v (node, dimension) are read. Each ``state`` directory is
a trajectory, in the order of their paths. The files say neither the time step nor the box: those of NCLaw's own set-up
are assumed, and noted.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from .channel import Axis, Channel
from .dataset import Dataset
from .errors import DatasetError
from .pdegym_files import natural_key
from .torch_file import as_array, load_torch
from .variable import Selection, Variable

TIME_STEP = 5e-4
FRAME = re.compile(r"\d+\.pt")
DEPTH = 3
FIELDS = {"x": "position", "v": "velocity"}
REMEDY = "Expected a dict of tensors with x and v (node, dimension), as NCLaw saves it."


@dataclass(frozen=True)
class StateSource:
    """Positions or velocities (time, node, dimension), a file a frame.

    Attributes:
        folders: the state directory of each trajectory.
        names: of its frames, in order.
        key: "x" or "v".
        shapes: (node, dimension) of each trajectory.
    """

    folders: tuple[Path, ...]
    names: tuple[tuple[str, ...], ...]
    key: str
    shapes: tuple[tuple[int, int], ...]

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        time, *rest = selection
        folder, shape = self.folders[trajectory], self.shapes[trajectory]
        names = self.names[trajectory][time]
        if isinstance(names, str):
            return frame_array(folder / names, self.key, shape)[tuple(rest)]
        found = [frame_array(folder / name, self.key, shape)[tuple(rest)] for name in names]
        return np.stack(found) if found else np.empty(shape, np.float32)[tuple(rest)][None][:0]


def is_nclaw_directory(path: Path) -> bool:
    """Whether it is a state directory, or has one up to four levels below."""
    return bool(state_directories(path))


def state_directories(path: Path) -> list[Path]:
    """The directories of frames, in the order of their paths."""
    if path.name == "state":
        return [path] if _names(path) else []
    patterns = ["*/" * depth + "state" for depth in range(DEPTH + 1)]
    found = [folder for pattern in patterns for folder in path.glob(pattern) if folder.is_dir() and _names(folder)]
    return sorted(found, key=lambda folder: natural_key(str(folder)))


def open_nclaw_directory(path: Path) -> Dataset:
    """Open all simulations below a directory as one dataset.

    Raises:
        DatasetError: a frame that is missing, damaged, or holds more than tensors; or shapes that disagree.
    """
    folders = tuple(state_directories(path))
    names = tuple(_names(folder) for folder in folders)
    strides = [_stride(folder, frames) for folder, frames in zip(folders, names)]
    stride = max(strides)
    for folder, frames, own in zip(folders, names, strides):
        if own != stride and len(frames) > 1:
            problem = f"has every {own}-th frame, another trajectory every {stride}-th."
            raise DatasetError(folder, problem, remedy="Open them one by one.")
    shapes = tuple(_shape(folder / frames[0]) for folder, frames in zip(folders, names))
    dimensions = shapes[0][1]
    for folder, frames, shape in zip(folders, names, shapes):
        if shape[1] != dimensions:
            problem = f"has {shape[1]} dimensions, expected {dimensions}."
            raise DatasetError(folder / frames[0], problem, remedy="Open them one by one.")
    step = stride * TIME_STEP
    return Dataset(
        path=path,
        layout="nclaw",
        kind="particles",
        variables=tuple(
            Variable(
                _channels(field, dimensions), ("time", "node", "channel"), StateSource(folders, names, key, shapes)
            )
            for key, field in FIELDS.items()
        ),
        axes=tuple(Axis(name, np.array([0.0, 1.0]), boundary="wall") for name in "xyz"[:dimensions]),
        times=np.arange(max(len(frames) for frames in names)) * step,
        lengths=np.array([len(frames) for frames in names]),
        nodes=np.array([nodes for nodes, _ in shapes]),
        attributes={"simulations": [str(folder.relative_to(path).parent) for folder in folders]},
        notes=(f"No times and no box in the files: assumed {step:g} between frames, and the unit box with walls.",),
    )


def frame_array(file: Path, key: str, shape: tuple[int, int] | None = None) -> np.ndarray:
    """One tensor of a frame.

    Raises:
        DatasetError: no such tensor, or one of another shape.
    """
    values = _frame(file, file.stat().st_mtime_ns if file.exists() else 0).get(key)
    found = as_array(values)
    if found is None or found.ndim != 2 or found.shape[1] not in (2, 3) or (shape is not None and found.shape != shape):
        what = "missing" if values is None else f"of shape {tuple(getattr(values, 'shape', ()))}"
        wanted = "(node, 2 or 3)" if shape is None else str(shape)
        raise DatasetError(file, f"is {what}, expected shape {wanted}.", where=key, remedy=REMEDY)
    return found


# Positions and velocities of the same frames are read one after the other.
@lru_cache(maxsize=64)
def _frame(file: Path, modified: int) -> dict[str, object]:
    if not file.exists():
        raise DatasetError(file, "does not exist.", remedy="Open the directory again.")
    found = load_torch(file, remedy=f"Only tensors are loaded. {REMEDY}")
    if not isinstance(found, dict):
        raise DatasetError(file, f"holds a {type(found).__name__}.", remedy=REMEDY)
    return {name: found[name] for name in FIELDS if name in found}


def _names(folder: Path) -> tuple[str, ...]:
    found = [file.name for file in folder.iterdir() if FRAME.fullmatch(file.name)] if folder.is_dir() else []
    return tuple(sorted(found, key=lambda name: int(name.removesuffix(".pt"))))


def _stride(folder: Path, names: Sequence[str]) -> int:
    """The distance of the frames' numbers."""
    numbers = np.array([int(name.removesuffix(".pt")) for name in names])
    gaps = np.diff(numbers)
    stride = int(gaps.min()) if len(gaps) else 1
    if (gaps != stride).any():
        first = int(np.argmax(gaps != stride))
        width = len(names[0].removesuffix(".pt"))
        problem = f"has no frame {numbers[first] + stride:0{width}d}.pt after {names[first]}."
        raise DatasetError(folder, problem, remedy="Fetch it again.")
    return stride


def _shape(file: Path) -> tuple[int, int]:
    nodes, dimensions = frame_array(file, "x").shape
    return nodes, dimensions


def _channels(field: str, dimensions: int) -> tuple[Channel, ...]:
    return tuple(Channel(f"{field}_{c}", field=field, component=c) for c in "xyz"[:dimensions])
