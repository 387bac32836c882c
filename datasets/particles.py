"""Particle trajectories as LagrangeBench and GNS store them: what the two layouts share, the box and the clock.

``metadata.json`` gives bounds, periodicity, dt and the statistics of the normalisation; its ``sequence_length`` counts
frames in some files and frames minus one in others, so lengths are taken from the positions. Executable companions
(``force.py``) are never run.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .channel import Axis, Channel
from .dataset import Dataset
from .errors import DatasetError
from .variable import Source, Variable

LARGEST_METADATA = 1 << 22
PARTICLE_TYPE = Channel("particle_type", static=True)


def read_metadata(file: Path) -> dict[str, Any]:
    """The metadata beside a particle file.

    Raises:
        DatasetError: missing, or not a JSON table.
    """
    if not file.is_file():
        raise DatasetError(file, "is missing: the box and the time step are there.", remedy="Fetch it with the data.")
    try:
        metadata = json.loads(file.read_bytes()[:LARGEST_METADATA])
    except (ValueError, OSError, RecursionError) as error:
        raise DatasetError(file, f"is not JSON: {error}.", remedy="Fetch it again.") from None
    if not isinstance(metadata, dict):
        raise DatasetError(file, "is not a JSON table.", remedy="Fetch it again.")
    return metadata


def describe_particles(
    path: Path,
    metadata_file: Path,
    *,
    layout: str,
    shapes: Sequence[tuple[int, int, int]],
    positions: Source,
    types: Source,
    types_per_particle: bool = True,
) -> Dataset:
    """A dataset of positions (time, node, dimension) and static particle types (node,).

    Args:
        path: what was opened.
        metadata_file: ``metadata.json``.
        layout: "lagrangebench" or "gns".
        shapes: of each trajectory's positions.
        positions: reads them.
        types: reads the types.
        types_per_particle: False where one type holds for all particles of a trajectory.
    """
    metadata = read_metadata(metadata_file)
    dimensions = shapes[0][2]
    names = "xyz"[:dimensions]
    channels = tuple(Channel(f"position_{c}", field="position", component=c) for c in names)
    frames = max(shape[0] for shape in shapes)
    step = _number(metadata_file, metadata, "dt", 1.0) * _number(metadata_file, metadata, "write_every", 1.0)
    return Dataset(
        path=path,
        layout=layout,
        kind="particles",
        variables=(
            Variable(channels, ("time", "node", "channel"), positions),
            Variable((PARTICLE_TYPE,), ("node",) if types_per_particle else (), types),
        ),
        axes=_box(metadata_file, metadata, names),
        times=np.arange(frames) * step,
        lengths=np.array([shape[0] for shape in shapes]),
        nodes=np.array([shape[1] for shape in shapes]),
        attributes=metadata,
    )


def check_positions(path: Path, where: str, shape: tuple[int, ...], dimensions: int | None) -> tuple[int, int, int]:
    """``shape`` if it is (time, node, 2 or 3), and of the same dimension as the others."""
    allowed = (2, 3) if dimensions is None else (dimensions,)
    if len(shape) != 3 or shape[2] not in allowed or shape[0] < 1:
        last = " or ".join(map(str, allowed))
        raise DatasetError(path, f"has shape {shape}, expected (time, node, {last}).", where=where)
    return shape[0], shape[1], shape[2]


def _number(file: Path, metadata: dict[str, Any], name: str, default: float) -> float:
    value = metadata.get(name, default)
    if not isinstance(value, int | float):
        raise DatasetError(file, f"is {value!r}, expected a number.", where=name)
    return float(value)


def _box(file: Path, metadata: dict[str, Any], names: str) -> tuple[Axis, ...]:
    """The box; ``periodic_boundary_conditions`` has three entries even in 2D."""
    try:
        bounds = np.asarray(metadata["bounds"], dtype=np.float64)[: len(names)]
    except (KeyError, ValueError, TypeError):
        bounds = np.empty(0)
    if bounds.shape != (len(names), 2):
        problem = f"is {metadata.get('bounds')!r}, expected [[low, high]] for each of {', '.join(names)}."
        raise DatasetError(file, problem, where="bounds")
    periodic = metadata.get("periodic_boundary_conditions", [])
    periodic = [bool(entry) for entry in periodic] if isinstance(periodic, list) else []
    kinds = [("periodic" if entry else "wall") for entry in periodic] + [""] * len(names)
    return tuple(Axis(name, ends, boundary=kind) for name, ends, kind in zip(names, bounds, kinds))
