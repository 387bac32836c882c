"""Reversible Heun: a scheme for Stratonovich SDEs whose steps can be undone exactly.

Source: P. Kidger, J. Foster, X. Li, T. Lyons, "Efficient and accurate gradients for neural SDEs", NeurIPS 2021,
algorithms 1 and 2.
"""

from __future__ import annotations

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

from ..arguments import BoundField
from ..state import broadcast, real_dtype
from ..stepper import Step
from .brownian import BrownianPath
from .sde import SDE, Calculus, Noise, as_sde, product
from .sde_stepper import check_validity

# The paper proves order 1 for additive noise and 1/2 otherwise; where noise commutes, 1 is measured (tests).
_ORDERS = {
    Noise.ADDITIVE: 1.0,
    Noise.DIAGONAL: 1.0,
    Noise.SCALAR: 1.0,
    Noise.COMMUTATIVE: 1.0,
    Noise.GENERAL: 0.5,
}


class Companion(NamedTuple):
    """What passes from step to step beside y: a second solution, and the coefficients there."""

    y: Tensor
    drift: Tensor
    diffusion: Tensor


class ReversibleHeunSDE(nn.Module):
    """Reversible Heun for SDEs, with one evaluation of drift and diffusion a step.

    Its gradients are exact in constant memory: ``solve(..., adjoint=ReversibleAdjoint())``.

    Args:
        sde: a Stratonovich SDE, or one with additive noise.
        path: of shape (batch, noise) for a matrix diffusion, of the state's shape for one of the state's shape.

    Raises:
        ValueError: the SDE is an Ito SDE.
    """

    def __init__(self, sde: SDE, path: BrownianPath) -> None:
        super().__init__()
        self.order = check_validity("ReversibleHeunSDE", Calculus.STRATONOVICH, _ORDERS, sde)
        self.error_order = 1.0
        self.vector_field, self.path = sde, path

    def over(self, vector_field: SDE | BoundField) -> ReversibleHeunSDE:
        """The same scheme and path for another SDE."""
        return ReversibleHeunSDE(as_sde(vector_field), self.path)

    def select(self, rows: Tensor) -> ReversibleHeunSDE:
        """The stepper of these samples alone."""
        return ReversibleHeunSDE(self.vector_field.select(rows), self.path.select(rows))

    def start(self, t: Float[Tensor, " batch"], y: Float[Tensor, "batch *state"]) -> Companion:
        """The second solution begins where the first does."""
        return self._coefficients(t, y)

    def forward(
        self,
        t: Float[Tensor, " batch"],
        dt: Float[Tensor, " batch"],
        y: Float[Tensor, "batch *state"],
        reuse: Companion | None = None,
    ) -> Step:
        """One step.

        Raises:
            ValueError: the shapes of diffusion, path and state do not fit each other.
        """
        before = self._coefficients(t, y) if reuse is None else reuse
        h, w = broadcast(dt, y), self.path(t, dt).to(real_dtype(y)).w
        shift = h * before.drift + product(before.diffusion, w, y)
        after = self._coefficients(t + dt, 2 * y - before.y + shift)
        end = h * after.drift + product(after.diffusion, w, y)
        return Step(
            y=y + 0.5 * (shift + end),
            error=0.5 * (end - shift),
            reuse=after,
            evaluations=1 + (reuse is None),
        )

    def reverse(
        self,
        t: Float[Tensor, " batch"],
        dt: Float[Tensor, " batch"],
        y: Float[Tensor, "batch *state"],
        reuse: Companion,
    ) -> tuple[Float[Tensor, "batch *state"], Companion]:
        """The state and companion at t from those at t + dt."""
        h, w = broadcast(dt, y), self.path(t, dt).to(real_dtype(y)).w
        end = h * reuse.drift + product(reuse.diffusion, w, y)
        before = self._coefficients(t, 2 * y - reuse.y - end)
        shift = h * before.drift + product(before.diffusion, w, y)
        return y - 0.5 * (shift + end), before

    def _coefficients(self, t: Tensor, y: Tensor) -> Companion:
        return Companion(y, *self.vector_field(t, y))
