"""Fully implicit Runge-Kutta steps: Gauss and Radau collocation.

Source: E. Hairer, G. Wanner, "Solving Ordinary Differential Equations II", sections IV.5 and IV.8.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..state import State, broadcast, rms_norm
from ..stepper import Step
from .flat import Layout, RowField
from .jacobian import Factor, Solved
from .newton import Newton
from .stages import RowInterpolant, StagePolynomial, Stages, newton_scale, weighted
from .tableau import CollocationTableau


class Collocation(nn.Module):
    """A stepper from a vector field and the nodes of a collocation method.

    All stages are solved for at once. Newton's matrix I - dt A x J is brought to one block per eigenvalue of A, of
    which one of each conjugate pair is solved (IV.8, equation 8.4); a sample costs an LU factorisation of its own size
    for each.

    Args:
        vector_field: ``(t, y) -> dy/dt`` with t of shape (batch,), the result structured and shaped as y.
        tableau: the method, such as ``RADAU_IIA5`` or ``GAUSS4``.
        solver: how the stages are solved for; ``Newton(GMRES())`` for large states.
    """

    def __init__(
        self,
        vector_field: Callable[[Tensor, State], State],
        tableau: CollocationTableau,
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
        self._method = _Coefficients(tableau.c)

    def over(self, vector_field: Callable[[Tensor, State], State]) -> Collocation:
        """The same method over another vector field. (A Jacobian given to ``Dense`` stays that of the first.)"""
        return Collocation(vector_field, self.tableau, solver=self.solver)

    def within(self, rtol: float | Tensor, atol: float | Tensor) -> Collocation:
        """The same method with its iterations stopped by the tolerances of the solve."""
        return Collocation(self.vector_field, self.tableau, solver=self.solver.within(rtol, atol))

    def start(self, t: Float[Tensor, " batch"], y: State) -> State | None:
        """The slope at (t, y), where the method's last stage gives it to the next step; else None."""
        return self.vector_field(t, y) if self.tableau.c[-1] == 1 else None

    def slope(self, t: Float[Tensor, " batch"], y: State, reuse: State | None = None) -> State:
        """The time derivative at (t, y)."""
        return self.vector_field(t, y) if reuse is None else reuse

    def forward(self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State, reuse: Any = None) -> Step:
        """One step. ``reuse`` is the slope at (t, y), where known.

        Raises:
            ValueError: the vector field or the user's Jacobian returns another shape than y asks for.
        """
        layout, method = Layout(y), self._method
        field, rows = RowField(self.vector_field, layout), layout.flatten(y)
        first = field(t, rows) if reuse is None else layout.flatten(reuse)
        system = _System.begin(self.solver, field, method, t, dt, rows, first)
        slopes = list(system.slopes(first).unflatten(1, (len(self.tableau.c), -1)).unbind(dim=1))
        step = broadcast(dt, rows)
        error = None
        if self.error_order is not None:
            filtered = system.stages.filter(step * weighted(method.error, [first, *slopes]))
            error = layout.restore(system.stages.mask(filtered, torch.inf))
        dense = RowInterpolant(layout, StagePolynomial(method.interpolant, rows, dt, slopes))
        return Step(
            y=layout.restore(system.stages.mask(rows + step * weighted(method.b, slopes))),
            error=error,
            reuse=layout.restore(slopes[-1]) if self.tableau.c[-1] == 1 else None,
            dense=dense if self.dense_order is not None else None,
            evaluations=system.stages.evaluations + (reuse is None),
        )

    def extra_repr(self) -> str:
        return self.tableau.name


@dataclass(frozen=True)
class _Coefficients:
    """All that follows from the nodes; plain numbers, in double precision."""

    c: tuple[float, ...]

    @cached_property
    def interpolant(self) -> tuple[tuple[float, ...], ...]:
        """Integrals from 0 to theta of the Lagrange polynomials: coefficients of theta, theta^2, ... for each stage."""
        nodes = torch.tensor(self.c, dtype=torch.float64)
        lagrange = torch.linalg.inv(torch.linalg.vander(nodes))
        return tuple(map(tuple, (lagrange / torch.arange(1, len(nodes) + 1)[:, None]).T.tolist()))

    @cached_property
    def a(self) -> tuple[tuple[float, ...], ...]:
        return tuple(self._weights(node) for node in self.c)

    @cached_property
    def b(self) -> tuple[float, ...]:
        return self._weights(1.0)

    @cached_property
    def spectrum(self) -> _Spectrum:
        values, vectors = torch.linalg.eig(torch.tensor(self.a, dtype=torch.float64))
        inverse = torch.linalg.inv(vectors)
        kept = [i for i, value in enumerate(values.tolist()) if value.imag > -1e-12]
        return _Spectrum(
            values=tuple(_real_if_close(values[i].item()) for i in kept),
            vectors=tuple(tuple(map(_real_if_close, vectors[:, i].tolist())) for i in kept),
            duals=tuple(tuple(map(_real_if_close, inverse[i].tolist())) for i in kept),
        )

    @cached_property
    def gamma(self) -> float:
        """The real eigenvalue of A; where there is none, 1, of which nothing is made."""
        return next((float(value) for value in self.spectrum.values if isinstance(value, float)), 1.0)

    @cached_property
    def error(self) -> tuple[float, ...]:
        """Weights of the slopes at the start and at the nodes in the error estimate (equation IV.8.18).

        The embedded formula has weight gamma at the start and integrates as many powers exactly as there are nodes.
        """
        size = len(self.c)
        powers = torch.tensor([[node**power for node in self.c] for power in range(size)], dtype=torch.float64)
        moments = torch.tensor([1 / (power + 1) for power in range(size)], dtype=torch.float64)
        moments[0] -= self.gamma
        embedded = torch.linalg.solve(powers, moments).tolist()
        return (self.gamma, *(e - b for e, b in zip(embedded, self.b)))

    def _weights(self, theta: float) -> tuple[float, ...]:
        return tuple(sum(c * theta ** (k + 1) for k, c in enumerate(row)) for row in self.interpolant)


