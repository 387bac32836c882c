"""Conservation laws on uniform grids in one to three dimensions: ghost cells, reconstruction, flux differences.

Everything works on whole arrays (batch, channel, *space); ``axis`` counts the space axes from 0. Velocity components,
which a wall reflects, are the channels 1 to the number of axes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

Boundary: TypeAlias = Callable[[Tensor, int, int], tuple[Tensor, Tensor]]
"""``(field, axis, ghosts) -> (low, high)``: the ghost cells before and after the field along an axis."""

AxisBoundary: TypeAlias = Boundary | tuple[Boundary, Boundary]
"""One boundary for both ends of an axis, or a pair (low, high)."""

Limiter: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""The slope of a cell from the differences to its lower and upper neighbour."""


def periodic(field: Tensor, axis: int, ghosts: int) -> tuple[Tensor, Tensor]:
    """The cells of the other end."""
    dim, cells = axis + 2, field.shape[axis + 2]
    return field.narrow(dim, cells - ghosts, ghosts), field.narrow(dim, 0, ghosts)


def outflow(field: Tensor, axis: int, ghosts: int) -> tuple[Tensor, Tensor]:
    """The last cell continued: waves leave."""
    dim, cells = axis + 2, field.shape[axis + 2]
    shape = [ghosts if k == dim else -1 for k in range(field.dim())]
    return field.narrow(dim, 0, 1).expand(shape), field.narrow(dim, cells - 1, 1).expand(shape)


def wall(field: Tensor, axis: int, ghosts: int) -> tuple[Tensor, Tensor]:
    """The mirror image, its normal velocity reversed: a solid frictionless wall."""
    dim, cells = axis + 2, field.shape[axis + 2]
    sign = torch.where(torch.arange(field.shape[1], device=field.device) == 1 + axis, -1.0, 1.0).to(field.dtype)
    sign = sign.reshape(-1, *([1] * (field.dim() - 2)))
    low, high = field.narrow(dim, 0, ghosts), field.narrow(dim, cells - ghosts, ghosts)
    return low.flip(dim) * sign, high.flip(dim) * sign


def pad(
    field: Float[Tensor, "batch channel *space"], axis: int, ghosts: int, boundary: AxisBoundary
) -> Float[Tensor, "batch channel *padded"]:
    """The field with ghost cells at both ends of an axis.

    Raises:
        ValueError: the axis has fewer cells than ghosts.
    """
    if field.shape[axis + 2] < ghosts:
        raise ValueError(
            f"Expected at least {ghosts} cells along space axis {axis}, which the reconstruction reaches over, "
            f"got {field.shape[axis + 2]}. Refine the grid or use MUSCL, which reaches over 2."
        )
    low, high = boundary if isinstance(boundary, tuple) else (boundary, boundary)
    before, after = low(field, axis, ghosts)[0], high(field, axis, ghosts)[1]
    return torch.cat([before, field, after], dim=axis + 2)


def minmod(low: Tensor, high: Tensor) -> Tensor:
    """The smaller difference, 0 at an extremum (P. L. Roe, 1986)."""
    smaller = torch.where(low.abs() < high.abs(), low, high)
    return torch.where(low * high > 0, smaller, torch.zeros_like(low))


def mc(low: Tensor, high: Tensor) -> Tensor:
    """Monotonised central: the mean difference, at most twice the smaller (B. van Leer, 1977)."""
    return minmod(0.5 * (low + high), 2 * minmod(low, high))


def van_leer(low: Tensor, high: Tensor) -> Tensor:
    """The harmonic mean of the differences, 0 at an extremum (B. van Leer, 1974)."""
    product = low * high
    same = product > 0
    mean = 2 * product / torch.where(same, low + high, torch.ones_like(low))
    return torch.where(same, mean, torch.zeros_like(low))


