"""What a scene is made of: bodies that are there at the start, and emitters that let points in with time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from sciml.scenes.sampling import Pattern, Regular
from sciml.solvers.material_point.material import Material
from sciml.solvers.signed_distance import SignedDistance


@dataclass(frozen=True, eq=False)
class Body:
    """Material that fills a shape at the start.

    Attributes:
        shape: a signed distance, such as ``sphere(center, radius)``, or a ``Mesh``.
        material: such as ``jelly()``; bodies that share the object share the type of their particles.
        velocity: (d,), of the middle of its mass; at rest by default.
        spin: turns about that middle, radians per unit of time: a number in 2D, an axis times it in 3D.
        points_per_cell: on average, of a whole grid cell; 4 in 2D and 8 in 3D by default.
        spacing: distance of the points instead.
        pattern: ``Regular()``, ``Regular(jitter=1.0)`` or ``BlueNoise()``.
        name: for messages; "body 0" and so on by default.

    Raises:
        ValueError: numbers that make no sense, or something that is no shape or no material.
    """

    shape: SignedDistance
    material: Material
    velocity: Sequence[float] | None = None
    spin: float | Sequence[float] | None = None
    points_per_cell: float | None = None
    spacing: float | None = None
    pattern: Pattern = field(default_factory=Regular)
    name: str = ""

    def __post_init__(self) -> None:
        check_filling(self)
        turns = [] if self.spin is None else [self.spin] if isinstance(self.spin, (int, float)) else list(self.spin)
        check_numbers("spin", turns)


@dataclass(frozen=True, eq=False)
class Emitter:
    """Material that comes in through a shape, again and again; a point waits in its place until its time.

    Attributes:
        shape: what is filled by each batch of points.
        material: such as ``jelly()``.
        velocity: (d,), with which they come in.
        until: after which no batch comes.
        start: of the first.
        every: time between batches. By default a batch follows when the one before has moved by its own length along
            the velocity, for a jet without gaps.
        points_per_cell, spacing, pattern, name: as for ``Body``.

    Raises:
        ValueError: numbers that make no sense, or something that is no shape or no material.
    """

    shape: SignedDistance
    material: Material
    velocity: Sequence[float]
    until: float
    start: float = 0.0
    every: float | None = None
    points_per_cell: float | None = None
    spacing: float | None = None
    pattern: Pattern = field(default_factory=Regular)
    name: str = ""

    def __post_init__(self) -> None:
        check_filling(self)
        if not any(self.velocity):
            raise ValueError("Expected an emitter's velocity to be other than zero: its points would pile up.")
        if not 0 <= self.start <= self.until < math.inf:
            raise ValueError(f"Expected 0 <= start <= until of an emitter, got {self.start} and {self.until}.")
        if self.every is not None and not self.every > 0:
            raise ValueError(f"Expected every > 0, the time between batches, got {self.every}.")


def check_filling(filling: Body | Emitter) -> None:
    """Refuse what cannot be filled with points."""
    if not callable(filling.shape):
        raise ValueError(
            f"Expected a shape such as sphere(center, radius), a function of points, got {filling.shape!r}."
        )
    if not all(hasattr(filling.material, name) for name in ("density", "stress", "deform", "sound_speed")):
        raise ValueError(
            f"Expected a material such as jelly(), got {filling.material!r}. Named ones are in sciml.scenes: "
            "MATERIALS['jelly']()."
        )
    if filling.points_per_cell is not None and filling.spacing is not None:
        raise ValueError("Expected points_per_cell or spacing, got both. Give one.")
    for name in ("points_per_cell", "spacing"):
        value = getattr(filling, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"Expected {name} > 0, got {value}.")
    check_numbers("velocity", () if filling.velocity is None else filling.velocity)


def check_numbers(name: str, values: Sequence[float]) -> None:
    """Refuse NaN and infinity."""
    if not all(math.isfinite(value) for value in values):
        raise ValueError(f"Expected {name} of finite numbers, got {tuple(values)}.")
