"""Means and deviations of velocities and accelerations as particle simulators are normalised by, per frame."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from .dataset import Dataset
from .errors import DatasetError
from .moments import Moments

PIECE = 1 << 26  # bytes read at a time
SMALLEST_STD = 1e-7


@dataclass(frozen=True, eq=False)
class MotionStatistics:
    """Of the differences of positions from frame to frame, and of their differences, (dimension,) each."""

    vel_mean: np.ndarray
    vel_std: np.ndarray
    acc_mean: np.ndarray
    acc_std: np.ndarray


def motion_statistics(
    dataset: Dataset, trajectories: Sequence[int] | None = None, *, keep: Sequence[np.ndarray] | None = None
) -> MotionStatistics:
    """Those of LagrangeBench's own script: each trajectory counts the same, whatever its frames and particles.

    Displacements are the shortest ones across periodic boundaries. A deviation below 1e-7 is 1: what does not move is
    not divided by rounding.

    Args:
        dataset: with channels of the field ``position``.
        trajectories: their numbers; all by default.
        keep: (node,) bool of each of them: the particles that count; all by default.

    Raises:
        DatasetError: no positions, or no trajectory of three frames with particles that count.
    """
    numbers = range(len(dataset)) if trajectories is None else trajectories
    periods = periods_of(dataset)
    of_velocity, of_acceleration = [], []
    for place, number in enumerate(numbers):
        velocity, acceleration = Moments(len(periods)), Moments(len(periods))
        chosen = None if keep is None else keep[place]
        if chosen is not None and not chosen.any():
            continue
        for change, second in _changes(dataset, int(number), periods, chosen):
            velocity.add(np.moveaxis(change, -1, 0))
            acceleration.add(np.moveaxis(second, -1, 0))
        if acceleration.count:
            of_velocity.append(velocity)
            of_acceleration.append(acceleration)
    if not of_velocity:
        raise DatasetError(dataset.path, "has no trajectory of three frames with particles that count.")
    return MotionStatistics(*_together(of_velocity), *_together(of_acceleration))


def position_names(dataset: Dataset) -> list[str]:
    """The channels that are positions.

    Raises:
        DatasetError: no particles, or none of one to three dimensions.
    """
    names = [channel.name for channel in dataset.channels if channel.field == "position"]
    if dataset.kind != "particles" or len(names) != len(dataset.axes):
        problem = f"has the channels {[channel.name for channel in dataset.channels]}."
        remedy = f"Expected particles with a position along each of {len(dataset.axes)} axes."
        raise DatasetError(dataset.path, problem, remedy=remedy)
    return names


def periods_of(dataset: Dataset) -> np.ndarray:
    """The length of the box along each axis, infinite where it is not periodic."""
    ends = [
        (axis.coordinates[-1] - axis.coordinates[0]) if axis.boundary == "periodic" else np.inf for axis in dataset.axes
    ]
    return np.array(ends, dtype=np.float64)


def _changes(
    dataset: Dataset, number: int, periods: np.ndarray, keep: np.ndarray | None
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Velocities and accelerations (frame, node, dimension) of a trajectory, piece by piece."""
    names, frames = position_names(dataset), int(dataset.lengths[number])
    nodes = int(dataset.nodes[number]) if dataset.nodes is not None else 0
    step = max(1, PIECE // max(8 * nodes * len(names), 1))
    finite = np.where(np.isinf(periods), 0.0, periods)
    last = None
    for start in range(0, frames - 1, step):
        x = dataset.read(number, slice(start, min(start + step, frames - 1) + 1), names=names).astype(np.float64)
        change = np.diff(x if keep is None else x[:, keep], axis=0)
        change -= finite * np.round(change / periods)
        second = np.diff(change if last is None else np.concatenate([last, change]), axis=0)
        last = change[-1:]
        yield change, second


def _together(parts: Sequence[Moments]) -> tuple[np.ndarray, np.ndarray]:
    """Mean, and deviation around it, over trajectories of the same weight."""
    mean = np.mean([part.mean for part in parts], axis=0)
    variance = np.mean([part.deviation / part.count + (part.mean - mean) ** 2 for part in parts], axis=0)
    std = np.sqrt(variance)
    return mean, np.where(std < SMALLEST_STD, 1.0, std)