@runtime_checkable
class Reconstruction(Protocol):
    """States on both sides of the faces, from a padded field.

    Attributes:
        ghosts: ghost cells that it and its flux differences need.
        differences: weights of the flux differences over 1, 3, 5, ... cells in the flux derivative at a cell.
    """

    @property
    def ghosts(self) -> int: ...

    @property
    def differences(self) -> tuple[float, ...]: ...

    def __call__(self, field: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """(left, right) at the n + 2 len(differences) - 1 faces, for a field of n cells and the ghosts."""
        ...


@dataclass(frozen=True)
class PiecewiseConstant:
    """Godunov's first-order method."""

    ghosts: int = 1
    differences: tuple[float, ...] = (1.0,)

    def __call__(self, field: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """The cells on both sides."""
        faces = field.shape[axis + 2] - 1
        return field.narrow(axis + 2, 0, faces), field.narrow(axis + 2, 1, faces)


@dataclass(frozen=True)
class MUSCL:
    """Second order: limited slopes in the cells (B. van Leer, "Towards the ultimate conservative difference scheme V",
    J. Comput. Phys. 32 (1979)). A face value lies between those of its cell and the neighbour, so it stays positive.

    Attributes:
        limiter: ``minmod``, ``mc`` or ``van_leer``.
    """

    limiter: Limiter = van_leer
    ghosts: int = 2
    differences: tuple[float, ...] = (1.0,)

    def __call__(self, field: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """The ends of the lines through the cells."""
        dim, cells = axis + 2, field.shape[axis + 2] - 2
        change = field.diff(dim=dim)
        half = 0.5 * self.limiter(change.narrow(dim, 0, cells), change.narrow(dim, 1, cells))
        inner = field.narrow(dim, 1, cells)
        upper, lower = inner + half, inner - half
        return upper.narrow(dim, 0, cells - 1), lower.narrow(dim, 1, cells - 1)


@dataclass(frozen=True)
class WENO5:
    """Fifth order, in several dimensions too: point values are interpolated to the faces, and the fluxes there are
    differenced to sixth order.

    The interpolation and the differences are those of X. Deng, H. Zhang, "Developing high-order weighted compact
    nonlinear schemes", J. Comput. Phys. 165 (2000), the differences in their explicit form; the weights are the WENO-Z
    ones of R. Borges et al., J. Comput. Phys. 227 (2008), with power 2. A finite volume scheme that reconstructs along
    the axes, from averages of nonlinear variables, would be of second order whatever its polynomial degree.
    """

    ghosts: int = 5
    differences: tuple[float, ...] = (75 / 64, -25 / 384, 3 / 640)

    def __call__(self, field: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """The interpolants at the upper and the lower face of the cells."""
        dim, cells = axis + 2, field.shape[axis + 2] - 4
        points = [field.narrow(dim, k, cells) for k in range(5)]
        floor = _noise(field)
        upper, lower = _weno(points, floor), _weno(points[::-1], floor)
        return upper.narrow(dim, 0, cells - 1), lower.narrow(dim, 1, cells - 1)


def _weno(points: list[Tensor], floor: Tensor) -> Tensor:
    """The value half a cell above the middle one of five points."""
    a, b, c, d, e = points
    candidates = (
        0.375 * a - 1.25 * b + 1.875 * c,
        -0.125 * b + 0.75 * c + 0.375 * d,
        0.375 * c + 0.75 * d - 0.125 * e,
    )
    roughness = (
        _square(a - 2 * b + c) * (13 / 12) + _square(a - 4 * b + 3 * c) * 0.25,
        _square(b - 2 * c + d) * (13 / 12) + _square(b - d) * 0.25,
        _square(c - 2 * d + e) * (13 / 12) + _square(3 * c - 4 * d + e) * 0.25,
    )
    contrast = roughness[0] - roughness[2]
    weights = [
        ideal * (1 + _square(contrast / (rough + floor)))
        for ideal, rough in zip((0.0625, 0.625, 0.3125), roughness, strict=True)
    ]
    total = weights[0] + weights[1] + weights[2]
    # Written as a correction of the middle candidate: a constant field is then reproduced to the last bit.
    low, middle, high = candidates
    return c + (middle - c) + (weights[0] * (low - middle) + weights[2] * (high - middle)) / total


def _noise(field: Tensor) -> Tensor:
    """Squared differences that are rounding, per sample and channel: it makes the weights independent of units."""
    size = field.detach().abs().amax(dim=tuple(range(2, field.dim())), keepdim=True)
    limits = torch.finfo(field.dtype)
    return _square(limits.eps * size) + limits.tiny


def _square(value: Tensor) -> Tensor:
    return value * value


@dataclass(frozen=True)
class Positive:
    """Wraps a reconstruction: a face value of a positive quantity that falls below a tenth of its cell's makes that
    side of the face first order, in all channels.

    Attributes:
        reconstruction: the one to guard.
        channels: the channels that must stay positive.
        fraction: of the cell's value, at which the guard acts.
    """

    reconstruction: Reconstruction
    channels: tuple[int, ...]
    fraction: float = 0.1

    @property
    def ghosts(self) -> int:
        """Those of the wrapped one."""
        return self.reconstruction.ghosts

    @property
    def differences(self) -> tuple[float, ...]:
        """Those of the wrapped one."""
        return self.reconstruction.differences

    def __call__(self, field: Tensor, axis: int) -> tuple[Tensor, Tensor]:
        """The wrapped values, or the cells' own."""
        left, right = self.reconstruction(field, axis)
        dim, faces = axis + 2, left.shape[axis + 2]
        first = (field.shape[dim] - faces) // 2  # the cell below the first face
        below, above = field.narrow(dim, first, faces), field.narrow(dim, first + 1, faces)
        return self._guard(left, below), self._guard(right, above)

    def _guard(self, face: Tensor, cell: Tensor) -> Tensor:
        safe = torch.ones_like(face[:, :1], dtype=torch.bool)
        for k in self.channels:
            safe = safe & (face[:, k, None] > self.fraction * cell[:, k, None])
        return torch.where(safe, face, cell)


def flux_divergence(
    field: Float[Tensor, "batch channel *space"],
    flux: Callable[[Tensor, Tensor, int], Tensor],
    *,
    spacing: Sequence[float],
    boundaries: Sequence[AxisBoundary],
    reconstruction: Reconstruction,
) -> Float[Tensor, "batch channel *space"]:
    """Sum over the axes of d flux / dx, in conservative form.

    Args:
        field: the variables to reconstruct.
        flux: ``(left, right, axis)``, the flux through faces between two states.
        spacing: cell size along each axis.
        boundaries: of each axis.
        reconstruction: of the face states.
    """
    axes = range(field.dim() - 2)
    parts = [
        _flux_derivative(field, axis, flux, boundaries[axis], reconstruction) * (1 / spacing[axis]) for axis in axes
    ]
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _flux_derivative(
    field: Tensor,
    axis: int,
    flux: Callable[[Tensor, Tensor, int], Tensor],
    boundary: AxisBoundary,
    reconstruction: Reconstruction,
) -> Tensor:
    """d flux / dx along one axis, times the spacing."""
    padded = pad(field, axis, reconstruction.ghosts, boundary)
    fluxes = flux(*reconstruction(padded, axis), axis)
    dim, cells, reach = axis + 2, field.shape[axis + 2], len(reconstruction.differences) - 1
    total = torch.zeros_like(field)
    for k, weight in enumerate(reconstruction.differences):
        ahead, behind = fluxes.narrow(dim, reach + 1 + k, cells), fluxes.narrow(dim, reach - k, cells)
        total = total + (ahead - behind) * weight
    return total
