"""Velocities and accelerations of a particle data set, in one pass."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from sciml.datasets.particles import PARTICLE_TYPE

from .box import Box, box_of
from .normalization import MotionScales


def particle_statistics(trajectories: Any, *, box: Box | None = None, prescribed: Sequence[int] = ()) -> MotionScales:
    """Moments of per-frame velocities and accelerations, pooled over trajectories, frames and particles.

    Each trajectory of ``trajectories`` is read once, whole. Frames are those of an item: with stride=2 every second.
    Places without a particle (type -1) and prescribed particles do not count.

    Args:
        trajectories: a ``Trajectories`` of particles, such as the training split.
        box: whose periods count; that of the data by default.
        prescribed: types that are not predicted.

    Raises:
        ValueError: no trajectory has three frames, or all particles are prescribed.
    """
    box = box_of(trajectories.axes) if box is None else box
    names = [channel.name for channel in trajectories.channels]
    kind = names.index(PARTICLE_TYPE.name) if PARTICLE_TYPE.name in names else None
    inputs = [k for k in range(box.dim, len(names)) if k != kind]
    velocity, acceleration, constants = _Moments(box.dim), _Moments(box.dim), _Moments(len(inputs))
    for frames in _whole_trajectories(trajectories):
        x = frames[..., : box.dim].astype(np.float64)
        types = np.zeros(x.shape[1]) if kind is None else frames[0, :, kind].round()
        free = (types >= 0) & ~np.isin(types, list(prescribed))
        v = _nearest(np.diff(x[:, free], axis=0), box)
        velocity.add(v)
        acceleration.add(np.diff(v, axis=0))
        constants.add(frames[0][free][:, inputs].astype(np.float64))
    if not acceleration.count:
        raise ValueError(
            f"Expected trajectories of three frames or more with particles that are not prescribed, got none in "
            f"{trajectories!r}. The prescribed types are {list(prescribed)}."
        )
    return MotionScales(
        *velocity.mean_and_std(), *acceleration.mean_and_std(), *constants.mean_and_std(), count=acceleration.count
    )


def _whole_trajectories(trajectories: Any) -> Any:
    """The frames of each trajectory that has items, every ``stride``-th, with parameters as constants."""
    seen = set()
    for index in range(len(trajectories)):
        place, frames = trajectories.locate(index)
        if place in seen:
            continue
        seen.add(place)
        u = trajectories.datasets[place.file].read(place.trajectory, slice(None, None, frames.step or 1))
        item = np.asarray(trajectories[index].u)[:1]
        # An item knows the order of channels and the parameters; the file knows all frames.
        dim = len(trajectories.axes)
        first = [c.name for c in trajectories.datasets[place.file].channels]
        order = [first.index(c.name) for c in trajectories.channels[:dim]]
        constant = np.broadcast_to(item[:, :, dim:], (len(u), *item.shape[1:2], item.shape[2] - dim))
        yield np.concatenate([u[..., order], constant], axis=-1)


def _nearest(difference: np.ndarray, box: Box) -> np.ndarray:
    for axis, (repeats, side) in enumerate(zip(box.periodic, box.sides)):
        if repeats:
            difference[..., axis] -= side * np.round(difference[..., axis] / side)
    return difference


class _Moments:
    """Running sums about a first guess of the mean, so that float64 loses nothing to a large offset."""

    def __init__(self, channels: int) -> None:
        self.count, self.offset = 0, None
        self.total, self.squares = np.zeros(channels), np.zeros(channels)

    def add(self, values: np.ndarray) -> None:
        """More values, (..., channel)."""
        if not values.size:
            return
        flat = values.reshape(-1, values.shape[-1])
        self.offset = flat.mean(axis=0) if self.offset is None else self.offset
        centred = flat - self.offset
        self.count += len(flat)
        self.total += centred.sum(axis=0)
        self.squares += (centred**2).sum(axis=0)

    def mean_and_std(self) -> tuple[np.ndarray, np.ndarray]:
        """Of all values so far, (channel,) each."""
        if self.offset is None:
            return np.zeros_like(self.total), np.ones_like(self.total)
        mean = self.total / self.count
        return self.offset + mean, np.sqrt(np.maximum(self.squares / self.count - mean**2, 0.0))
