"""Krylov methods: conjugate gradients, with SSOR or any other preconditioner, and BiCGStab."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.linear.loops import Method, solve_systems
from sciml.kernels.linear.matrix import Matrix
from sciml.kernels.linear.products import product, residual

from .omega import Choice, Context, OmegaLike, check_omega, told
from .preconditioner import Diagonal, Preconditioner, SSORPreconditioner
from .solution import LinearSolution, LinearStatus
from .solving import Needs, Stopping, as_stopping, solve_linear
from .watch import Watch, dot, norm, spread

_RESTARTS = 3
"""Restarts, as the residual of the recurrence drifts from the true one, before that counts as stagnation."""


class SSORPCG:
    """Conjugate gradients preconditioned by SSOR with the unknowns in natural order.

    Axelsson, "A generalized SSOR method", BIT 12, 1972. What the best omega saves grows with the grid; with the
    unknowns red-black it would save nothing. A bandit finds it from the iterations alone, and from a context where one
    is given: ``SSORPCG(ChebCB(torch.linspace(1.0, 1.95, 20), low, high))``.

    Args:
        omega: as for ``SOR``.
        tol: as for ``SOR``.
        context: as for ``SOR``.

    Raises:
        ValueError: as for ``SOR``.
    """

    def __init__(self, omega: OmegaLike = 1.0, *, tol: float | Stopping = 1e-8, context: Context | None = None) -> None:
        check_omega(omega)
        self.omega, self.context, self.stopping = omega, context, as_stopping(tol)

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """See ``LinearSolver``."""
        needs = Needs(diagonal=True, symmetric=True)
        choice = Choice(self.omega, b, told(context, self.context, matrix, b))
        return solve_linear(
            _gradients, matrix, b, x0, choice, name="SSORPCG", stopping=self.stopping,
            needs=needs,
        )  # fmt: skip


class CG:
    """Conjugate gradients.

    Hestenes, Stiefel, "Methods of conjugate gradients for solving linear systems", 1952. A solve ends by the true
    residual: where that of the recurrence has drifted from it, the iteration starts anew.

    Args:
        preconditioner: symmetric and positive definite; None for none. For SSOR ``SSORPCG`` is faster.
        tol: norm of the residual over that of b, or a ``Stopping`` that says more.
    """

    def __init__(self, preconditioner: Preconditioner | None = None, *, tol: float | Stopping = 1e-8) -> None:
        self.preconditioner, self.stopping = preconditioner, as_stopping(tol)

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """See ``LinearSolver``."""
        needs = Needs(diagonal=_divides(self.preconditioner), symmetric=True)
        iteration = _gradients if self.preconditioner is None else self._iterate
        return solve_linear(iteration, matrix, b, x0, None, name="CG", stopping=self.stopping, needs=needs)

    def _iterate(
        self, matrix: Matrix, b: Tensor, x0: Tensor, omega: Tensor | None, stopping: Stopping
    ) -> LinearSolution:
        assert self.preconditioner is not None
        precondition = self.preconditioner(matrix)
        x, r = x0, residual(matrix, b, x0)
        p, rho = torch.zeros_like(r), torch.ones(len(b), dtype=torch.float64, device=b.device)
        fresh, restarts = torch.ones_like(rho, dtype=torch.bool), torch.zeros_like(rho)
        watch = Watch(stopping, b, norm(r), krylov=True)
        while not watch.over:
            z = precondition(r)
            before, rho = rho, dot(r, z)
            _refuse(watch, rho)
            p = z + spread(torch.where(fresh, 0.0, rho / before), b) * p
            q = product(matrix, p)
            curvature = dot(p, q)
            _refuse(watch, curvature)
            alpha, going = spread(rho / curvature, b), spread(watch.going, b).bool()
            x, r = (torch.where(going, moved, old) for moved, old in ((x + alpha * p, x), (r - alpha * q, r)))
            size = norm(r)
            fresh = watch.going & (size <= watch.goal)
            if bool(fresh.any()):  # as the recurrence has it; now the true one
                true = residual(matrix, b, x)
                r = torch.where(spread(fresh, b).bool(), true, r)
                size = torch.where(fresh, norm(true), size)
                restarts = restarts + (fresh & (size > watch.goal))
            watch.step(size)
            watch.end(restarts > _RESTARTS, LinearStatus.STAGNATED)
        return watch.solution(x)


class BiCGStab:
    """Stabilised bi-conjugate gradients, for matrices that are not symmetric.

    van der Vorst, "Bi-CGSTAB: a fast and smoothly converging variant of Bi-CG", SIAM J. Sci. Stat. Comput. 13, 1992. An
    iteration takes two products with the matrix.

    Args:
        preconditioner: from the right; None for none.
        tol: as for ``CG``.
    """

    def __init__(self, preconditioner: Preconditioner | None = None, *, tol: float | Stopping = 1e-8) -> None:
        self.preconditioner, self.stopping = preconditioner, as_stopping(tol)

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """See ``LinearSolver``."""
        needs = Needs(diagonal=_divides(self.preconditioner))
        return solve_linear(self._iterate, matrix, b, x0, None, name="BiCGStab", stopping=self.stopping, needs=needs)

    def _iterate(
        self, matrix: Matrix, b: Tensor, x0: Tensor, omega: Tensor | None, stopping: Stopping
    ) -> LinearSolution:
        precondition: Callable[[Tensor], Tensor] = (
            (lambda r: r) if self.preconditioner is None else self.preconditioner(matrix)
        )
        x, r = x0, residual(matrix, b, x0)
        size = norm(r)
        shadow, p, v = r, torch.zeros_like(r), torch.zeros_like(r)
        one = torch.ones(len(b), dtype=torch.float64, device=b.device)
        rho, alpha, weight = one, one, one
        fresh, restarts = torch.ones_like(one, dtype=torch.bool), torch.zeros_like(one)
        watch = Watch(stopping, b, size, krylov=True)
        while not watch.over:
            before, rho = rho, dot(shadow, r)
            lost = rho.abs() <= torch.finfo(b.dtype).eps * norm(shadow) * size
            if bool(lost.any()):  # as for a b of few entries: a new shadow
                shadow, rho = torch.where(spread(lost, b).bool(), r, shadow), torch.where(lost, size**2, rho)
                fresh = fresh | lost
            beta = torch.where(fresh, 0.0, rho / before * (alpha / weight))
            p = r + spread(beta, b) * (p - spread(weight, b) * v)
            direction = precondition(p)
            v = product(matrix, direction)
            along = dot(shadow, v)
            watch.end((along == 0) & fresh, LinearStatus.BREAKDOWN)
            alpha = torch.where(along == 0, 0.0, rho / along)
            s = r - spread(alpha, b) * v
            second = precondition(s)
            t = product(matrix, second)
            square = dot(t, t)
            weight = torch.where(square > 0, dot(t, s) / square, 0.0)
            moved = x + spread(alpha, b) * direction + spread(weight, b) * second
            x = torch.where(spread(watch.going, b).bool(), moved, x)
            r = s - spread(weight, b) * t
            size = norm(r)
            arrived = watch.going & (size <= watch.goal)
            fresh = arrived | (watch.going & ((weight == 0) | (along == 0)))
            if bool(fresh.any()):  # as the recurrence has it; now the true one, from which it starts anew
                true = residual(matrix, b, x)
                size = torch.where(fresh, norm(true), size)
                r, shadow = (torch.where(spread(fresh, b).bool(), true, part) for part in (r, shadow))
                restarts = restarts + (arrived & (size > watch.goal))
            watch.step(size)
            watch.end(restarts > _RESTARTS, LinearStatus.STAGNATED)
        return watch.solution(x)


def _gradients(matrix: Matrix, b: Tensor, x0: Tensor, omega: Tensor | None, stopping: Stopping) -> LinearSolution:
    relaxation = torch.zeros(len(b), dtype=torch.float64, device=b.device) if omega is None else omega
    goal, limit = stopping.goal(b), stopping.max_iterations
    return LinearSolution(*solve_systems(Method.GRADIENTS, matrix, b, x0, relaxation, goal, limit))


def _divides(preconditioner: Preconditioner | None) -> bool:
    """Whether it divides by the diagonal."""
    return isinstance(preconditioner, Diagonal | SSORPreconditioner)


def _refuse(watch: Watch, positive: Tensor) -> None:
    """End the samples in which a square is not positive: NaN, or of an indefinite matrix."""
    watch.end(~positive.isfinite(), LinearStatus.NOT_FINITE)
    watch.end(~(positive > 0), LinearStatus.INDEFINITE)
