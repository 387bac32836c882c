"""What lies beyond the faces of a box of cells; cell i of an axis is centred at (i + 1/2) spacing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Boundary(Protocol):
    """Adds one ghost cell at either end of an axis."""

    def extend(self, u: Tensor, axis: int, spacing: float) -> Tensor:
        """A field whose boundary values or slopes are prescribed."""
        ...

    def extend_coefficient(self, k: Tensor, axis: int) -> Tensor:
        """A material coefficient, of which nothing is prescribed."""
        ...


@dataclass(frozen=True)
class Periodic:
    """The far end follows."""

    def extend(self, u: Tensor, axis: int, spacing: float) -> Tensor:
        return self.extend_coefficient(u, axis)

    def extend_coefficient(self, k: Tensor, axis: int) -> Tensor:
        return torch.cat([k.narrow(axis, k.shape[axis] - 1, 1), k, k.narrow(axis, 0, 1)], dim=axis)


@dataclass(frozen=True)
class Dirichlet:
    """The field takes ``value`` on both faces."""

    value: float = 0.0

    def extend(self, u: Tensor, axis: int, spacing: float) -> Tensor:
        first, last = _ends(u, axis)
        return torch.cat([2 * self.value - first, u, 2 * self.value - last], dim=axis)

    def extend_coefficient(self, k: Tensor, axis: int) -> Tensor:
        return _replicate(k, axis)


@dataclass(frozen=True)
class Neumann:
    """The field has the outward normal derivative ``slope`` on both faces; 0 lets nothing through."""

    slope: float = 0.0

    def extend(self, u: Tensor, axis: int, spacing: float) -> Tensor:
        first, last = _ends(u, axis)
        return torch.cat([first + self.slope * spacing, u, last + self.slope * spacing], dim=axis)

    def extend_coefficient(self, k: Tensor, axis: int) -> Tensor:
        return _replicate(k, axis)


Boundaries: TypeAlias = Boundary | Sequence[Boundary]
"""One for all axes, or one for each."""


def per_axis(boundary: Boundaries, spacing: float | Sequence[float], axes: int) -> list[tuple[Boundary, float]]:
    """The boundary and the spacing of each space axis.

    Raises:
        ValueError: there is not one for each axis, or a spacing is not positive.
    """
    boundaries = list(boundary) if isinstance(boundary, Sequence) else [boundary] * axes
    spacings = [float(spacing)] * axes if isinstance(spacing, (int, float)) else [float(h) for h in spacing]
    if len(boundaries) != axes or len(spacings) != axes or min(spacings) <= 0:
        raise ValueError(
            f"Expected one boundary and one spacing > 0, or one for each of {axes} space axes, "
            f"got {boundary} and {spacing}."
        )
    return list(zip(boundaries, spacings))


def divergence_of_flux(u: Tensor, k: Tensor | None, boundary: Boundaries, spacing: float | Sequence[float]) -> Tensor:
    """div(k grad u) of cells (batch, channel, *space), to second order and conservative; k of 1 where None."""
    total = torch.zeros_like(u)
    for axis, (side, h) in enumerate(per_axis(boundary, spacing, u.dim() - 2), start=2):
        flux = torch.diff(side.extend(u, axis, h), dim=axis) / h
        if k is not None:
            cells = side.extend_coefficient(k, axis)
            count = cells.shape[axis] - 1
            left, right = cells.narrow(axis, 0, count), cells.narrow(axis, 1, count)
            flux = flux * face_conductivity(left, right)
        total = total + torch.diff(flux, dim=axis) / h
    return total


def face_conductivity(left: Tensor, right: Tensor) -> Tensor:
    """The harmonic mean of the cells on both sides of a face, 0 between two of 0.

    It is that of two resistances in series, so that the flux is continuous where k jumps (S. V. Patankar,
    "Numerical Heat Transfer and Fluid Flow", 1980, eq. 4.9).
    """
    total = left + right
    return 2 * left * right / torch.where(total > 0, total, 1.0)  # with a gradient of 0 there, not NaN


def _ends(u: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    return u.narrow(axis, 0, 1), u.narrow(axis, u.shape[axis] - 1, 1)


def _replicate(k: Tensor, axis: int) -> Tensor:
    first, last = _ends(k, axis)
    return torch.cat([first, k, last], dim=axis)
