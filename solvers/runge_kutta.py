"""Explicit Runge-Kutta steps over a vector field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .state import State, broadcast, map_state
from .stepper import Step
from .tableau import ButcherTableau


class RungeKutta(nn.Module):
    """A stepper from a vector field and a Butcher tableau.

    Args:
        vector_field: ``(t, y) -> dy/dt`` with t of shape (batch,), the result structured and shaped as y. A module's
            parameters are the stepper's.
        tableau: the method, such as ``TSIT5``.
    """

    def __init__(self, vector_field: Callable[[Tensor, State], State], tableau: ButcherTableau) -> None:
        super().__init__()
        self.vector_field = vector_field
        self.tableau = tableau
        self.order = tableau.order
        self.error_order = tableau.error_order
        self.dense_order = tableau.dense_order

    def over(self, vector_field: Callable[[Tensor, State], State]) -> RungeKutta:
        """The same method over another vector field."""
        return RungeKutta(vector_field, self.tableau)

    def start(self, t: Float[Tensor, " batch"], y: State) -> State | None:
        """The slope at (t, y), where the method's last stage gives it to the next step; else None."""
        return self.vector_field(t, y) if self.tableau.first_same_as_last else None

    def slope(self, t: Float[Tensor, " batch"], y: State, reuse: State | None = None) -> State:
        """The time derivative at (t, y)."""
        return self.vector_field(t, y) if reuse is None else reuse

    def forward(self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State, reuse: Any = None) -> Step:
        """One step. ``reuse`` is the slope at (t, y), where known.

        Raises:
            ValueError: the vector field returns another structure or shape than y.
        """
        tableau = self.tableau
        slopes = [_checked(self.slope(t, y, reuse), y)]
        stage = y
        for node, row in zip(tableau.c[1:], tableau.a[1:], strict=True):
            stage = advance(y, dt, row, slopes)
            slopes.append(self.vector_field(t + node * dt, stage))
        fsal = tableau.first_same_as_last
        return Step(
            y=stage if fsal else advance(y, dt, tableau.b, slopes),
            error=combine(dt, tableau.b_error, slopes) if tableau.b_error else None,
            reuse=slopes[-1] if fsal else None,
            dense=_Polynomial(tableau.interpolant, y, dt, slopes) if tableau.interpolant else None,
            evaluations=len(slopes) - (reuse is not None),
        )

    def extra_repr(self) -> str:
        return self.tableau.name


def combine(dt: Tensor, weights: tuple[float, ...], slopes: list[State]) -> State:
    """dt * sum_i weights_i slopes_i, zeros skipped."""
    used = [(weight, slope) for weight, slope in zip(weights, slopes) if weight != 0.0]

    def leaf(*parts: Tensor) -> Tensor:
        total = parts[0] * used[0][0]
        for (weight, _), part in zip(used[1:], parts[1:]):
            total = torch.add(total, part, alpha=weight)
        return broadcast(dt, total) * total

    return map_state(leaf, *(slope for _, slope in used))


def advance(y: State, dt: Tensor, weights: tuple[float, ...], slopes: list[State]) -> State:
    """y + dt * sum_i weights_i slopes_i."""
    return map_state(torch.add, y, combine(dt, weights, slopes))


class _Polynomial:
    """Dense output y + dt sum_i b_i(theta) k_i."""

    def __init__(self, rows: tuple[tuple[float, ...], ...], y: State, dt: Tensor, slopes: list[State]) -> None:
        self.coefficients, self.y, self.dt, self.slopes = rows, y, dt, slopes

    def __call__(self, theta: Tensor, rows: Tensor) -> State:
        weights = [_horner(row, theta) * self.dt[rows] for row in self.coefficients]

        def leaf(start: Tensor, *parts: Tensor) -> Tensor:
            terms = (broadcast(weight, part) * part[rows] for weight, part in zip(weights, parts))
            return start[rows] + sum(terms)

        return map_state(leaf, self.y, *self.slopes)


def _horner(coefficients: tuple[float, ...], theta: Tensor) -> Tensor:
    """c_1 theta + c_2 theta^2 + ...; element by element, so that batching changes no bit."""
    total = torch.zeros_like(theta)
    for coefficient in reversed(coefficients):
        total = (total + coefficient) * theta
    return total


def _checked(slope: State, y: State) -> State:
    """The first slope of a step, its shapes compared with y's."""

    def compare(f: Any, u: Tensor) -> Any:
        if not isinstance(f, Tensor) or f.shape != u.shape:
            came = tuple(f.shape) if isinstance(f, Tensor) else type(f).__name__
            raise ValueError(f"Expected vector_field(t, y) of y's shape {tuple(u.shape)}, got {came}.")
        return f

    return map_state(compare, slope, y)
