"""Incompressible flow in a periodic box in two dimensions, in vorticity form.

w_t + u . grad w = nu laplace w - drag w + forcing, with w = v_x - u_y. Space axis 0 is x and belongs to u, axis 1 is y
and belongs to v.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from ..exponential import Semilinear
from ..spectral import PeriodicGrid
from .parameter import register


class NavierStokes(nn.Module):
    """The semilinear equation of w (batch, 1, nx, ny), for ``ExponentialRungeKutta(NavierStokes(1e-3), ETDRK4)``.

    The advection is computed as (d_xx - d_yy)(u v) + d_xy(v^2 - u^2), which takes two transforms each way
    (C. Basdevant, "Technical improvements for direct numerical simulation of homogeneous three-dimensional turbulence",
    J. Comput. Phys. 50 (1983)), free of aliasing, so that energy and enstrophy are conserved but for viscosity, drag
    and forcing. The mean vorticity is zero on a periodic box; a mean in the state moves nothing. The mean flow is zero.

    Args:
        viscosity: nu >= 0, a number or (batch,).
        length: of the box, one for both axes or one for each.
        drag: rate of linear damping, a number or (batch,).
        forcing: curl of the body force, a field (batch or 1, 1, nx, ny) or a function of t (batch,) that returns one.
    """

    viscosity: Tensor
    drag: Tensor

    def __init__(
        self,
        viscosity: float | Tensor,
        *,
        length: float | Sequence[float] = 1.0,
        drag: float | Tensor = 0.0,
        forcing: Tensor | Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        register(self, viscosity=viscosity, drag=drag)
        self.length = length
        self.forcing: Tensor | Callable[[Tensor], Tensor] | None
        if isinstance(forcing, Tensor):
            register(self, forcing=forcing)
        else:
            self.forcing = forcing

    def grid(self, y: Float[Tensor, "batch channel *space"]) -> PeriodicGrid:
        """The grid of a state.

        Raises:
            ValueError: y is not of shape (batch, 1, nx, ny).
        """
        if y.dim() != 4 or y.shape[1] != 1:
            raise ValueError(f"Expected vorticity y of shape (batch, 1, nx, ny), got {tuple(y.shape)}.")
        return PeriodicGrid.of(y, self.length, degree=2)

    def on(self, grid: PeriodicGrid) -> Semilinear:
        """The equation on a grid."""
        linear = grid.per_sample(self.viscosity) * grid.laplacian - grid.per_sample(self.drag)
        return Semilinear(linear, _Transport(grid, self._forcing_on(grid)))

    def _forcing_on(self, grid: PeriodicGrid) -> Callable[[Tensor], Tensor] | None:
        """The coefficients of the forcing as a function of time."""
        forcing = self.forcing
        if forcing is None:
            return None
        if not isinstance(forcing, Tensor):
            return lambda t: grid.forward(forcing(t).to(grid.dtype))
        if forcing.dim() != 4 or forcing.shape[1:] != (1, *grid.shape):
            raise ValueError(f"Expected forcing of shape (batch or 1, 1, *{grid.shape}), got {tuple(forcing.shape)}.")
        constant = grid.forward(forcing.to(grid.device, grid.dtype))
        return lambda t: constant


class _Transport:
    """-u . grad w + forcing, in coefficients."""

    def __init__(self, grid: PeriodicGrid, forcing: Callable[[Tensor], Tensor] | None) -> None:
        kx, ky = grid.wavenumbers
        self.grid, self.forcing = grid, forcing
        self.to_velocity = _biot_savart(grid)
        self.of_shear, self.of_stretch = kx.square() - ky.square(), kx * ky

    def __call__(
        self, t: Float[Tensor, " batch"], coefficients: Complex[Tensor, "batch 1 kx ky"]
    ) -> Complex[Tensor, "batch 1 kx ky"]:
        u, v = self.grid.inverse(self.to_velocity * coefficients).unbind(1)
        products = self.grid.forward(torch.stack([u * v, (v - u) * (v + u)], dim=1))
        transport = self.of_shear * products[:, :1] + self.of_stretch * products[:, 1:]
        return transport if self.forcing is None else transport + self.forcing(t)


def vorticity_of(
    velocity: Float[Tensor, "batch 2 nx ny"], *, length: float | Sequence[float] = 1.0
) -> Float[Tensor, "batch 1 nx ny"]:
    """The vorticity v_x - u_y of a velocity field on a periodic box."""
    grid = PeriodicGrid.of(velocity, length)
    u, v = grid.forward(velocity).split(1, dim=1)
    return grid.inverse(grid.gradient(0) * v - grid.gradient(1) * u)


def velocity_of(
    vorticity: Float[Tensor, "batch 1 nx ny"],
    *,
    length: float | Sequence[float] = 1.0,
    mean: Float[Tensor, "batch 2"] | None = None,
) -> Float[Tensor, "batch 2 nx ny"]:
    """The divergence-free velocity of a vorticity field on a periodic box, of zero mean flow unless given."""
    grid = PeriodicGrid.of(vorticity, length)
    velocity = grid.inverse(_biot_savart(grid) * grid.forward(vorticity))
    return velocity if mean is None else velocity + mean.to(velocity)[:, :, None, None]


def kolmogorov_forcing(
    like: Float[Tensor, "batch 1 nx ny"], *, amplitude: float = 1.0, wavenumber: int = 4, length: float = 1.0
) -> Float[Tensor, "1 1 nx ny"]:
    """The curl of the body force (amplitude sin(k y), 0), k = 2 pi wavenumber / length, on the grid of ``like``."""
    k = 2 * math.pi * wavenumber / length
    points = like.shape[-1]
    y = torch.arange(points, dtype=like.dtype, device=like.device) * (length / points)
    return (-amplitude * k * torch.cos(k * y)).expand(1, 1, *like.shape[2:]).contiguous()


def _biot_savart(grid: PeriodicGrid) -> Tensor:
    """The symbol (2, *modes) that takes vorticity to velocity: u = -psi_y, v = psi_x with laplace psi = w."""
    kx, ky = grid.wavenumbers
    square = -grid.laplacian
    inverse = torch.where(square > 0, 1 / square.clamp(min=torch.finfo(grid.dtype).tiny), torch.zeros_like(square))
    return 1j * torch.stack([ky * inverse, -kx * inverse])
