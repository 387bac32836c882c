"""Rosenbrock steps: implicit Runge-Kutta steps of which each stage is one linear system, with no iteration."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..state import State, broadcast
from ..stepper import Step
from .flat import Layout, RowField
from .implicit_function import implicit
from .jacobian import Dense, Factor, LinearSolver
from .rosenbrock_tableau import RosenbrockTableau
from .stages import RowInterpolant, StagePolynomial, differentiable, weighted


class Rosenbrock(nn.Module):
    """A stepper from a vector field and a Rosenbrock tableau.

    The method needs the Jacobian exactly: its order, and with ``GMRES`` its accuracy, rest on it. Gradients are exact;
    they are taken through products with the Jacobian, never through the matrix.

    Args:
        vector_field: ``(t, y) -> dy/dt`` with t of shape (batch,), the result structured and shaped as y. A module's
            parameters are the stepper's.
        tableau: the method, such as ``RODAS5P``.
        linear: how the linear systems are solved.
        derivatives: how many orders of derivatives of a step are exact.
    """

    def __init__(
        self,
        vector_field: Callable[[Tensor, State], State],
        tableau: RosenbrockTableau,
        *,
        linear: LinearSolver | None = None,
        derivatives: int = 1,
    ) -> None:
        super().__init__()
        self.vector_field = vector_field
        self.tableau = tableau
        self.linear: LinearSolver = Dense() if linear is None else linear
        self.derivatives = derivatives
        self.order = tableau.order
        self.error_order = tableau.error_order
        self.dense_order = tableau.dense_order

    def over(self, vector_field: Callable[[Tensor, State], State]) -> Rosenbrock:
        """The same method over another vector field. (A Jacobian given to ``Dense`` stays that of the first.)"""
        return Rosenbrock(vector_field, self.tableau, linear=self.linear, derivatives=self.derivatives)

    def start(self, t: Float[Tensor, " batch"], y: State) -> State | None:
        """The slope at (t, y), where the method's last stage evaluates it for the next step; else None."""
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
        system = self._system(field, t, dt, rows, first)
        values, increments = [first], [system.solve(first, None, tableau.d[0])]
        for i in range(1, len(tableau.m)):
            values.append(field(t + tableau.alpha[i] * dt, rows + weighted(tableau.a[i], increments)))
            increments.append(system.solve(values[-1], weighted(tableau.C[i], increments), tableau.d[i]))
        change = weighted(tableau.m, increments)
        dense = StagePolynomial(tableau.interpolant, rows, torch.ones_like(dt), increments)
        return Step(
            y=layout.restore(rows + change),
            error=layout.restore(weighted(tableau.m_error, increments)),
            reuse=None if tableau.last is None else layout.restore(values[tableau.last]),
            dense=RowInterpolant(layout, dense) if tableau.interpolant else None,
            evaluations=len(values) - (reuse is not None) + system.evaluations,
        )

    def extra_repr(self) -> str:
        return self.tableau.name

    def _system(self, field: RowField, t: Tensor, dt: Tensor, y: Tensor, first: Tensor) -> _System:
        linear = self.linear.linearise(field, t, y)
        step = broadcast(dt, y)
        shift = self.tableau.gamma * step
        with torch.no_grad():
            # Contiguous: forward mode refuses expanded tensors.
            drift = torch.func.jvp(lambda s: field(s, y), (t.contiguous(),), (torch.ones_like(t),))[1]
        return _System(
            field=field,
            t=t,
            y=y,
            step=step,
            gamma=self.tableau.gamma,
            drift=drift,
            factor=linear.factor(shift.detach()[:, 0]),
            derivatives=self.derivatives if differentiable(first, y, step, t) else 0,
            evaluations=linear.evaluations + 1,
        )


@dataclass
class _System:
    """The linear systems of one step."""

    field: RowField
    t: Tensor
    y: Tensor
    step: Tensor  # dt, (batch, 1)
    gamma: float
    drift: Tensor  # df/dt
    factor: Factor
    derivatives: int
    evaluations: Any

    def solve(self, value: Tensor, coupling: Tensor | None, d: float) -> Tensor:
        """The increment u with (I - gamma dt J) u = gamma dt (value + d dt df/dt) + gamma coupling."""
        shift = self.gamma * self.step
        right = shift * value if coupling is None else shift * value + self.gamma * coupling
        with torch.no_grad():
            solved = self.factor.solve(right if d == 0 else right + d * shift * self.step * self.drift)
        self.evaluations = self.evaluations + solved.evaluations
        if not self.derivatives:
            return solved.x
        self.evaluations = self.evaluations + self.derivatives

        def residual(increment: Tensor) -> Tensor:
            # J gamma dt u + d gamma dt^2 df/dt: one directional derivative of the field.
            along_t = (d * shift * self.step)[:, 0].to(self.t.dtype)
            product = torch.func.jvp(self.field, (self.t.contiguous(), self.y), (along_t, shift * increment))[1]
            return right - increment + product

        return implicit(solved.x, residual, self.factor.precondition, derivatives=self.derivatives)
