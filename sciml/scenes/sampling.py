"""Points inside of shapes."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sciml.kernels.neighbors.radius import radius_neighbors
from sciml.solvers.signed_distance import SignedDistance

Points = Float[Tensor, "point d"]
_CHUNK = 1 << 18
"""Points that a shape is asked about at a time."""


@dataclass(frozen=True)
class Room:
    """A box to look for points in, of whole numbers of lattice cells.

    Attributes:
        low, high: its corners.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]


class Pattern(Protocol):
    """How points are laid inside of a shape."""

    def points(self, shape: SignedDistance, room: Room, spacing: float, generator: torch.Generator) -> Points:
        """Points inside, one for each ``spacing``^d, float64."""
        ...


@dataclass(frozen=True)
class Regular:
    """A square lattice, aligned with the room.

    Attributes:
        jitter: how far each point is moved at random, in spacings, along each axis; at 1 as far as its neighbours'.
    """

    jitter: float = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.jitter <= 1:
            raise ValueError(f"Expected jitter from 0 to 1 spacings, got {self.jitter}.")

    def points(self, shape: SignedDistance, room: Room, spacing: float, generator: torch.Generator) -> Points:
        found = []
        for candidates in _lattice(room, spacing):
            if self.jitter:
                moves = torch.rand(candidates.shape, generator=generator, dtype=torch.float64) - 0.5
                candidates = candidates + self.jitter * spacing * moves
            found.append(candidates[inside(shape, candidates)])
        return torch.cat(found)


_DENSITY = {2: 0.64, 3: 0.60}
"""Points per radius^d after so many rounds; where no more fit at all it is 0.70 and 0.73 (Feder 1980)."""
_ROUNDS = 14


@dataclass(frozen=True)
class BlueNoise:
    """At random, but nowhere close: Poisson discs, drawn until hardly any more fit."""

    def points(self, shape: SignedDistance, room: Room, spacing: float, generator: torch.Generator) -> Points:
        radius = spacing * _DENSITY[len(room.low)] ** (1 / len(room.low))
        accepted = torch.empty(0, len(room.low), dtype=torch.float64)
        for _ in range(_ROUNDS):
            fresh = Regular(jitter=1.0).points(shape, room, 0.8 * spacing, generator)
            fresh = fresh[torch.randperm(len(fresh), generator=generator)]
            if len(accepted) and len(fresh):
                taken = radius_neighbors(accepted[None], fresh[None], radius=radius).target
                free = torch.ones(len(fresh), dtype=torch.bool).index_fill(0, taken, False)
                fresh = fresh[free]
            if len(fresh):
                accepted = torch.cat([accepted, fresh[_far_apart(fresh, radius)]])
        return accepted


def _far_apart(points: Points, radius: float) -> Bool[Tensor, " point"]:
    """The points that a greedy choice in their order keeps."""
    graph = radius_neighbors(points[None], radius=radius, loop=False)
    earlier = graph.source < graph.target
    source, target = graph.source[earlier], graph.target[earlier]
    undecided = torch.ones(len(points), dtype=torch.bool)
    kept = torch.zeros_like(undecided)
    while bool(undecided.any()):
        waiting = torch.zeros_like(undecided).index_fill(0, target[undecided[source]], True)
        chosen = undecided & ~waiting
        kept |= chosen
        undecided &= ~chosen
        undecided.index_fill_(0, target[chosen[source]], False)
    return kept


def inside(shape: SignedDistance, points: Points) -> Bool[Tensor, " point"]:
    """Where the shape's distance is negative.

    Raises:
        ValueError: the shape does not return a number for each point, or returns NaN.
    """
    distances = []
    for part in points.split(_CHUNK):
        distance = shape(part)
        if not isinstance(distance, Tensor) or distance.shape != part.shape[:1]:
            shown = tuple(distance.shape) if isinstance(distance, Tensor) else type(distance).__name__
            raise ValueError(f"Expected a distance for each of {len(part)} points, got {shown} from the shape.")
        distances.append(distance.detach())
    whole = torch.cat(distances) if distances else points.new_zeros(0)
    if bool(whole.isnan().any()):
        where = points[whole.isnan()][0].tolist()
        raise ValueError(f"Expected distances that are numbers, got NaN from the shape at {where}.")
    return whole < 0


def volume(shape: SignedDistance, points: Points, spacing: float) -> float:
    """Of the part of a shape where ``points`` were found: its own ``volume`` or a sum over a finer lattice.

    Cells at the surface count in part, by their distance from it, so that flat faces and balls come out exact to second
    order; a shape without a gradient counts cell by cell.
    """
    own = getattr(shape, "volume", None)
    if isinstance(own, float):
        return own
    fine = spacing / (4 if points.shape[1] == 2 else 3)
    low, high = points.amin(0) - spacing, points.amax(0) + spacing
    total = 0.0
    for part in _lattice(Room(tuple(low.tolist()), tuple(high.tolist())), fine):
        total += float(_fraction(shape, part, fine).sum())
    return total * fine ** points.shape[1]


def _fraction(shape: SignedDistance, points: Points, width: float) -> Tensor:
    with torch.enable_grad():
        points = points.clone().requires_grad_()
        distance: Any = shape(points)
        if not distance.requires_grad:
            return (distance < 0).double()
        (gradient,) = torch.autograd.grad(distance.sum(), points)
    # How far a cell reaches along the normal: width times |n|_1, the extent of a square in that direction, but for
    # rounding its corners off.
    steep = gradient.abs().sum(1).clamp_min(torch.finfo(gradient.dtype).tiny)
    return (0.5 - distance.detach() / (steep * width)).clamp(0, 1)


def _lattice(room: Room, spacing: float) -> Iterator[Points]:
    """The middles of a room's cells, some slabs at a time."""
    counts = [max(1, math.ceil((b - a) / spacing - 1e-6)) for a, b in zip(room.low, room.high)]
    axes = [start + (torch.arange(n, dtype=torch.float64) + 0.5) * spacing for start, n in zip(room.low, counts)]
    slabs = max(1, _CHUNK // max(1, math.prod(counts[1:])))
    for start in itertools.count(0, slabs):
        first = axes[0][start : start + slabs]
        if not len(first):
            return
        yield torch.stack(torch.meshgrid(first, *axes[1:], indexing="ij"), dim=-1).reshape(-1, len(axes))
