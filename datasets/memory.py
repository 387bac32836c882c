"""Arrays in memory as a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from .channel import Axis, Channel
from .dataset import Dataset
from .particles import PARTICLE_TYPE, check_positions
from .sources import InMemory, InMemoryEach
from .variable import Variable


def dataset_from_arrays(
    u: np.ndarray,
    times: np.ndarray,
    *,
    channels: Sequence[Channel | str] | None = None,
    axes: Sequence[Axis] | None = None,
    parameters: Mapping[str, np.ndarray] | None = None,
    splits: Mapping[str, np.ndarray] | None = None,
    time_units: str = "",
) -> Dataset:
    """A dataset over an array (trajectory, time, channel, *space), which is not copied.

    Args:
        u: the trajectories of a grid.
        times: (time,).
        channels: records or names; "u0", "u1", ... by default.
        axes: spatial axes; by default x, y, z over [0, 1) with the right end left out.
        parameters: values of each, (trajectory,).
        splits: trajectories of each split.
        time_units: such as "s".

    Raises:
        ValueError: shapes that disagree.
    """
    if u.ndim < 3:
        raise ValueError(
            f"Expected u of shape (trajectory, time, channel, *space), got {u.shape}. Add the channel axis."
        )
    count, frames, width, *space = u.shape
    axes = _unit_axes(space) if axes is None else tuple(axes)
    named = [f"u{i}" for i in range(width)] if channels is None else channels
    records = tuple(Channel(entry) if isinstance(entry, str) else entry for entry in named)
    _check("times", np.shape(times), (frames,))
    _check("channels", (len(records),), (width,))
    _check("axes", tuple(len(axis.coordinates) for axis in axes), tuple(space))
    for name, values in (parameters or {}).items():
        _check(name, np.shape(values), (count,))
    return Dataset(
        path=Path("<memory>"),
        layout="memory",
        variables=_variables(u, records, tuple(axis.name for axis in axes)),
        axes=axes,
        times=np.asarray(times, dtype=np.float64),
        lengths=np.full(count, frames),
        parameters={name: np.asarray(values) for name, values in (parameters or {}).items()},
        splits={name: np.sort(np.asarray(members)) for name, members in (splits or {}).items()},
        time_units=time_units,
    )


def dataset_from_particles(
    positions: Sequence[np.ndarray],
    *,
    bounds: Sequence[Sequence[float]] | np.ndarray,
    dt: float,
    types: Sequence[np.ndarray] | None = None,
    periodic: bool | Sequence[bool] = False,
    parameters: Mapping[str, np.ndarray] | None = None,
    splits: Mapping[str, np.ndarray] | None = None,
) -> Dataset:
    """A dataset over arrays of positions, which are not copied; their numbers of frames and particles may differ.

    Args:
        positions: (time, node, dimension) of each trajectory.
        bounds: lower and upper end of the box along each axis.
        dt: time between frames.
        types: (node,) of each; 0 is fluid, 1 wall, 2 moving wall, 3 rigid body. All fluid by default.
        periodic: of all axes, or of each.
        parameters: values of each, (trajectory,).
        splits: trajectories of each split.

    Raises:
        ValueError: no trajectories, or shapes that disagree.
    """
    if not positions:
        raise ValueError("Expected at least one trajectory, got none.")
    path = Path("<memory>")
    shapes: list[tuple[int, int, int]] = []
    for number, position in enumerate(positions):
        where = f"positions {number}"
        shapes.append(check_positions(path, where, position.shape, shapes[0][2] if shapes else None))
    frames, dimensions = max(shape[0] for shape in shapes), shapes[0][2]
    kinds = [np.zeros(shape[1], np.int32) for shape in shapes] if types is None else list(types)
    _check("types", tuple(np.shape(kind) for kind in kinds), tuple((shape[1],) for shape in shapes))
    box = np.asarray(bounds, dtype=np.float64)
    _check("bounds", box.shape, (dimensions, 2))
    wraps = [periodic] * dimensions if isinstance(periodic, bool) else list(periodic)
    _check("periodic", (len(wraps),), (dimensions,))
    for name, values in (parameters or {}).items():
        _check(name, np.shape(values), (len(positions),))
    names = "xyz"[:dimensions]
    channels = tuple(Channel(f"position_{c}", field="position", component=c) for c in names)
    return Dataset(
        path=path,
        layout="memory",
        kind="particles",
        variables=(
            Variable(channels, ("time", "node", "channel"), InMemoryEach(tuple(positions))),
            Variable((PARTICLE_TYPE,), ("node",), InMemoryEach(tuple(np.asarray(kind) for kind in kinds))),
        ),
        axes=tuple(
            Axis(name, ends, boundary="periodic" if wrap else "wall") for name, ends, wrap in zip(names, box, wraps)
        ),
        times=np.arange(frames) * dt,
        lengths=np.array([shape[0] for shape in shapes]),
        nodes=np.array([shape[1] for shape in shapes]),
        parameters={name: np.asarray(values) for name, values in (parameters or {}).items()},
        splits={name: np.sort(np.asarray(members)) for name, members in (splits or {}).items()},
    )


def _variables(u: np.ndarray, channels: tuple[Channel, ...], space: tuple[str, ...]) -> tuple[Variable, ...]:
    """One variable for all dynamic channels next to each other, one for the static ones, seen at the first frame."""
    variables, first = [], 0
    for static, group in groupby(channels, key=lambda channel: channel.static):
        members = tuple(group)
        part = u[:, :, first : first + len(members)]
        first += len(members)
        lead = ("sample",) if static else ("sample", "time")
        variables.append(Variable(members, (*lead, "channel", *space), InMemory(part[:, 0] if static else part)))
    return tuple(variables)


def _unit_axes(space: Sequence[int]) -> tuple[Axis, ...]:
    names = "xyz" if len(space) <= 3 else [f"x{i}" for i in range(len(space))]
    return tuple(Axis(name, np.arange(n) / n) for name, n in zip(names, space))


def _check(name: str, found: tuple[object, ...], expected: tuple[object, ...]) -> None:
    if found != expected:
        raise ValueError(f"Expected {name} of shape {expected}, got {found}.")
