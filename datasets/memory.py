"""Arrays in memory as a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from .channel import Axis, Channel
from .dataset import Dataset
from .sources import InMemory
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


def _check(name: str, found: tuple[int, ...], expected: tuple[int, ...]) -> None:
    if found != expected:
        raise ValueError(f"Expected {name} of shape {expected}, got {found}.")
