"""Shapes as signed distances: functions of points (..., d), negative inside, differentiable.

Those of boxes, spheres, half-spaces and capsules are exact; of unions and intersections they are bounds from below.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

SignedDistance: TypeAlias = Callable[[Float[Tensor, "*batch d"]], Float[Tensor, "*batch"]]


def sphere(center: Sequence[float], radius: float) -> SignedDistance:
    """A ball, or a disk in 2D."""
    _check(radius=radius)

    def distance(points: Tensor) -> Tensor:
        return torch.linalg.vector_norm(points - points.new_tensor(center), dim=-1) - radius

    return distance


def box(low: Sequence[float], high: Sequence[float]) -> SignedDistance:
    """A box with its faces along the axes.

    Raises:
        ValueError: low is not below high.
    """
    if len(low) != len(high) or not all(a < b for a, b in zip(low, high)):
        raise ValueError(f"Expected low < high along each axis, got {tuple(low)} and {tuple(high)}.")

    def distance(points: Tensor) -> Tensor:
        first, last = points.new_tensor(low), points.new_tensor(high)
        beyond = (points - (first + last) / 2).abs() - (last - first) / 2
        return torch.linalg.vector_norm(beyond.clamp_min(0), dim=-1) + beyond.amax(-1).clamp_max(0)

    return distance


def half_space(point: Sequence[float], normal: Sequence[float]) -> SignedDistance:
    """What lies behind a plane, seen along its normal: a floor has a normal that points up."""
    _check(normal=sum(value * value for value in normal))

    def distance(points: Tensor) -> Tensor:
        direction = points.new_tensor(normal)
        return (points - points.new_tensor(point)) @ (direction / direction.norm())

    return distance


def capsule(start: Sequence[float], end: Sequence[float], radius: float) -> SignedDistance:
    """All points within ``radius`` of a segment: a rod with round ends."""
    _check(radius=radius, length=sum((a - b) ** 2 for a, b in zip(start, end)))

    def distance(points: Tensor) -> Tensor:
        first = points.new_tensor(start)
        axis = points.new_tensor(end) - first
        along = ((points - first) @ axis / axis.square().sum()).clamp(0, 1)
        return torch.linalg.vector_norm(points - first - along[..., None] * axis, dim=-1) - radius

    return distance


def union(*shapes: SignedDistance) -> SignedDistance:
    """What is in one of them."""
    return lambda points: torch.stack([shape(points) for shape in shapes]).amin(0)


def intersection(*shapes: SignedDistance) -> SignedDistance:
    """What is in all of them."""
    return lambda points: torch.stack([shape(points) for shape in shapes]).amax(0)


def complement(shape: SignedDistance) -> SignedDistance:
    """What is outside."""
    return lambda points: -shape(points)


def turned(shape: SignedDistance, rotation: float | Sequence[float], about: Sequence[float]) -> SignedDistance:
    """A shape turned about a point.

    Args:
        rotation: an angle in radians, counter-clockwise, in 2D; in 3D the axis times the angle.
        about: the point that stays.

    Raises:
        ValueError: a rotation that does not belong to so many dimensions.
    """
    angles = [float(rotation)] if isinstance(rotation, (int, float)) else [float(angle) for angle in rotation]
    if (len(angles), len(about)) not in ((1, 2), (3, 3)):
        raise ValueError(f"Expected one angle in 2D or three numbers in 3D, got {rotation} about {tuple(about)}.")
    matrix = torch.linalg.matrix_exp(_generator(angles))

    def distance(points: Tensor) -> Tensor:
        center = points.new_tensor(about)
        return shape((points - center) @ matrix.to(points) + center)  # by the inverse: rows times the rotation

    return distance


def _generator(angles: list[float]) -> Tensor:
    """The matrix whose exponential is the rotation."""
    if len(angles) == 1:
        return torch.tensor([[0.0, -angles[0]], [angles[0], 0.0]], dtype=torch.float64)
    x, y, z = angles
    return torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=torch.float64)


def _check(**values: float) -> None:
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"Expected {name} > 0, got {value}.")
