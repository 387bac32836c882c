"""GNS particles as .npz: {train,valid,test}.npz beside metadata.json.

Sanchez-Gonzalez et al., "Learning to Simulate Complex Physics with Graph Networks", ICML 2020, in the NumPy form of its
PyTorch ports: one entry per trajectory, or all of them in ``gns_data``, each (positions (time, node, dimension),
particle type or types[, material property]). These are object arrays, i.e. pickles: only arrays are rebuilt from them.
``gns_tfrecord`` reads the original files.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from .concatenate import concatenate
from .dataset import Dataset
from .errors import DatasetError
from .gns_tfrecord import open_gns_tfrecord
from .particles import check_positions, describe_particles
from .restricted_pickle import load_npz_member
from .variable import Selection

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Trajectory:
    """Positions (time, node, dimension), types (node,), and the material property (trajectory scalar) or None."""

    positions: np.ndarray
    types: np.ndarray
    material: float | None = None


@dataclass(frozen=True)
class NpzSource:
    """One part of the trajectories of an .npz file; the file is read once per process."""

    path: Path
    part: str

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        return getattr(trajectories(self.path)[trajectory], self.part)[selection]


def is_gns_directory(path: Path) -> bool:
    """Whether it has metadata.json and an .npz or .tfrecord file of a split."""
    names = [path / f"{split}{suffix}" for split in SPLITS for suffix in (".npz", ".tfrecord")]
    return (path / "metadata.json").is_file() and any(name.is_file() for name in names)


def open_gns(path: Path) -> Dataset:
    """Open one .npz file; named train, valid or test, it is all of that split.

    Raises:
        DatasetError: a damaged file, a pickle that holds more than arrays, or no metadata.json beside it.
    """
    found = trajectories(path)
    shapes: list[tuple[int, int, int]] = []
    for number, one in enumerate(found):
        where = f"trajectory {number}"
        shapes.append(check_positions(path, where, one.positions.shape, shapes[0][2] if shapes else None))
        if one.types.shape != shapes[-1][1:2]:
            problem = f"has types of shape {one.types.shape} for {shapes[-1][1]} particles."
            raise DatasetError(path, problem, where=where)
    opened = describe_particles(
        path,
        path.parent / "metadata.json",
        layout="gns",
        shapes=shapes,
        positions=NpzSource(path, "positions"),
        types=NpzSource(path, "types"),
    )
    material = [one.material for one in found]
    return replace(
        opened,
        splits={path.stem: np.arange(len(opened))} if path.stem in SPLITS else {},
        parameters={} if None in material else {"material": np.array(material, dtype=np.float64)},
    )


def open_gns_directory(path: Path) -> Dataset:
    """Open all splits of a directory as one dataset; of a split that is there in both forms, the .tfrecord.

    Raises:
        DatasetError: as ``open_gns`` and ``open_gns_tfrecord``.
    """
    parts = []
    for split in SPLITS:
        for suffix, open_it in ((".tfrecord", open_gns_tfrecord), (".npz", open_gns)):
            if (path / f"{split}{suffix}").is_file():
                parts.append(open_it(path / f"{split}{suffix}"))
                break
    return concatenate(path, parts)


def trajectories(path: Path) -> tuple[Trajectory, ...]:
    """All trajectories of an .npz file, kept for the next call."""
    state = path.stat()
    return _trajectories(path, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=4)
def _trajectories(path: Path, modified: int, size: int) -> tuple[Trajectory, ...]:
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise DatasetError(path, f"is damaged: {error}.", remedy="Fetch it again.") from None
    if not names:
        raise DatasetError(path, "holds no arrays.", remedy="Expected gns_data, or one entry per trajectory.")
    members = {name: load_npz_member(path, name) for name in names}
    entries = list(members["gns_data"]) if "gns_data" in members else list(members.values())
    return tuple(_trajectory(path, entry, number) for number, entry in enumerate(entries))


def _trajectory(path: Path, entry: Any, number: int) -> Trajectory:
    parts: Sequence[Any] = entry if isinstance(entry, tuple | list) or _is_object(entry) else (entry, 0)
    try:
        positions = np.asarray(parts[0], dtype=np.float32)
        types = np.asarray(parts[1], dtype=np.float32)
        material = float(np.ravel(parts[2])[0]) if len(parts) > 2 else None
        nodes = positions.shape[1:2]
        return Trajectory(positions, np.broadcast_to(types, nodes) if types.size == 1 else types, material)
    except (ValueError, TypeError, IndexError):
        problem = f"is a {type(entry).__name__}, expected (positions (time, node, dimension), particle_type)."
        raise DatasetError(path, problem, where=f"trajectory {number}") from None


def _is_object(entry: Any) -> bool:
    return isinstance(entry, np.ndarray) and entry.dtype == object
