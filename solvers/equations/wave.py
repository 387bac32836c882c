"""Waves in a medium of variable speed, u_tt = c^2 laplace u, in one, two or three dimensions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..state import broadcast
from ..stepper import Step
from .boundary import Boundaries, Dirichlet, Periodic, divergence_of_flux, per_axis


class Wave(nn.Module):
    """The vector field, for ``VelocityVerlet(Wave(spacing=1 / 64))`` or ``RungeKutta(Wave(spacing=1 / 64), TSIT5)``.

    Finite differences of second order in space. The state has the channels (u, u_t, c), so that the medium travels with
    the sample; the slope of c is zero. An explicit step must keep dt <= spacing / (c sqrt(dims)).

    Args:
        spacing: of the cells, one for all axes or one for each.
        boundary: ``Periodic()``, ``Dirichlet(value)`` or ``Neumann(slope)``, one for all axes or one for each.
    """

    def __init__(self, *, spacing: float | Sequence[float], boundary: Boundaries = Periodic()) -> None:  # noqa: B008
        super().__init__()
        self.spacing, self.boundary = spacing, boundary

    def forward(
        self, t: Float[Tensor, " batch"], y: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch channel *space"]:
        """The time derivative.

        Raises:
            ValueError: y has other than three channels.
        """
        u, rate, c = _channels(y)
        return torch.cat([rate, self.acceleration(u, c), torch.zeros_like(c)], dim=1)

    def acceleration(
        self, u: Float[Tensor, "batch 1 *space"], c: Float[Tensor, "batch 1 *space"]
    ) -> Float[Tensor, "batch 1 *space"]:
        """u_tt."""
        return c.square() * divergence_of_flux(u, None, self.boundary, self.spacing)

    def energy(self, y: Float[Tensor, "batch channel *space"]) -> Float[Tensor, " batch"]:
        """The integral of (u_t / c)^2 / 2 + |grad u|^2 / 2, which the semi-discrete equation conserves exactly.

        It does so on periodic axes, between Dirichlet faces held at their value, and between Neumann faces of slope 0.
        """
        u, rate, c = _channels(y)
        density = (rate / c).square().flatten(1).sum(1)
        volume = 1.0
        for axis, (side, h) in enumerate(per_axis(self.boundary, self.spacing, y.dim() - 2), start=2):
            jumps = torch.diff(side.extend(u, axis, h), dim=axis)
            # A periodic face appears at both ends; half of a Dirichlet ghost's jump lies within the box.
            halves = 0.5 if isinstance(side, (Periodic, Dirichlet)) else 1.0
            weight = torch.ones(jumps.shape[axis], dtype=u.dtype, device=u.device)
            weight[0] = weight[-1] = halves
            shape = [1] * u.dim()
            shape[axis] = -1
            density = density + (weight.reshape(shape) * (jumps / h).square()).flatten(1).sum(1)
            volume *= h
        return 0.5 * volume * density


class VelocityVerlet(nn.Module):
    """The leapfrog scheme, kick, drift, kick: symplectic, reversible, of second order, one evaluation per step.

    Source: L. Verlet, "Computer experiments on classical fluids I", Phys. Rev. 159 (1967). The energy oscillates within
    O(dt^2) of its value and does not drift.

    Args:
        wave: the equation.
    """

    order = 2

    def __init__(self, wave: Wave) -> None:
        super().__init__()
        self.wave = wave

    def start(
        self, t: Float[Tensor, " batch"], y: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch 1 *space"]:
        """The acceleration."""
        u, _, c = _channels(y)
        return self.wave.acceleration(u, c)

    def forward(
        self,
        t: Float[Tensor, " batch"],
        dt: Float[Tensor, " batch"],
        y: Float[Tensor, "batch channel *space"],
        reuse: Float[Tensor, "batch 1 *space"] | None = None,
    ) -> Step:
        """One step. ``reuse`` is the acceleration at y, where known.

        Raises:
            ValueError: y has other than three channels.
        """
        u, rate, c = _channels(y)
        length = broadcast(dt, u)
        before = self.wave.acceleration(u, c) if reuse is None else reuse
        middle = rate + 0.5 * length * before
        u = u + length * middle
        after = self.wave.acceleration(u, c)
        new = torch.cat([u, middle + 0.5 * length * after, c], dim=1)
        return Step(y=new, reuse=after, evaluations=1 + (reuse is None))


def _channels(y: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    if y.dim() < 3 or y.shape[1] != 3:
        raise ValueError(f"Expected y of shape (batch, 3, *space) with channels (u, u_t, c), got {tuple(y.shape)}.")
    u, rate, c = y.split(1, dim=1)
    return u, rate, c
