"""PDEGym files of the published shapes that hold only what is read: values by the formula of the recorded items."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import h5py
import numpy as np

from sciml.datasets.pdegym_record import PDEGymSet


def raw(n: int, t: int, c: int, points: tuple[int, int] = (128, 128)) -> np.ndarray:
    """The recorded items' field of trajectory n, frame t and channel c."""
    i, j = np.arange(points[0])[:, None], np.arange(points[1])
    return np.cos(0.7 * (n % 97) + 0.31 * t + 1.3 * c + 0.05 * i + 0.11 * j).astype("f4")


def airfoil(n: int, points: tuple[int, int]) -> np.ndarray:
    i, j = np.arange(points[0])[:, None], np.arange(points[1])
    return ((i + 2 * j + n) % 5 == 0).astype("f4")


def write_set(
    path: Path,
    entry: PDEGymSet,
    filled: Iterable[tuple[int, int]] = ((0, 0),),
    *,
    shape: tuple[int, ...] | None = None,
    first: int = 0,
) -> Path:
    """A file of the set (by default of its published shape) with the ``filled`` (trajectory, frame)s alone.

    ``first`` is the number of the trajectory that the file begins with, in the formula.
    """
    shape = entry.shape if shape is None else shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        if entry.grouped:
            _write_groups(file, shape)
            return path
        names = {quantity.source for quantity in entry.inputs if isinstance(quantity.source, str)}
        whole = tuple(1 if axis in ("sample", "time") else n for axis, n in zip(entry.axes, shape))
        main = file.create_dataset(entry.variable, shape, "f4", chunks=whole)
        others = {
            name: file.create_dataset(name, (shape[0], *shape[-2:]), "f4", chunks=(1, *shape[-2:])) for name in names
        }
        for n, t in filled:
            _fill(entry, main, others, n, t, first)
    return path


def _fill(entry: PDEGymSet, main: h5py.Dataset, others: dict[str, h5py.Dataset], n: int, t: int, first: int) -> None:
    points, number = main.shape[-2:], n + first
    if entry.name == "SE-AF":
        main[n] = np.stack([airfoil(number, points), raw(number, 0, 1, points)])
    elif "channel" in entry.axes:
        main[n, t] = np.stack([raw(number, t, c, points) for c in range(main.shape[2])])
    elif "time" in entry.axes:
        main[n, t] = raw(number, t, 0, points)
    else:
        main[n] = raw(number, 0, 3, points)
    for name, other in others.items():
        field = raw(number, 0, 7 if name == "c" else 0, points)
        other[n] = 2000 + 1000 * field if name == "c" else field


def _write_groups(file: h5py.File, shape: tuple[int, ...]) -> None:
    """Samples that repeat every 97, by hard links: few arrays for many groups."""
    for n in range(shape[0]):
        if n >= 97:
            file[f"Sample_{n}"] = file[f"Sample_{n % 97}"]
            continue
        group = file.create_group(f"Sample_{n}")
        group["a"], group["u"] = raw(n, 0, 0, shape[1:]).astype("f8"), raw(n, 0, 1, shape[1:]).astype("f8")
        group["bc"] = 0.25 + 0.001 * n
