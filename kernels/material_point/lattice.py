"""The nodes of a regular grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Lattice:
    """The nodes of a grid.

    Attributes:
        shape: nodes along each axis, 2 or 3 of them.
        spacing: distance of neighbours, the same along all axes.
        origin: position of the first node, one number for each axis.
    """

    shape: tuple[int, ...]
    spacing: float
    origin: tuple[float, ...]

    @property
    def dim(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Nodes in all."""
        return int(torch.Size(self.shape).numel())

    def points(self, *, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "*shape d"]:
        """Positions of the nodes."""
        axes = [
            torch.arange(count, dtype=dtype, device=device) * self.spacing + start
            for count, start in zip(self.shape, self.origin)
        ]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def outside(position: Float[Tensor, "batch node d"], lattice: Lattice) -> Bool[Tensor, "batch node"]:
    """Which points have not all their nodes in the grid, or are not finite."""
    inside = torch.ones(position.shape[:-1], dtype=torch.bool, device=position.device)
    for axis, (count, start) in enumerate(zip(lattice.shape, lattice.origin)):
        scaled = (position[..., axis] - start) / lattice.spacing
        inside = inside & (scaled >= 0.5) & (scaled < count - 1.5)
    return ~inside


def confined(position: Float[Tensor, "batch node d"], lattice: Lattice, margin: float) -> Float[Tensor, "batch node d"]:
    """Positions moved to the nearest ones at least ``margin`` cells inside [origin, origin + shape spacing]."""
    ends = zip(lattice.origin, lattice.shape)
    bounds = [(start + margin * lattice.spacing, start + (n - margin) * lattice.spacing) for start, n in ends]
    return torch.stack([x.clamp(low, high) for x, (low, high) in zip(position.unbind(-1), bounds)], dim=-1)


def as_numbers(values: Sequence[float], dim: int, name: str) -> tuple[float, ...]:
    """``values`` as ``dim`` floats.

    Raises:
        ValueError: there are more or fewer.
    """
    numbers = tuple(float(value) for value in values)
    if len(numbers) != dim:
        raise ValueError(f"Expected {name} with {dim} numbers, one for each axis, got {numbers}.")
    return numbers
