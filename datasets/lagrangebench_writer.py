"""LagrangeBench's layout, written: a directory of {train,valid,test}.h5 and metadata.json. See ``lagrangebench``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from .atomic import replacing_directory
from .dataset import Dataset
from .errors import DatasetError
from .lagrangebench import SPLITS
from .particle_statistics import motion_statistics, periods_of, position_names

Progress = Callable[[int, int], None]
CHUNK_BYTES = 1 << 18
FLUID, WALL, RIGID, LARGEST = 0, 1, 3, 8
# GNS has 3 for boundaries, 0 for rigid bodies, 5, 6, 7 for water, sand, goop.
OF_GNS = {0: RIGID, 3: WALL}
# What the suite's metadata have that a particle file need not know; null where neither it nor the caller says.
STATED = (
    "case", "solver", "density_evolution", "viscosity", "p_bg_factor", "g_ext_magnitude", "artificial_alpha",
    "free_slip", "is_bc_trick", "description",
)  # fmt: skip
SAMPLE = 512


def write_lagrangebench(
    dataset: Dataset, target: Path, *, metadata: Mapping[str, Any] | None = None, progress: Progress | None = None
) -> tuple[str, ...]:
    """Write particles as a directory that LagrangeBench reads; what could not be kept is returned.

    Positions are float32, and wrapped into the box along periodic axes. Statistics are those of fluid particles (type
    0) over all splits. Types of GNS and GIOROM become the suite's: materials fluid, boundaries walls.

    Args:
        dataset: particles with a position along each axis; a dataset without splits is all training data.
        target: a directory that does not exist yet.
        metadata: values for metadata.json instead of those found or computed, such as ``dx``, the distance of the
            particles, ``viscosity`` or ``case``.
        progress: called as ``progress(done, total)`` after each trajectory.

    Raises:
        DatasetError: no positions, no fluid particles, or a file that is damaged.
        ValueError: another split than train, valid and test; types the suite does not have; uneven times; a directory
            that exists.
    """
    position_names(dataset)
    splits = _splits(dataset)
    if target.exists():
        raise ValueError(f"Expected a directory that does not exist, got {target}. Remove it or choose another.")
    written = [int(number) for members in splits.values() for number in members]
    types = {number: _types(dataset, number) for number in written}
    described = _metadata(dataset, splits, types, target.name, metadata or {})
    done = 0
    with replacing_directory(target) as partial:
        partial.mkdir()
        for split, members in splits.items():
            with h5py.File(partial / f"{split}.h5", "w") as file:
                for row, number in enumerate(members):
                    _write_trajectory(file.create_group(f"{row:05d}"), dataset, int(number), types[int(number)])
                    done += 1
                    if progress:
                        progress(done, len(written))
        (partial / "metadata.json").write_text(json.dumps(described, indent=4))
    return _lost(dataset, splits)


def _splits(dataset: Dataset) -> dict[str, np.ndarray]:
    unknown = sorted(set(dataset.splits) - set(SPLITS))
    if unknown:
        raise ValueError(f"Expected splits out of {SPLITS}, got {unknown}. Rename them, or convert to native.")
    found = dict(dataset.splits) or {"train": np.arange(len(dataset))}
    found = {split: found[split] for split in SPLITS if split in found and len(found[split])}
    if not found:
        raise DatasetError(dataset.path, "has no trajectories.", remedy="There is nothing to convert.")
    return found


def _types(dataset: Dataset, number: int) -> np.ndarray:
    """Particle types (node,) in the suite's numbers; all fluid where there are none."""
    if "particle_type" not in [channel.name for channel in dataset.channels]:
        return np.zeros(int(dataset.nodes[number]) if dataset.nodes is not None else 0, np.int32)
    found = dataset.read(number, slice(0, 1), names=["particle_type"])[0, :, 0].astype(np.int32)
    if dataset.layout in ("gns", "giorom"):
        return np.select([found == old for old in OF_GNS], list(OF_GNS.values()), FLUID).astype(np.int32)
    if found.min(initial=0) < -1 or found.max(initial=0) > LARGEST:
        raise ValueError(
            f"Expected particle types from -1 to {LARGEST}, got {int(found.min())} to {int(found.max())} in trajectory "
            f"{number}. LagrangeBench has 0 fluid, 1 wall, 2 moving wall, 3 rigid body."
        )
    return found


