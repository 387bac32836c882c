"""Bodies of random shape, as a given number of points that each stand for the same volume."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.solvers.signed_distance import SignedDistance, box, capsule, sphere, union

_FINE = {2: 160, 3: 48}
"""Samples along each axis by which the volume of a shape is measured: to about a percent."""


def random_body(
    generator: torch.Generator, points: int, volume: float, dim: int
) -> tuple[Float[Tensor, "node d"], float]:
    """Points that fill a random shape of the given volume, around the origin; and the radius of a ball about them.

    They lie on a lattice that was turned with the shape, one per volume / points, moved by a little noise.
    """
    shape = _SHAPES[int(torch.randint(len(_SHAPES), (), generator=generator))](generator, dim)
    size = (volume / _volume(shape, dim)) ** (1 / dim)
    inside = _filled(shape, points, (volume / points) ** (1 / dim) / size, dim) * size
    spacing = (volume / points) ** (1 / dim)
    inside = inside + 0.1 * spacing * (torch.rand(inside.shape, generator=generator, dtype=torch.float64) - 0.5)
    turned = (inside - inside.mean(dim=0)) @ _rotation(generator, dim)
    return turned, float(turned.norm(dim=1).max())


def _box(generator: torch.Generator, dim: int) -> SignedDistance:
    half = 0.3 + 0.3 * torch.rand(dim, generator=generator, dtype=torch.float64)
    return box((-half).tolist(), half.tolist())


def _ball(generator: torch.Generator, dim: int) -> SignedDistance:
    return sphere([0.0] * dim, 0.5)


def _capsule(generator: torch.Generator, dim: int) -> SignedDistance:
    half = 0.2 + 0.4 * float(torch.rand((), generator=generator, dtype=torch.float64))
    return capsule([-half, *[0.0] * (dim - 1)], [half, *[0.0] * (dim - 1)], 0.3)


def _pair(generator: torch.Generator, dim: int) -> SignedDistance:
    apart = 0.25 + 0.2 * float(torch.rand((), generator=generator, dtype=torch.float64))
    rest = [0.0] * (dim - 1)
    return union(sphere([-apart, *rest], 0.4), sphere([apart, *rest], 0.3))


def _corner(generator: torch.Generator, dim: int) -> SignedDistance:
    rest = [0.25] * (dim - 2)
    low = [-value for value in rest]
    return union(box([-0.5, -0.5, *low], [0.5, -0.1, *rest]), box([-0.5, -0.5, *low], [-0.1, 0.5, *rest]))


_SHAPES: tuple[Callable[[torch.Generator, int], SignedDistance], ...] = (_box, _ball, _capsule, _pair, _corner)


def _lattice(spacing: float, dim: int) -> Tensor:
    """Points that far apart over [-1, 1]^d."""
    count = int(1 / spacing) + 1
    line = torch.arange(-count, count + 1, dtype=torch.float64) * spacing
    return torch.cartesian_prod(*[line] * dim)


def _volume(shape: SignedDistance, dim: int) -> float:
    spacing = 2 / _FINE[dim]
    return float((shape(_lattice(spacing, dim) + 0.37 * spacing) < 0).sum()) * spacing**dim


def _filled(shape: SignedDistance, points: int, spacing: float, dim: int) -> Tensor:
    """Exactly so many points: a lattice, a little finer until they are enough, without those nearest the surface."""
    while True:
        candidates = _lattice(spacing, dim) + 0.5 * spacing
        distance = shape(candidates)
        if int((distance < 0).sum()) >= points:
            deepest = distance.argsort(stable=True)[:points]
            return candidates[deepest.sort().values]
        spacing *= 0.99


def _rotation(generator: torch.Generator, dim: int) -> Tensor:
    """Any rotation, as likely as any other."""
    turn, upper = torch.linalg.qr(torch.randn(dim, dim, generator=generator, dtype=torch.float64))
    turn = turn * upper.diagonal().sign()
    if torch.linalg.det(turn) < 0:
        turn[:, 0] = -turn[:, 0]
    return turn
