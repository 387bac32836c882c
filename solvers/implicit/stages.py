"""What the implicit Runge-Kutta steppers share: the implicit stages of a step, and their dense output."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..state import State, broadcast, rms_norm
from ..stepper import Interpolant
from .flat import Layout, RowField
from .implicit_function import implicit
from .jacobian import Factor, transformed
from .krylov import forward_mode
from .newton import Newton


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
    evaluations: Any = 0
    rate: Tensor | None = None

    @classmethod
    def begin(
        cls, solver: Newton, field: RowField, t: Tensor, dt: Tensor, y: Tensor, first: Tensor, gamma: float
    ) -> Stages:
        """Linearise ``field`` at (t, y), where its slope is ``first``."""
        linear = solver.linear.linearise(field, t, y)
        shift = broadcast(gamma * dt, y)
        stages = cls.over(solver, field, linear.factor(shift.detach()[:, 0]), t, y, first, shift)
        stages.evaluations = linear.evaluations
        return stages

    @classmethod
    def over(
        cls, solver: Newton, field: RowField, factor: Factor, t: Tensor, y: Tensor, first: Tensor, shift: Tensor
    ) -> Stages:
        """The stages of a step whose linear systems are ready."""
        return cls(
            solver=solver,
            field=field,
            factor=factor,
            t=t,
            y=y,
            shift=shift,
            scale=newton_scale(solver, field.layout, y),
            differentiable=differentiable(first, y, shift, t),
            converged=torch.ones_like(shift[:, 0], dtype=torch.bool),
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

        return self.root(residual, guess, self.factor, size)

    def root(
        self,
        residual: Callable[[Tensor], Tensor],
        guess: Tensor,
        factor: Factor,
        size: Callable[[Tensor], Tensor],
        cost: int = 1,
    ) -> Tensor:
        """Where the residual vanishes, by Newton's iteration; ``cost`` evaluations of the field for each of it."""
        root = self.solver.solve(residual, guess, factor, size, self.rate)
        self.rate = root.rate
        self.converged = self.converged & root.converged
        self.evaluations = self.evaluations + root.evaluations * cost
        if not self.differentiable:
            return root.x
        self.evaluations = self.evaluations + self.solver.derivatives * cost
        return implicit(root.x, residual, factor.precondition, derivatives=self.solver.derivatives)

    def filter(self, error: Tensor) -> Tensor:
        """(I - gamma dt J)^-1 error."""
        with torch.no_grad():
            solved = self.factor.solve(error)
        self.evaluations = self.evaluations + solved.evaluations
        if not self.differentiable:
            return solved.x

        def residual(x: Tensor) -> Tensor:
            return error - x + forward_mode(self.field, self.t, self.y, self.shift * x)

        return implicit(solved.x, residual, self.factor.precondition)

    def mask(self, value: Tensor, otherwise: float = torch.nan) -> Tensor:
        """``otherwise`` for the samples of which a stage has not converged."""
        return torch.where(self.converged[:, None], value, torch.full_like(value, otherwise))


def differentiable(*tensors: Tensor) -> bool:
    """Whether a derivative of what is computed from these may be asked for."""
    return torch.is_grad_enabled() and (any(x.requires_grad for x in tensors) or transformed(tensors[0]))


def newton_scale(solver: Newton, layout: Layout, y: Tensor) -> Tensor:
    """What a unit of error is for Newton's iteration: the tolerance, but never less than rounding can reach."""
    rtol, atol = solver.tolerances(y.dtype)
    with torch.no_grad():
        rounding = 10 * torch.finfo(y.dtype).eps / solver.fraction * y.abs().amax(dim=1, keepdim=True)
        shaped = isinstance(rtol, Tensor) or isinstance(atol, Tensor)
        weights = layout.weights(rtol, atol, layout.restore(y)) if shaped else atol + rtol * y.abs()
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
