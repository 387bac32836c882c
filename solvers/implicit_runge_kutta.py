"""Diagonally implicit Runge-Kutta steps over a vector field, for stiff problems."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .flat import Layout, RowField
from .hermite import Hermite
from .implicit_function import implicit
from .implicit_tableau import ImplicitTableau
from .jacobian import Factor
from .newton import Newton
from .state import State, broadcast, map_state, rms_norm
from .stepper import Interpolant, Step


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

    def within(self, rtol: float, atol: float | Tensor) -> ImplicitRungeKutta:
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


@dataclass
class Stages:
    """The implicit stages of one step: what they share and what they have spent."""

    solver: Newton
    field: RowField
    factor: Factor
    t: Tensor
    y: Tensor
    shift: Tensor  # gamma dt, (batch, 1)
    scale: Tensor
    differentiable: bool
    converged: Tensor
    evaluations: Any
    rate: Tensor | None = None

    @classmethod
    def begin(
        cls, solver: Newton, field: RowField, t: Tensor, dt: Tensor, y: Tensor, first: Tensor, gamma: float
    ) -> Stages:
        """Linearise ``field`` at (t, y), where its slope is ``first``."""
        linear = solver.linear.linearise(field, t, y)
        shift = broadcast(gamma * dt, y)
        return cls(
            solver=solver,
            field=field,
            factor=linear.factor(shift.detach()[:, 0]),
            t=t,
            y=y,
            shift=shift,
            scale=newton_scale(solver, field.layout, y),
            differentiable=torch.is_grad_enabled()
            and (first.requires_grad or y.requires_grad or shift.requires_grad or t.requires_grad),
            converged=torch.ones_like(shift[:, 0], dtype=torch.bool),
            evaluations=linear.evaluations,
        )

    def slope(self, t: Tensor, base: Tensor, guess: Tensor, *, explicit: bool = False) -> Tensor:
        """The slope k = f(t, base + gamma dt k)."""
        if explicit:
            self.evaluations = self.evaluations + 1
            return self.field(t, base)

        def residual(slope: Tensor) -> Tensor:
            return self.field(t, base + self.shift * slope) - slope

        def size(correction: Tensor) -> Tensor:
            return rms_norm(self.shift * correction / self.scale)

        root = self.solver.solve(residual, guess, self.factor, size, self.rate)
        self.rate = root.rate
        self.converged = self.converged & root.converged
        self.evaluations = self.evaluations + root.evaluations
        if not self.differentiable:
            return root.x
        self.evaluations = self.evaluations + self.solver.derivatives
        return implicit(root.x, residual, self.factor.precondition, derivatives=self.solver.derivatives)

    def filter(self, error: Tensor) -> Tensor:
        """(I - gamma dt J)^-1 error."""
        with torch.no_grad():
            solved = self.factor.solve(error)
        self.evaluations = self.evaluations + solved.evaluations
        if not self.differentiable:
            return solved.x

        def residual(x: Tensor) -> Tensor:
            product = torch.func.jvp(lambda rows: self.field(self.t, rows), (self.y,), (self.shift * x,))[1]
            return error - x + product

        return implicit(solved.x, residual, self.factor.precondition)

    def mask(self, value: Tensor, otherwise: float = torch.nan) -> Tensor:
        """``otherwise`` for the samples of which a stage has not converged."""
        return torch.where(self.converged[:, None], value, torch.full_like(value, otherwise))


def newton_scale(solver: Newton, layout: Layout, y: Tensor) -> Tensor:
    """What a unit of error is for Newton's iteration: the tolerance, but never less than rounding can reach."""
    rtol, atol = solver.tolerances(y.dtype)
    with torch.no_grad():
        rounding = 10 * torch.finfo(y.dtype).eps / solver.fraction * y.abs().amax(dim=1, keepdim=True)
        weights = layout.weights(rtol, atol, layout.restore(y)) if atol.__class__ is Tensor else atol + rtol * y.abs()
        return torch.maximum(weights, rounding).clamp(min=torch.finfo(y.dtype).tiny)


def weighted(weights: tuple[float, ...], slopes: list[Tensor]) -> Tensor:
    """sum_i weights_i slopes_i over the slopes that are there, zeros skipped."""
    total: Tensor | None = None
    for weight, slope in zip(weights, slopes):
        if weight != 0:
            total = slope * weight if total is None else torch.add(total, slope, alpha=weight)
    return torch.zeros_like(slopes[0]) if total is None else total


@dataclass(frozen=True)
class RowInterpolant:
    """The dense output of a state from that of its rows."""

    layout: Layout
    inner: Interpolant

    def __call__(self, theta: Tensor, rows: Tensor) -> State:
        return self.layout.restore(self.inner(theta, rows))


@dataclass(frozen=True)
class StagePolynomial:
    """Dense output y + dt sum_i b_i(theta) k_i with polynomials b_i, their coefficients from theta^1 upwards."""

    coefficients: tuple[tuple[float, ...], ...]
    y: Tensor
    dt: Tensor
    slopes: list[Tensor]

    def __call__(self, theta: Tensor, rows: Tensor) -> Tensor:
        total = torch.zeros_like(self.y[rows])
        for coefficients, slope in zip(self.coefficients, self.slopes):
            if any(coefficients):
                total = total + broadcast(_polynomial(coefficients, theta), total) * slope[rows]
        return self.y[rows] + broadcast(self.dt[rows], total) * total


def _polynomial(coefficients: tuple[float, ...], theta: Tensor) -> Tensor:
    total = torch.zeros_like(theta)
    for coefficient in reversed(coefficients):
        total = (total + coefficient) * theta
    return total
