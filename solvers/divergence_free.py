"""Velocities without divergence, by a pressure that a linear solver finds."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.linear.stencil import Stencil, nearest_offsets

from .equations.boundary import Boundary, Neumann, Periodic, face_conductivity
from .linear.grids import diffusion_matrix
from .linear.krylov import SSORPCG
from .linear.solving import LinearSolver


class DivergenceFree:
    """The constraint div u = 0 of incompressible flow: the projection takes the gradient of a pressure off u.

    Chorin, "Numerical solution of the Navier-Stokes equations", Math. Comp. 22, 1968. The divergence is that of central
    differences between the points where u is given, or, ``staggered``, of the faces of cells (Harlow, Welch, "Numerical
    calculation of time-dependent viscous incompressible flow", Phys. Fluids 8, 1965), and it vanishes to the solver's
    tolerance. Along an axis that is not periodic the box ends in walls, half a spacing from the last points, through
    which nothing flows. With a density the pressure acts on 1 / rho, as in flows of two phases.

    Args:
        spacing: of the points, one for all axes or one for each.
        solver: of the pressure's equation, ``SSORPCG(1.5, tol=1e-6)`` by default; on fine grids ``MultigridPCG``, whose
            iterations do not grow with them.
        channels: of the velocity, one for each axis; the first ones by default.
        periodic: along which axes, one for all or one for each.
        staggered: the velocity along an axis is given on the lower faces of the cells along it.
        density: channel of rho, > 0, in the cells; None where it is constant. Only ``staggered``.

    Raises:
        ValueError: a density without faces, or a spacing that is not positive.
    """

    def __init__(
        self,
        *,
        spacing: float | Sequence[float],
        solver: LinearSolver | None = None,
        channels: Sequence[int] | None = None,
        periodic: bool | Sequence[bool] = True,
        staggered: bool = False,
        density: int | None = None,
    ) -> None:
        if density is not None and not staggered:
            raise ValueError("Expected staggered=True with a density, whose jumps central differences do not see.")
        if min([spacing] if isinstance(spacing, float | int) else spacing) <= 0:
            raise ValueError(f"Expected spacing > 0, got {spacing}.")
        self.spacing, self.periodic, self.channels = spacing, periodic, channels
        self.staggered, self.density = staggered, density
        self.solver: LinearSolver = SSORPCG(1.5, tol=1e-6) if solver is None else solver

    def residual(self, y: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch *space"]:
        """The divergence, one over time.

        Raises:
            ValueError: too few channels, or too few points along a periodic axis.
        """
        box = self._box(y)
        return _divergence(self._velocity(y, box), box, self.staggered)

    def project(self, y: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel *space"]:
        """The state with the divergence-free part of its velocity; other channels stay.

        Raises:
            ValueError: as ``residual``.
            LinearSolveError: the pressure could not be found.
        """
        box = self._box(y)
        velocity = self._velocity(y, box)
        if self.staggered:
            velocity = _closed(velocity, box)
            kick = self._faces(y, box, _divergence(velocity, box, True))
        else:
            kick = self._points(box, _divergence(velocity, box, False))
        parts = list(y.unbind(1))
        for axis, channel in enumerate(box.channels):
            parts[channel] = velocity[axis] - kick[axis]
        return torch.stack(parts, dim=1)

    def _box(self, y: Tensor) -> _Box:
        dim = y.dim() - 2
        spacing = (float(self.spacing),) * dim if isinstance(self.spacing, float | int) else tuple(self.spacing)
        periodic = (self.periodic,) * dim if isinstance(self.periodic, bool) else tuple(self.periodic)
        channels = tuple(range(dim)) if self.channels is None else tuple(self.channels)
        if not len(spacing) == len(periodic) == len(channels) == dim or max(channels, default=0) >= y.shape[1]:
            raise ValueError(
                f"Expected y of shape (batch, channel, *space) with a velocity in channels {channels} and a spacing, "
                f"and whether it is periodic, for each axis, got {tuple(y.shape)}, {spacing} and {periodic}."
            )
        return _Box(tuple(y.shape[2:]), spacing, periodic, channels)

    def _velocity(self, y: Tensor, box: _Box) -> list[Tensor]:
        return [y[:, channel] for channel in box.channels]

    def _faces(self, y: Tensor, box: _Box, divergence: Tensor) -> list[Tensor]:
        """Kicks on lower faces: the gradient of the pressure of cells, over the density."""
        if self.density is None:
            light, matrix = torch.ones_like(divergence), _cells(box, y.dtype, y.device)
        else:
            light = 1 / y[:, self.density]
            matrix = diffusion_matrix(light, spacing=box.spacing, boundary=box.sides)
        pressure = self._pressure(matrix, divergence, box.dim)
        kicks = []
        for axis, (h, _) in box.axes():
            face = face_conductivity(light.roll(1, axis), light)
            kicks.append(face * (pressure - pressure.roll(1, axis)) / h)
        return _closed(kicks, box)

    def _points(self, box: _Box, divergence: Tensor) -> list[Tensor]:
        """Kicks at points: the central gradient of a pressure whose equation couples points two apart."""
        rings = _rings(box, divergence.device)
        matrix = _ring_matrix(rings.shape, box.spacing, divergence.dtype, divergence.device)
        pressure = rings.given(self._pressure(matrix, rings.taken(divergence), box.dim))
        return [_central(pressure, axis, h, repeats, odd=False) for axis, (h, repeats) in box.axes()]

    def _pressure(self, matrix: Stencil, divergence: Tensor, dim: int) -> Tensor:
        """p with -A p = div u; the mean, which no equation holds, is 0."""
        space = tuple(range(1, dim + 1))
        right = -(divergence - divergence.mean(space, keepdim=True))
        return self.solver(matrix, right).x


class _Box(NamedTuple):
    """The grid of a call."""

    shape: tuple[int, ...]
    spacing: tuple[float, ...]
    periodic: tuple[bool, ...]
    channels: tuple[int, ...]

    @property
    def dim(self) -> int:
        return len(self.shape)

    @property
    def sides(self) -> list[Boundary]:
        """Of the pressure."""
        return [Periodic() if repeats else Neumann() for repeats in self.periodic]

    def axes(self) -> list[tuple[int, tuple[float, bool]]]:
        """Tensor axis of (batch, *space), spacing and whether it is periodic."""
        return list(enumerate(zip(self.spacing, self.periodic), start=1))


def _divergence(velocity: list[Tensor], box: _Box, staggered: bool) -> Tensor:
    total = torch.zeros_like(velocity[0])
    for u, (axis, (h, repeats)) in zip(velocity, box.axes()):
        if not staggered:
            total = total + _central(u, axis, h, repeats, odd=True)
            continue
        after = u.roll(-1, axis)
        after = after if repeats else without(after, axis, -1)  # the far wall
        total = total + (after - u) / h
    return total


def _closed(faces: list[Tensor], box: _Box) -> list[Tensor]:
    """Nothing on the near walls, which are faces too."""
    return [u if repeats else without(u, axis, 0) for u, (axis, (_, repeats)) in zip(faces, box.axes())]


def without(x: Tensor, axis: int, place: int) -> Tensor:
    """x, but 0 at a place along an axis, which counts from the end where it is negative."""
    n = x.shape[axis]
    there = torch.arange(n, device=x.device) == place % n
    return x.masked_fill(there.reshape([-1 if k == axis else 1 for k in range(x.dim())]), 0.0)


def _central(u: Tensor, axis: int, h: float, repeats: bool, *, odd: bool) -> Tensor:
    """(u[i+1] - u[i-1]) / 2h; beyond a wall there is the mirror image, of the other sign where ``odd``."""
    n = u.shape[axis]
    first, last = u.narrow(axis, 0, 1), u.narrow(axis, n - 1, 1)
    if repeats:
        before, after = last, first
    else:
        before, after = (-first, -last) if odd else (first, last)
    wide = torch.cat([before, u, after], dim=axis)
    return (wide.narrow(axis, 2, n) - wide.narrow(axis, 0, n)) / (2 * h)


class _Rings(NamedTuple):
    """Points two apart along each axis, as rings of neighbours.

    Between walls the even points, upwards, and the odd ones, back down, are one ring, as mirror images are neighbours;
    along a periodic axis of an even number of points they are two rings, and of an odd number one.
    """

    orders: tuple[Tensor, ...]  # (ring, place) along each axis: which point
    shape: tuple[int, ...]

    def taken(self, x: Tensor) -> Tensor:
        """A field (batch, *space) as (batch * rings, *shape)."""
        for axis, order in enumerate(self.orders):
            x = x.index_select(1 + axis, order.flatten())
        counts = [len(order) for order in self.orders]
        x = x.reshape(len(x), *(n for pair in zip(counts, self.shape) for n in pair))
        dim = len(counts)
        x = x.permute(0, *range(1, 2 * dim, 2), *range(2, 2 * dim + 1, 2))
        return x.reshape(-1, *self.shape)

    def given(self, x: Tensor) -> Tensor:
        """Back to (batch, *space)."""
        counts, dim = [len(order) for order in self.orders], len(self.orders)
        x = x.reshape(-1, *counts, *self.shape)
        x = x.permute(0, *(part for axis in range(dim) for part in (1 + axis, 1 + dim + axis)))
        x = x.reshape(len(x), *(a * b for a, b in zip(counts, self.shape)))
        for axis, order in enumerate(self.orders):
            x = x.index_select(1 + axis, order.flatten().argsort())
        return x


def _rings(box: _Box, device: torch.device) -> _Rings:
    orders = []
    for n, repeats in zip(box.shape, box.periodic):
        if n < (6 if repeats and n % 2 == 0 else 3):
            raise ValueError(
                f"Expected at least 3 points along each axis, and 6 where an even number is periodic, got {box.shape}."
            )
        even, odd = torch.arange(0, n, 2, device=device), torch.arange(1, n, 2, device=device)
        if not repeats:
            orders.append(torch.cat([even, odd.flip(0)])[None])
        else:
            orders.append(torch.stack([even, odd]) if n % 2 == 0 else torch.cat([even, odd])[None])
    return _Rings(tuple(orders), tuple(order.shape[1] for order in orders))


@lru_cache(maxsize=16)
def _ring_matrix(
    shape: tuple[int, ...], spacing: tuple[float, ...], dtype: torch.dtype, device: torch.device
) -> Stencil:
    weights = torch.tensor([1 / (4 * h**2) for h in spacing for _ in range(2)], dtype=dtype, device=device)
    ones = (1,) * len(shape)
    diagonal = weights.sum().reshape(1, *ones)
    return Stencil(shape, nearest_offsets(len(shape)), -weights.reshape(1, -1, *ones), diagonal, (True,) * len(shape))


@lru_cache(maxsize=16)
def _cells(box: _Box, dtype: torch.dtype, device: torch.device) -> Stencil:
    one = torch.ones(1, *box.shape, dtype=dtype, device=device)
    return diffusion_matrix(one, spacing=box.spacing, boundary=box.sides)