@dataclass(frozen=True)
class _Spectrum:
    """Eigenvalues of A, one of each conjugate pair, with their right and left eigenvectors; real ones as floats."""

    values: tuple[complex | float, ...]
    vectors: tuple[tuple[complex | float, ...], ...]
    duals: tuple[tuple[complex | float, ...], ...]


def _real_if_close(value: complex) -> complex | float:
    return value.real if abs(value.imag) < 1e-14 else value


@dataclass
class _System:
    """The stages of one step as one system of equations."""

    stages: Stages
    method: _Coefficients
    dt: Tensor
    factor: _StackedFactor

    @classmethod
    def begin(
        cls, solver: Newton, field: RowField, method: _Coefficients, t: Tensor, dt: Tensor, y: Tensor, first: Tensor
    ) -> _System:
        linear = solver.linear.linearise(field, t, y)
        shift = broadcast(dt, y).detach()[:, 0]
        factors = [linear.factor(shift * value) for value in method.spectrum.values]
        real = next((f for f, value in zip(factors, method.spectrum.values) if isinstance(value, float)), factors[0])
        stages = Stages.over(solver, field, real, t, y, first, broadcast(method.gamma * dt, y))
        stages.evaluations = linear.evaluations
        return cls(stages, method, dt, _StackedFactor(factors, method.spectrum))

    def slopes(self, first: Tensor) -> Tensor:
        """The slopes at the nodes, side by side: (batch, s n)."""
        stages, size = self.stages, len(self.method.c)
        step = broadcast(self.dt, first)
        scale = newton_scale(stages.solver, stages.field.layout, stages.y).repeat(1, size)

        def residual(stacked: Tensor) -> Tensor:
            slopes = list(stacked.unflatten(1, (size, -1)).unbind(dim=1))
            values = [
                stages.field(stages.t + node * self.dt, stages.y + step * weighted(row, slopes))
                for node, row in zip(self.method.c, self.method.a)
            ]
            return torch.cat(values, dim=1) - stacked

        return stages.root(residual, first.repeat(1, size), self.factor, lambda k: rms_norm(step * k / scale), size)


@dataclass(frozen=True)
class _StackedFactor:
    """I - dt A x J by the eigenvectors of A."""

    factors: list[Factor]
    spectrum: _Spectrum

    def solve(self, v: Tensor) -> Solved:
        evaluations: int | Tensor = 0

        def inverse(factor: Factor, w: Tensor) -> Tensor:
            nonlocal evaluations
            solved = factor.solve(w)
            evaluations = evaluations + solved.evaluations
            return solved.x

        x = self._apply(v, self.spectrum.vectors, self.spectrum.duals, inverse)
        return Solved(x, evaluations)

    def precondition(self, v: Tensor, adjoint: bool) -> Tensor:
        left, right = self.spectrum.vectors, self.spectrum.duals
        if adjoint:
            left, right = _conjugate(right), _conjugate(left)
        return self._apply(v, left, right, lambda factor, w: factor.precondition(w, adjoint))

    def _apply(self, v: Tensor, left: Any, right: Any, inverse: Callable[[Factor, Tensor], Tensor]) -> Tensor:
        size = len(left[0])
        parts = list(v.unflatten(1, (size, -1)).unbind(dim=1))
        totals = [torch.zeros_like(part) for part in parts]
        for factor, column, row in zip(self.factors, left, right):
            projected = inverse(factor, sum(weight * part for weight, part in zip(row, parts)))
            for i, weight in enumerate(column):
                product = weight * projected
                totals[i] = totals[i] + (2 * product.real if product.is_complex() else product)
        return torch.cat(totals, dim=1)


def _conjugate(rows: tuple[tuple[complex | float, ...], ...]) -> tuple[tuple[complex | float, ...], ...]:
    return tuple(tuple(value.conjugate() for value in row) for row in rows)
