"""LagrangeBench: a directory of train.h5, valid.h5, test.h5 and metadata.json, or one of the files beside it.

Toshev et al., "LagrangeBench: A Lagrangian Fluid Mechanics Benchmarking Suite", NeurIPS 2023. One group per trajectory
with ``position`` (time, node, dimension) and ``particle_type`` (node,): fluid 0, wall 1, moving wall 2, rigid body
3, padding -1. Velocities are not stored; positions are wrapped into a periodic box.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np

from .concatenate import concatenate
from .dataset import Dataset
from .errors import DatasetError
from .handles import h5_file
from .hdf5 import H5Array, dataset, has, resolve
from .particles import check_positions, describe_particles

SPLITS = ("train", "valid", "test")


def is_lagrangebench(file: h5py.File) -> bool:
    """Whether the file has a group of positions per trajectory."""
    first = next(iter(file), None)
    group = None if first is None else resolve(file, first)
    return group is not None and has(group, "position")


def is_lagrangebench_directory(path: Path) -> bool:
    """Whether it has metadata.json and an HDF5 file of a split."""
    return (path / "metadata.json").is_file() and any((path / f"{split}.h5").is_file() for split in SPLITS)


def open_lagrangebench(path: Path) -> Dataset:
    """Open one file; named train, valid or test, it is all of that split.

    Raises:
        DatasetError: a trajectory without positions, shapes that disagree, or no metadata.json beside it.
    """
    file = h5_file(path)
    groups = tuple(sorted(file))
    shapes: list[tuple[int, int, int]] = []
    for group in groups:
        where = f"{group}/position"
        shapes.append(check_positions(path, where, dataset(file, where).shape, shapes[0][2] if shapes else None))
        _check_types(path, file, f"{group}/particle_type", shapes[-1][1])
    opened = describe_particles(
        path,
        path.parent / "metadata.json",
        layout="lagrangebench",
        shapes=shapes,
        positions=H5Array(path, "position", groups),
        types=H5Array(path, "particle_type", groups),
    )
    return replace(opened, splits={path.stem: np.arange(len(opened))} if path.stem in SPLITS else {})


def open_lagrangebench_directory(path: Path) -> Dataset:
    """Open all splits of a directory as one dataset.

    Raises:
        DatasetError: as ``open_lagrangebench``.
    """
    files = [path / f"{split}.h5" for split in SPLITS if (path / f"{split}.h5").is_file()]
    return concatenate(path, [open_lagrangebench(file) for file in files])


def _check_types(path: Path, file: h5py.File, where: str, nodes: int) -> None:
    shape = dataset(file, where).shape
    if shape != (nodes,):
        raise DatasetError(path, f"has shape {shape}, expected ({nodes},) as position has nodes.", where=where)
