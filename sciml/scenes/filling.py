"""The points of a scene, and whether they may be where they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from sciml.scenes.body import Body, Emitter
from sciml.scenes.grid import Grid
from sciml.scenes.sampling import Room, inside, volume
from sciml.solvers.material_point.obstacle import Obstacle

if TYPE_CHECKING:
    from sciml.scenes.scene import Scene

_POINTS_PER_CELL = {2: 4.0, 3: 8.0}


@dataclass(frozen=True, eq=False)
class Cloud:
    """Points of a scene.

    Attributes:
        position: (node, d) float64, at the start; of points that come later, where they will come in.
        velocity: (node, d) float64, likewise.
        volume: of each point, undeformed, (node,) float64.
        density: of its material, (node,) float64.
        kind: number of its material, (node,) int64.
        release: when it comes in, (node,) float64; 0 for what is there from the start.
    """

    position: Float[Tensor, "node d"]
    velocity: Float[Tensor, "node d"]
    volume: Float[Tensor, " node"]
    density: Float[Tensor, " node"]
    kind: Int[Tensor, " node"]
    release: Float[Tensor, " node"]

    @property
    def mass(self) -> Float[Tensor, " node"]:
        """Of each point."""
        return self.volume * self.density

    def runs(self) -> list[tuple[int, int]]:
        """(kind, points) of successive points of one kind."""
        return [(kind, len(list(run))) for kind, run in groupby(self.kind.tolist())]


def fill(scene: Scene) -> Cloud:
    """The points of all bodies and emitters.

    Raises:
        ValueError: as ``Scene.cloud``.
    """
    number = {id(material): kind for kind, material in enumerate(scene.materials)}
    parts = []
    for index, (name, part) in enumerate(_named(scene)):
        generator = torch.Generator().manual_seed(_seed(scene.seed, index))
        points, each = _points(name, part, scene.grid, generator)
        _check_free(name, points, scene, index)
        kind = number[id(part.material)]
        if isinstance(part, Body):
            velocity = _moving(name, part, points)
            parts.append(_cloud(points, velocity, each, part, kind, torch.zeros(len(points), dtype=torch.float64)))
        else:
            speed = _vector(name, "velocity", part.velocity, scene.grid.dim).expand(points.shape)
            for time in _arrivals(part, points, each ** (1 / scene.grid.dim), scene.duration):
                release = torch.full((len(points),), time, dtype=torch.float64)
                parts.append(_cloud(points, speed, each, part, kind, release))
    names = Cloud.__dataclass_fields__
    return Cloud(**{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def _named(scene: Scene) -> Iterator[tuple[str, Body | Emitter]]:
    for kind, parts in (("body", scene.bodies), ("emitter", scene.emitters)):
        for index, part in enumerate(parts):
            yield part.name or f"{kind} {index}", part  # type: ignore[attr-defined, misc]


def _points(name: str, part: Body | Emitter, grid: Grid, generator: torch.Generator) -> tuple[Tensor, float]:
    """Points inside the shape and the volume of each."""
    if part.spacing is None:
        each = part.points_per_cell or _POINTS_PER_CELL[grid.dim]
        spacing = grid.spacing / each ** (1 / grid.dim)
    else:
        spacing = float(part.spacing)
    room = Room(tuple(x - 2 * spacing for x in grid.low), tuple(x + 2 * spacing for x in grid.high))
    points = part.pattern.points(part.shape, room, spacing, generator)
    if not len(points):
        raise ValueError(
            f"Expected points in {name}, found none {spacing:.4g} apart: it lies outside of the box, is smaller than "
            "that, or its shape is inside out (distances are negative inside). Move it, or give more points_per_cell."
        )
    low, high = points.new_tensor(grid.low), points.new_tensor(grid.high)
    beyond = ((points < low) | (points > high)).any(1)
    if bool(beyond.any()):
        first = points[beyond][0].tolist()
        raise ValueError(
            f"Expected {name} to lie inside the box from {grid.low} to {grid.high}, got {int(beyond.sum())} of its "
            f"points beyond the walls, one at {_numbers(first)}. Move it, cut it with intersection(shape, box(low, "
            "high)), or make the box larger."
        )
    return points, volume(part.shape, points, spacing) / len(points)


def _moving(name: str, body: Body, points: Tensor) -> Tensor:
    """v + omega x (x - middle)."""
    dim = points.shape[1]
    velocity = points.new_zeros(dim) if body.velocity is None else _vector(name, "velocity", body.velocity, dim)
    if body.spin is None:
        return velocity.expand(points.shape)
    arm = points - points.mean(0)
    if dim == 2:
        if not isinstance(body.spin, (int, float)):
            raise ValueError(f"Expected spin of {name} to be one number in 2D, got {body.spin}.")
        return velocity + body.spin * torch.stack([-arm[:, 1], arm[:, 0]], dim=1)
    spin = [body.spin] if isinstance(body.spin, (int, float)) else body.spin
    return velocity + torch.linalg.cross(_vector(name, "spin", spin, 3).expand(points.shape), arm)


def _arrivals(emitter: Emitter, points: Tensor, layer: float, duration: float) -> list[float]:
    """When batches come in, up to the end of the scene."""
    velocity = points.new_tensor(emitter.velocity)
    speed = float(velocity.norm())
    along = points @ (velocity / speed)
    # Points sit in the middles of their cells: a batch is one layer longer than from the first to the last.
    every = emitter.every or (float(along.amax() - along.amin()) + layer) / speed
    count = int((min(emitter.until, duration) - emitter.start) / every + 1e-9) + 1
    return [emitter.start + number * every for number in range(max(count, 1))]


def _cloud(points: Tensor, velocity: Tensor, volume: float, part: Body | Emitter, kind: int, release: Tensor) -> Cloud:
    ones = torch.ones(len(points), dtype=torch.float64)
    return Cloud(
        points,
        velocity,
        volume * ones,
        float(part.material.density) * ones,
        torch.full_like(ones, kind).long(),
        release,
    )


def _check_free(name: str, points: Tensor, scene: Scene, index: int) -> None:
    """Refuse a body where an obstacle or an earlier body is."""
    for number, obstacle in enumerate(scene.obstacles):
        count = int(inside(obstacle.distance, points - shift(obstacle, 0.0, scene.grid.dim)).sum())
        if count:
            raise ValueError(
                f"Expected {name} outside of all obstacles, got {count} of its points in obstacle {number}. Move one, "
                "or cut the shape: intersection(shape, complement(obstacle))."
            )
    if index >= len(scene.bodies):
        return
    for number, other in enumerate(scene.bodies[:index]):
        count = int(inside(other.shape, points).sum())
        if count:
            raise ValueError(
                f"Expected {name} apart from {other.name or f'body {number}'}, got {count} of its points in it: they "
                "would burst. Move one, or cut the shape: intersection(shape, complement(other))."
            )


def shift(obstacle: Obstacle, t: float, dim: int) -> Tensor:
    """How far an obstacle has moved at a time, (d,) float64."""
    if obstacle.path is None:
        return torch.zeros(dim, dtype=torch.float64)
    return obstacle.path(torch.tensor([t], dtype=torch.float64))[0].detach().double()


def _vector(name: str, what: str, values: object, dim: int) -> Tensor:
    vector = torch.as_tensor(values, dtype=torch.float64)
    if vector.shape != (dim,):
        raise ValueError(f"Expected {what} of {name} of {dim} numbers, got {values}.")
    return vector


def _seed(seed: int, index: int) -> int:
    return int(np.random.SeedSequence(seed, spawn_key=(index,)).generate_state(1, np.uint64)[0] >> 1)


def _numbers(values: list[float]) -> str:
    return "(" + ", ".join(f"{value:.4g}" for value in values) + ")"
