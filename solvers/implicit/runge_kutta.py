"""Diagonally implicit Runge-Kutta steps over a vector field, for stiff problems."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..hermite import Hermite
from ..state import State, broadcast, rms_norm
from ..stepper import Interpolant, Step
from .flat import Layout, RowField
from .newton import Newton
from .stages import RowInterpolant, StagePolynomial, Stages, weighted
from .tableau import ImplicitTableau


class ImplicitRungeKutta(nn.Module):
    """A stepper from a vector field and a diagonally implicit tableau.

    The Jacobian is evaluated and I - gamma dt J factored once a step, sample by sample. Gradients are those of the
    implicit function, independent of the iterations; nothing of the iterations is kept for the backward pass.

    Args:
        vector_field: ``(t, y) -> dy/dt`` with t of shape (batch,), the result structured and shaped as y. A module's
            parameters are the stepper's.
        tableau: the method, such as ``KVAERNO5``.
        solver: how the stages are solved for; ``Newton(GMRES())`` for large states.
    """

    def __init__(
        self,
        vector_field: Callable[[Tensor, State], State],
        tableau: ImplicitTableau,
        *,
        solver: Newton | None = None,
    ) -> None:
        super().__init__()
        self.vector_field = vector_field
        self.tableau = tableau
        self.solver = Newton() if solver is None else solver
        self.order = tableau.order
        self.error_order = tableau.error_order
        self.dense_order = tableau.dense_order

    def over(self, vector_field: Callable[[Tensor, State], State]) -> ImplicitRungeKutta:
        """The same method over another vector field. (A Jacobian given to ``Dense`` stays that of the first.)"""
        return ImplicitRungeKutta(vector_field, self.tableau, solver=self.solver)

    def within(self, rtol: float | Tensor, atol: float | Tensor) -> ImplicitRungeKutta:
        """The same method with its iterations stopped by the tolerances of the solve."""
        return ImplicitRungeKutta(self.vector_field, self.tableau, solver=self.solver.within(rtol, atol))

    def start(self, t: Float[Tensor, " batch"], y: State) -> State | None:
        """The slope at (t, y), where the method's last stage gives it to the next step; else None."""
        return self.vector_field(t, y) if self.tableau.last is not None else None

    def slope(self, t: Float[Tensor, " batch"], y: State, reuse: State | None = None) -> State:
        """The time derivative at (t, y)."""
        return self.vector_field(t, y) if reuse is None else reuse

    def forward(self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State, reuse: Any = None) -> Step:
        """One step. ``reuse`` is the slope at (t, y), where known.

        Raises:
            ValueError: the vector field or the user's Jacobian returns another shape than y asks for.
        """
        tableau, layout = self.tableau, Layout(y)
        field, rows = RowField(self.vector_field, layout), layout.flatten(y)
        first = field(t, rows) if reuse is None else layout.flatten(reuse)
        stages = Stages.begin(self.solver, field, t, dt, rows, first, tableau.diagonal)
        step, slopes = broadcast(dt, rows), [first]
        for node, row, guess in list(zip(tableau.c, tableau.a, tableau.guesses))[1:]:
            base = rows + step * weighted(row, slopes)
            slopes.append(stages.slope(t + node * dt, base, weighted(guess, slopes), explicit=row[-1] == 0))
        end = stages.mask(rows + step * weighted(tableau.b, slopes))
        last = None if tableau.last is None else slopes[tableau.last]
        return Step(
            y=layout.restore(end),
            error=layout.restore(self._error(stages, step, slopes)) if tableau.b_error else None,
            reuse=None if last is None else layout.restore(last),
            dense=self._dense(layout, rows, end, dt, slopes),
            evaluations=stages.evaluations + (reuse is None),
            stiffness=self._stiffness(step, slopes),
        )

    def extra_repr(self) -> str:
        return self.tableau.name

    def _error(self, stages: Stages, step: Tensor, slopes: list[Tensor]) -> Tensor:
        error = step * weighted(self.tableau.b_error, slopes)
        return stages.mask(stages.filter(error) if self.tableau.filtered else error, torch.inf)

    def _dense(self, layout: Layout, rows: Tensor, end: Tensor, dt: Tensor, slopes: list[Tensor]) -> Interpolant | None:
        tableau = self.tableau
        if tableau.interpolant:
            return RowInterpolant(layout, StagePolynomial(tableau.interpolant, rows, dt, slopes))
        if tableau.dense_order is None or tableau.last is None:
            return None
        return RowInterpolant(layout, Hermite(dt, rows, end, slopes[0], slopes[tableau.last]))

    def _stiffness(self, step: Tensor, slopes: list[Tensor]) -> Callable[[], Tensor] | None:
        """|f(y_1) - f(y_2)| / |y_1 - y_2| over the last two stages, where both are at the end of the step."""
        tableau = self.tableau
        if len(tableau.c) < 2 or tableau.c[-2:] != (1.0, 1.0):
            return None
        before = (*tableau.a[-2], 0.0)
        between = tuple(last - other for last, other in zip(tableau.a[-1], before))

        def estimate() -> Tensor:
            distance = rms_norm(step * weighted(between, slopes))
            change = rms_norm(slopes[-1] - slopes[-2])
            return torch.where(distance > 0, change / torch.where(distance > 0, distance, 1.0), 0.0)

        return estimate
