"""A small flow as a header and trajectories of our own layout, for the tests of what is written and read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from sciml.datasets.channel import Axis, Channel
from sciml.datasets.header import Header, Trajectory

CHANNELS = (
    Channel("density", "kg m-3"),
    Channel("velocity_x", "m s-1", "velocity", "x"),
    Channel("velocity_y", "m s-1", "velocity", "y"),
    Channel("porosity", static=True),
)


def header(**changes: Any) -> Header:
    """Density, velocity and a static porosity on a periodic channel of 8 by 6 points, five frames."""
    axes = (
        Axis("x", np.linspace(0, 1, 8, endpoint=False), "m", "periodic"),
        Axis("y", np.linspace(-1, 1, 6), "m", "wall"),
    )
    plain = Header(
        channels=CHANNELS,
        axes=axes,
        times=0.1 * np.arange(5),
        time_units="s",
        parameters={"nu": "m2 s-1"},
        attributes={"title": "A small flow", "generator": {"seed": 0, "modes": [1, 2]}},
    )
    return replace(plain, **changes)


def trajectories(
    count: int = 7, *, shape: Sequence[int] = (8, 6), frames: int = 5, dtype: str = "f4", seed: int = 0
) -> list[Trajectory]:
    """Random ones, the last of several with a frame less. Splits go round train, train, valid, none."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        length = frames - (number == count - 1 and count > 1)
        u = rng.normal(1.0, 1.0, (length, 3, *shape)).astype(dtype)
        static = rng.normal(size=(1, *shape)).astype(dtype)
        split = ("train", "train", "valid", "")[number % 4]
        made.append(Trajectory(u, static, {"nu": 0.1 * number}, split))
    return made


def particles(count: int = 3, *, most: int = 9) -> tuple[Header, list[Trajectory]]:
    """Particles in a box periodic in x; trajectory i has i particles fewer than the most."""
    rng = np.random.default_rng(1)
    channels = (
        Channel("position_x", "m", "position", "x"),
        Channel("position_y", "m", "position", "y"),
        Channel("particle_type", static=True),
    )
    axes = (Axis("x", np.array([0.0, 1.0]), "m", "periodic"), Axis("y", np.array([0.0, 2.0]), "m", "wall"))
    made = [
        Trajectory(rng.random((4, most - i, 2)).astype("f4"), np.full((most - i, 1), i, "f4")) for i in range(count)
    ]
    return Header(channels=channels, axes=axes, times=np.arange(4.0), kind="particles", nodes=most), made
