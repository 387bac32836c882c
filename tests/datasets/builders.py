"""Files to the letter of each public layout, whose values tell where they belong.

The value at (sample, time, x, y, channel) is the number with those digits, so that any exchange of axes shows.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

WEIGHTS = {"sample": 10_000, "time": 1_000, "x": 100, "y": 10, "channel": 1, "z": 0.1, "node": 100}
SIZES = {"sample": 6, "time": 5, "x": 4, "y": 3, "channel": 2, "z": 2, "node": 4}


def coded(axes: Sequence[str], sizes: Mapping[str, int] = SIZES, *, dtype: str = "f4") -> np.ndarray:
    """An array over ``axes`` in that order: the sum of each index times the weight of its axis."""
    total = np.zeros([sizes[axis] for axis in axes])
    for place, axis in enumerate(axes):
        index = np.arange(sizes[axis]) * WEIGHTS[axis]
        total += index.reshape([-1 if other == place else 1 for other in range(len(axes))])
    return total.astype(dtype)


def frames(trajectory: int, space: Sequence[str], *, channels: int = 1, sizes: Mapping[str, int] = SIZES) -> np.ndarray:
    """What ``Dataset.read(trajectory)`` must return for a field written by ``coded``: (time, channel, *space)."""
    own = {**sizes, "channel": channels}
    return WEIGHTS["sample"] * trajectory + coded(("time", "channel", *space), own)


def write_h5(path: Path, arrays: Mapping[str, np.ndarray], attributes: Mapping[str, object] | None = None) -> Path:
    """Datasets by path, and root attributes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        for name, array in arrays.items():
            file[name] = array
        for name, value in (attributes or {}).items():
            file.attrs[name] = value
    return path


def write_pdebench(
    path: Path, names: Sequence[str], space: str, *, attributes: Mapping[str, float] | None = None, extra_time: int = 1
) -> Path:
    """The one-file family: fields differ by 0.5 each; t-coordinate one too long."""
    fields = {name: coded(("sample", "time", *space)) + 0.5 * i for i, name in enumerate(names)}
    grid = {f"{axis}-coordinate": (np.arange(SIZES[axis], dtype="f4") + 0.5) / SIZES[axis] for axis in space}
    clock = {"t-coordinate": np.arange(SIZES["time"] + extra_time, dtype="f4") * np.float32(0.05)}
    return write_h5(path, {**fields, **grid, **clock}, attributes)


def write_grouped(path: Path, seeds: Sequence[str], *, stored: Sequence[str], name: str, d: float = 0.1) -> Path:
    """One group per seed; the number of the seed in the list is the sample digit."""
    with h5py.File(path, "w") as file:
        for number, seed in enumerate(sorted(seeds)):
            group = file.create_group(seed)
            group["data"] = coded(stored) + WEIGHTS["sample"] * number
            for axis in stored:
                if axis in "xy":
                    group[f"grid/{axis}"] = np.linspace(-1, 1, SIZES[axis], dtype="f4")
            group["grid/t"] = np.linspace(0, 5, SIZES["time"], dtype="f4")
            group.attrs["config"] = f"name: {name}\nsim:\n  D: {d}\n  seed: {int(seed)}\n  tdim: 5\n"
    return path


def write_well(path: Path, fields: Sequence[tuple[str, int, str]], *, count: int = 3, spelling: str = "text") -> Path:
    """A Well file of fields (name, order, axes), axes of "btxy" among (sample, time, x, y)."""
    sizes = {**SIZES, "sample": count}
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file.attrs.update({"n_trajectories": count, "n_spatial_dims": 2, "grid_type": _spelled("cartesian", spelling)})
        file.attrs["dataset_name"] = "coded"
        file.attrs["simulation_parameters"] = ["nu"]
        file.attrs["nu"] = 0.01
        _well_dimensions(file, sizes)
        for order in range(3):
            group = file.create_group(f"t{order}_fields")
            group.attrs["field_names"] = [name for name, rank, _ in fields if rank == order]
        for name, order, letters in fields:
            _well_field(file, name, order, letters, sizes)
        boundaries = file.create_group("boundary_conditions")
        for axis, kind in (("x", "periodic"), ("y", "WALL")):
            group = boundaries.create_group(f"{axis}_{kind}")
            dims = _spelled(axis, spelling) if spelling == "bare" else [_spelled(axis, spelling)]
            group.attrs.update({"associated_dims": dims, "bc_type": _spelled(kind, spelling)})
            mask = np.zeros(SIZES[axis], bool)
            mask[[0, -1]] = True
            group["mask"] = mask
        file["additional_information/ignored"] = np.zeros(3)
    return path


def _spelled(text: str, spelling: str) -> object:
    return np.bytes_(text.encode()) if spelling == "bytes" else text


def _well_dimensions(file: h5py.File, sizes: Mapping[str, int]) -> None:
    group = file.create_group("dimensions")
    group.attrs["spatial_dims"] = ["x", "y"]
    for name, n in (("time", sizes["time"]), ("x", sizes["x"]), ("y", sizes["y"])):
        group[name] = np.linspace(0, 1, n, dtype="f4")
        group[name].attrs.update({"sample_varying": False, "time_varying": name == "time"})


def _well_field(file: h5py.File, name: str, order: int, letters: str, sizes: Mapping[str, int]) -> None:
    words = {"b": "sample", "t": "time", "x": "x", "y": "y"}
    values = coded([words[letter] for letter in letters], sizes)
    for rank in range(order):
        values = values[..., None] + np.arange(2, dtype="f4") * (2 if rank == 0 and order == 2 else 1)
    array = file.create_dataset(f"t{order}_fields/{name}", data=values)
    array.attrs["dim_varying"] = ["x" in letters, "y" in letters]
    array.attrs["sample_varying"] = "b" in letters
    array.attrs["time_varying"] = "t" in letters


METADATA = {
    "case": "TGV", "dim": 2, "dt": 0.01, "write_every": 10, "sequence_length_train": 4, "num_trajs_train": 2,
    "periodic_boundary_conditions": [True, False, True], "bounds": [[0.0, 1.0], [-1.0, 2.0]],
    "default_connectivity_radius": 0.1, "vel_mean": [0.0, 0.0], "vel_std": [1.0, 1.0],
    "acc_mean": [0.0, 0.0], "acc_std": [1.0, 1.0],
}  # fmt: skip


def write_lagrangebench(folder: Path, *, lengths: Mapping[str, Sequence[int]], nodes: Sequence[int] = (4, 3)) -> Path:
    """A directory with files of as many trajectories as lengths; sequence_length lies."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "metadata.json").write_text(json.dumps(METADATA))
    (folder / "force.py").write_text("raise SystemExit('executed')")
    for split, counts in lengths.items():
        arrays = {}
        for number, count in enumerate(counts):
            sizes = {**SIZES, "time": count, "node": nodes[number % len(nodes)]}
            arrays[f"{number:05d}/position"] = coded(("time", "node", "channel"), sizes)
            arrays[f"{number:05d}/particle_type"] = np.arange(sizes["node"], dtype="i8") % 3
        write_h5(folder / f"{split}.h5", arrays)
    return folder
