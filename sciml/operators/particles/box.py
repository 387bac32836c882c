"""The box that particles live in: its walls, and the axes along which it repeats."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.datasets.channel import Axis


@dataclass(frozen=True, slots=True)
class Box:
    """A box, in the units of the positions.

    Attributes:
        low, high: its corners, (dim,).
        periodic: along which axes it repeats; the others have walls. None for no axis.

    Raises:
        ValueError: lengths that differ, or a side that is not positive and finite.
    """

    low: tuple[float | int, ...]
    high: tuple[float | int, ...]
    periodic: tuple[bool, ...] = ()

    def __post_init__(self) -> None:
        periodic = self.periodic or (False,) * len(self.low)
        for name, values in (("low", self.low), ("high", self.high)):
            object.__setattr__(self, name, tuple(float(value) for value in values))
        object.__setattr__(self, "periodic", tuple(bool(value) for value in periodic))
        if not len(self.low) == len(self.high) == len(self.periodic):
            raise ValueError(
                f"Expected low, high and periodic of one length, got {self.low}, {self.high} and {self.periodic}."
            )
        if not all(math.isfinite(a) and math.isfinite(b) and a < b for a, b in zip(self.low, self.high)):
            raise ValueError(f"Expected a box with low < high along every axis, got {self.low} and {self.high}.")

    @property
    def dim(self) -> int:
        """Axes of space."""
        return len(self.low)

    @property
    def sides(self) -> tuple[float, ...]:
        """Lengths of the sides."""
        return tuple(b - a for a, b in zip(self.low, self.high))

    @property
    def walls(self) -> tuple[int, ...]:
        """The axes that end in walls."""
        return tuple(axis for axis, repeats in enumerate(self.periodic) if not repeats)

    def corners(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """``low`` and ``high`` as tensors (dim,) of the dtype and device of ``like``."""
        return like.new_tensor(self.low), like.new_tensor(self.high)

    def period(self, like: Tensor) -> Tensor | None:
        """Length of the period of each axis, infinite where there is none; None where no axis repeats."""
        if not any(self.periodic):
            return None
        return like.new_tensor([side if on else math.inf for side, on in zip(self.sides, self.periodic)])

    def difference(self, a: Float[Tensor, "*batch dim"], b: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """a - b, along periodic axes to the nearest image."""
        return self.nearest(a - b)

    def nearest(self, vector: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """The shortest image of a difference of positions."""
        period = self.period(vector)
        if period is None:
            return vector
        return vector - torch.where(period.isfinite(), period * (vector / period).round(), 0.0)

    def wrap(self, x: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Positions brought back into the box along its periodic axes."""
        period = self.period(x)
        if period is None:
            return x
        low, _ = self.corners(x)
        return x - torch.where(period.isfinite(), period * ((x - low) / period).floor(), 0.0)

    def as_dict(self) -> dict[str, Any]:
        """As JSON can hold it; ``parse_box`` takes it back."""
        return {"low": list(self.low), "high": list(self.high), "periodic": list(self.periodic)}


BoxLike: TypeAlias = Box | Mapping[str, Any]


def parse_box(box: BoxLike, dim: int) -> Box:
    """A box given as such or as the dict of a stored configuration.

    Raises:
        ValueError: it has not ``dim`` axes.
    """
    parsed = box if isinstance(box, Box) else Box(*(tuple(box.get(name, ())) for name in ("low", "high", "periodic")))
    if parsed.dim != dim:
        raise ValueError(f"Expected a box of {dim} axes, as the positions have, got {parsed}.")
    return parsed


def box_of(axes: Sequence[Axis]) -> Box:
    """The box of a particle data set, of its ``axes``; boundaries that the file leaves open count as walls."""
    ends = [(float(axis.coordinates[0]), float(axis.coordinates[-1])) for axis in axes]
    return Box(
        tuple(low for low, _ in ends), tuple(high for _, high in ends), tuple(a.boundary == "periodic" for a in axes)
    )
