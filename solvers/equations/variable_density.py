"""Incompressible flow of fluids of different density: smoke, salt and fresh water, two phases."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.solvers.divergence_free import DivergenceFree, without
from sciml.solvers.finite_volume import van_leer
from sciml.solvers.linear.solving import LinearSolver
from sciml.solvers.stepper import Step


class VariableDensityFlow(nn.Module):
    """u_t + div(u u) = -grad p / rho + g + nu Laplacian u, rho_t + div(rho u) = 0, div u = 0, in two or three axes.

    A state (batch, dim + 1, *space) holds the velocities along each axis on the lower faces of the cells, then rho in
    the cells. Fluxes are those of upwind states with van Leer's slopes (MUSCL), in time Shu and Osher's method of
    second order, each stage projected with the density it has reached. Mass is conserved to rounding. Along axes that
    are not periodic the box ends in walls without friction. Steps are explicit: ``Courant(flow)`` covers any dt.

    Args:
        spacing: of the cells, one for all axes or one for each.
        gravity: acceleration along each axis; 0 along those left out.
        periodic: along which axes, one for all or one for each.
        viscosity: nu, of the velocity.
        solver: of the pressure's equation, which changes with the density: one that a bandit tunes finds its omega
            while the simulation runs.
    """

    order = 2

    def __init__(
        self,
        *,
        spacing: float | Sequence[float],
        gravity: Sequence[float] = (),
        periodic: bool | Sequence[bool] = False,
        viscosity: float = 0.0,
        solver: LinearSolver | None = None,
    ) -> None:
        super().__init__()
        if viscosity < 0:
            raise ValueError(f"Expected viscosity >= 0, got {viscosity}.")
        self.spacing, self.gravity, self.periodic, self.viscosity = spacing, tuple(gravity), periodic, viscosity
        self.incompressible = DivergenceFree(
            spacing=spacing, solver=solver, periodic=periodic, staggered=True, density=-1
        )

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Float[Tensor, "batch channel *space"]
    ) -> Step:
        """One step.

        Raises:
            ValueError: y has other channels, or a density that is not positive.
            LinearSolveError: the pressure could not be found.
        """
        dim = self._dim(y)
        if not torch.compiler.is_compiling() and not bool((y[:, dim] > 0).all()):
            raise ValueError(
                f"Expected a density > 0 in channel {dim}, got {float(y[:, dim].min()):.4g}. Take smaller steps: "
                "Courant(flow)."
            )
        step = dt.to(y).reshape(-1, *[1] * (y.dim() - 1))
        first = self.incompressible.project(y + step * self._rate(y))
        last = self.incompressible.project((y + first + step * self._rate(first)) / 2)
        return Step(y=last, evaluations=2)

    def longest_step(
        self, t: Float[Tensor, " batch"], y: Float[Tensor, "batch channel *space"], reuse: object = None
    ) -> Float[Tensor, " batch"]:
        """The step in which the fastest point crosses a cell, falls through one, or viscosity reaches over it."""
        dim = self._dim(y)
        rate = torch.zeros_like(y[:, 0])
        for axis, (h, _) in enumerate(self._axes(dim)):
            fall = abs(self.gravity[axis]) if axis < len(self.gravity) else 0.0
            rate = rate + y[:, axis].abs() / h + (fall / h) ** 0.5 + 2 * self.viscosity / h**2
        return 1 / rate.flatten(1).amax(dim=1).clamp(min=torch.finfo(y.dtype).tiny).to(t)

    def _rate(self, y: Tensor) -> Tensor:
        """The time derivative without the pressure."""
        dim = self._dim(y)
        velocity = list(y[:, :dim].unbind(1))
        rates = []
        for axis in range(dim):
            # Faces of the cell about a lower face: halfway to the neighbours along its axis.
            along = [(u + u.roll(1, 1 + axis)) / 2 for u in velocity]
            rate = self._advected(velocity[axis], along, axis)
            if axis < len(self.gravity):
                rate = rate + self.gravity[axis]
            rates.append(rate)
        return torch.stack([*rates, self._advected(y[:, dim], velocity, None)], dim=1)

    def _advected(self, q: Tensor, velocity: list[Tensor], normal: int | None) -> Tensor:
        """-div(q u), and for a velocity its diffusion, with ``velocity`` on the lower faces of the cells of q.

        ``normal`` is the axis of a velocity, whose cells begin half a cell before the wall: on it they are 0.
        """
        rate = torch.zeros_like(q)
        for axis, (h, repeats) in enumerate(self._axes(q.dim() - 1)):
            at = 1 + axis
            low, high = q - q.roll(1, at), q.roll(-1, at) - q
            if not repeats:
                low = without(low, at, 0)
                high = without(high, at, 0 if axis == normal else -1)
            slope = van_leer(low, high)
            w = velocity[axis]
            upwind = torch.where(w > 0, (q + slope / 2).roll(1, at), q - slope / 2)
            flux = w * upwind
            if normal is not None and self.viscosity:
                flux = flux - self.viscosity / h * low
            rate = rate - (flux.roll(-1, at) - flux) / h
        return rate

    def _axes(self, dim: int) -> list[tuple[float, bool]]:
        spacing = (self.spacing,) * dim if isinstance(self.spacing, float | int) else self.spacing
        periodic = (self.periodic,) * dim if isinstance(self.periodic, bool) else self.periodic
        return list(zip((float(h) for h in spacing), periodic))

    def _dim(self, y: Tensor) -> int:
        dim = y.dim() - 2
        if dim not in (2, 3) or y.shape[1] != dim + 1:
            raise ValueError(
                "Expected y of shape (batch, dim + 1, *space) with the velocities on lower faces and the density, got "
                f"{tuple(y.shape)}."
            )
        return dim