def _write_trajectory(group: h5py.Group, dataset: Dataset, number: int, types: np.ndarray) -> None:
    names, frames = position_names(dataset), int(dataset.lengths[number])
    shape = (frames, len(types), len(names))
    step = int(np.clip(CHUNK_BYTES // max(4 * len(types) * len(names), 1), 1, frames))
    stored = group.create_dataset("position", shape, "f4", chunks=(step, *shape[1:]), compression="gzip")
    for start in range(0, frames, step):
        stored[start : start + step] = _wrapped(dataset, dataset.read(number, slice(start, start + step), names=names))
    group.create_dataset("particle_type", data=types)


def _wrapped(dataset: Dataset, position: np.ndarray) -> np.ndarray:
    """Positions outside of a periodic box moved into it; others as they are, bit for bit."""
    periods = periods_of(dataset)
    low = np.array([axis.coordinates[0] for axis in dataset.axes])
    outside = np.isfinite(periods) & ((position < low) | (position >= low + periods))
    if not outside.any():
        return position
    finite = np.where(np.isinf(periods), 1.0, periods)
    inside = (low + np.mod(position.astype(np.float64) - low, finite)).astype(np.float32)
    # What single precision rounds up to the upper end is the lower one.
    inside = np.where(inside >= (low + finite).astype(np.float32), low.astype(np.float32), inside)
    return np.where(outside, inside, position)


def _metadata(
    dataset: Dataset,
    splits: Mapping[str, np.ndarray],
    types: Mapping[int, np.ndarray],
    name: str,
    given: Mapping[str, Any],
) -> dict[str, Any]:
    known = {"case": name, **dataset.attributes, **given}
    dt, every = _clock(dataset, known)
    dx = float(known["dx"]) if known.get("dx") is not None else _spacing(dataset, next(iter(types)))
    radius = np.format_float_positional(1.45 * dx, precision=2, unique=False, fractional=False, trim="k")
    numbers, periodic = list(types), np.isfinite(periods_of(dataset)).tolist()
    frames = {split: int(dataset.lengths[members].max()) for split, members in splits.items()}
    later = next((split for split in ("test", "valid", "train") if split in splits), "train")
    first = "train" if "train" in splits else later
    statistics = motion_statistics(dataset, numbers, keep=[types[number] == FLUID for number in numbers])
    computed = {
        "dim": len(dataset.axes),
        "dx": dx,
        "dt": dt,
        "t_end": (max(frames.values()) - 1) * dt * every,
        "write_every": every,
        # The suite's numbers are one less than the frames: the last one is only a target.
        "sequence_length_train": frames[first] - 1,
        "num_trajs_train": len(splits[first]),
        "sequence_length_test": frames[later] - 1,
        "num_trajs_test": len(splits[later]),
        "num_particles_max": max(len(kinds) for kinds in types.values()),
        "periodic_boundary_conditions": [*periodic, *[all(periodic)] * (3 - len(periodic))],
        "bounds": [axis.coordinates[[0, -1]].tolist() for axis in dataset.axes],
        "default_connectivity_radius": known.get("default_connectivity_radius", float(radius)),
        **{name: getattr(statistics, name).tolist() for name in ("vel_mean", "vel_std", "acc_mean", "acc_std")},
    }
    return {**{name: _plain(known.get(name)) for name in STATED}, **computed, **given}


def _clock(dataset: Dataset, known: Mapping[str, Any]) -> tuple[float, int]:
    """The solver's step, and steps between frames: as stated where that agrees with the times."""
    if dataset.dt is None:
        raise ValueError(
            "Expected the same time between all frames, which is all LagrangeBench can say. Thin the frames, or "
            "convert to native."
        )
    dt, every = known.get("dt"), known.get("write_every", 1)
    if isinstance(dt, int | float) and isinstance(every, int) and np.isclose(dt * every, dataset.dt, rtol=1e-4):
        return float(dt), every
    return dataset.dt, 1


def _spacing(dataset: Dataset, number: int) -> float:
    """The median distance of nearest particles in a first frame, of some of them."""
    x = dataset.read(number, slice(0, 1), names=position_names(dataset))[0].astype(np.float64)
    if len(x) < 2:
        remedy = "Give metadata={'dx': ...}."
        raise DatasetError(dataset.path, f"has {len(x)} particles: their distance is not known.", remedy=remedy)
    periods, nearest = periods_of(dataset), []
    finite = np.where(np.isinf(periods), 0.0, periods)
    for chosen in np.unique(np.linspace(0, len(x) - 1, min(len(x), SAMPLE)).astype(int)):
        between = x - x[chosen]
        between -= finite * np.round(between / periods)
        nearest.append(np.partition(np.square(between).sum(-1), 1)[1])  # the nearest is itself
    return float(np.sqrt(np.median(nearest)))


def _plain(value: Any) -> Any:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else value


def _lost(dataset: Dataset, splits: Mapping[str, np.ndarray]) -> tuple[str, ...]:
    lost = []
    names = [channel.name for channel in dataset.channels if channel.field not in ("position", "particle_type")]
    if names:
        lost.append(f"Channels {names}: LagrangeBench has positions and types.")
    if any(channel.units for channel in dataset.channels) or dataset.time_units:
        lost.append("Units.")
    if dataset.parameters:
        lost.append(f"Parameters {sorted(dataset.parameters)}.")
    if dataset.layout in ("gns", "giorom"):
        lost.append("Materials: water, sand and goop are all fluid.")
    if not dataset.splits:
        lost.append("There were no splits: all trajectories are in train.")
    left = len(dataset) - sum(len(members) for members in splits.values())
    if left:
        lost.append(f"{left} trajectories that are in no split.")
    if len({int(dataset.lengths[n]) for members in splits.values() for n in members}) > len(splits):
        lost.append("Trajectories of different lengths: the suite takes those of a split to be equally long.")
    periodic = np.isfinite(periods_of(dataset))
    if periodic.any() and not periodic.all():
        lost.append("Walls: the suite takes a box to be periodic along all axes or none.")
    return tuple(lost)
