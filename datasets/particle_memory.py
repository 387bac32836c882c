"""Particle trajectories in memory as a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .channel import Axis, Channel
from .dataset import Dataset
from .particles import PARTICLE_TYPE
from .variable import Selection, Variable


@dataclass(frozen=True, eq=False)
class PerTrajectory:
    """An array for each trajectory."""

    arrays: tuple[np.ndarray, ...]

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        return self.arrays[trajectory][selection]


def particles_from_arrays(
    positions: Sequence[np.ndarray],
    types: Sequence[np.ndarray] | None = None,
    *,
    dt: float | int,
    bounds: Sequence[Sequence[float | int]] | np.ndarray,
    periodic: Sequence[bool] = (),
    parameters: Mapping[str, np.ndarray] | None = None,
    splits: Mapping[str, np.ndarray] | None = None,
    units: str = "",
    time_units: str = "",
) -> Dataset:
    """A dataset of particle positions, which are not copied; ``Trajectories`` takes it.

    Args:
        positions: (time, node, dim) of each trajectory; frames and particles may differ in number.
        types: (node,) of each; all 0 by default. -1 marks a place without a particle.
        dt: time between frames.
        bounds: low and high of the box along each axis.
        periodic: along which axes it repeats; none by default.
        parameters: values of each, (trajectory,).
        splits: trajectories of each split.
        units, time_units: of positions and of dt.

    Raises:
        ValueError: shapes that disagree.
    """
    if not len(positions):
        raise ValueError("Expected at least one trajectory, got none.")
    dim = len(bounds)
    kinds = [np.zeros(x.shape[1], np.int64) for x in positions] if types is None else list(types)
    for number, (x, kind) in enumerate(zip(positions, kinds, strict=True)):
        if x.ndim != 3 or x.shape[2] != dim or kind.shape != x.shape[1:2]:
            raise ValueError(
                f"Expected positions of shape (time, node, {dim}) and types (node,), got {x.shape} and {kind.shape} "
                f"for trajectory {number}."
            )
    for name, values in (parameters or {}).items():
        if np.shape(values) != (len(positions),):
            raise ValueError(f"Expected {name} of shape ({len(positions)},), got {np.shape(values)}.")
    names = "xyz"[:dim]
    channels = tuple(Channel(f"position_{c}", units, field="position", component=c) for c in names)
    repeats = [*periodic, *[False] * (dim - len(periodic))]
    return Dataset(
        path=Path("<memory>"),
        layout="memory",
        kind="particles",
        variables=(
            Variable(channels, ("time", "node", "channel"), PerTrajectory(tuple(positions))),
            Variable((PARTICLE_TYPE,), ("node",), PerTrajectory(tuple(kinds))),
        ),
        axes=tuple(
            Axis(name, np.asarray(ends, dtype=np.float64), units, "periodic" if on else "wall")
            for name, ends, on in zip(names, bounds, repeats)
        ),
        times=np.arange(max(len(x) for x in positions)) * dt,
        lengths=np.array([len(x) for x in positions]),
        nodes=np.array([x.shape[1] for x in positions]),
        parameters={name: np.asarray(values) for name, values in (parameters or {}).items()},
        splits={name: np.sort(np.asarray(members)) for name, members in (splits or {}).items()},
        time_units=time_units,
    )
