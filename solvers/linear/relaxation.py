"""Solvers that relax one unknown after another, or all at once."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.linear.loops import Method, solve_systems
from sciml.kernels.linear.matrix import Matrix
from sciml.kernels.linear.products import residual

from .omega import Choice, Context, OmegaLike, check_omega, told
from .solution import LinearSolution
from .solving import Needs, Stopping, as_stopping, solve_linear
from .watch import Watch, norm, spread


class SOR:
    """Successive over-relaxation: x <- x + (D / omega + L)^-1 (b - A x) until the residual is small.

    Young, "Iterative Solution of Large Linear Systems", 1971. It converges for 0 < omega < 2 if the matrix is symmetric
    and positive definite. The best omega depends on the matrix, and a bandit finds it from the iterations alone (Khodak
    et al., "Learning to Relax", 2024): ``SOR(TsallisINF(torch.linspace(1.0, 1.95, 20)))``. ``SOR(1.0)``: Gauss-Seidel.

    Args:
        omega: a number, one for each sample (batch,), or a ``Bandit``, which is pulled before each solve and told its
            iterations.
        tol: norm of the residual over that of b, or a ``Stopping`` that says more.
        symmetric: a sweep forward and one back to an iteration (SSOR).
        red_black: visit the unknowns colour by colour, which suits a GPU, instead of in natural order.
        context: what a bandit is told of (matrix, b); a context given with the call comes first.

    Raises:
        ValueError: omega is none of these, or a bandit's arms are outside (0, 2).
    """

    def __init__(
        self,
        omega: OmegaLike = 1.0,
        *,
        tol: float | Stopping = 1e-8,
        symmetric: bool = False,
        red_black: bool = False,
        context: Context | None = None,
    ) -> None:
        check_omega(omega)
        self.omega, self.symmetric, self.red_black, self.context = omega, symmetric, red_black, context
        self.stopping = as_stopping(tol)

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """See ``LinearSolver``."""
        choice = Choice(self.omega, b, told(context, self.context, matrix, b))
        return solve_linear(
            self._iterate, matrix, b, x0, choice, name=type(self).__name__,
            stopping=self.stopping, needs=Needs(diagonal=True),
        )  # fmt: skip

    def _iterate(
        self, matrix: Matrix, b: Tensor, x0: Tensor, omega: Tensor | None, stopping: Stopping
    ) -> LinearSolution:
        assert omega is not None
        method = Method.SYMMETRIC_SWEEPS if self.symmetric else Method.SWEEPS
        goal, limit = stopping.goal(b), stopping.max_iterations
        return LinearSolution(*solve_systems(method, matrix, b, x0, omega, goal, limit, colours=self.red_black))


class Jacobi:
    """x <- x + omega D^-1 (b - A x): all unknowns at once.

    Args:
        omega: damping, a number or one for each sample; 2/3 smooths, 1 is the plain method.
        tol: as for ``SOR``.
    """

    def __init__(self, omega: float | Tensor = 1.0, *, tol: float | Stopping = 1e-8) -> None:
        check_omega(omega)
        self.omega, self.stopping = omega, as_stopping(tol)

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """See ``LinearSolver``."""
        return solve_linear(
            _jacobi, matrix, b, x0, Choice(self.omega, b), name="Jacobi", stopping=self.stopping, needs=Needs(True)
        )


def _jacobi(matrix: Matrix, b: Tensor, x0: Tensor, omega: Tensor | None, stopping: Stopping) -> LinearSolution:
    assert omega is not None
    weight = spread(omega, b) / matrix.diagonal
    x, r = x0, residual(matrix, b, x0)
    watch = Watch(stopping, b, norm(r))
    while not watch.over:
        x = torch.where(spread(watch.going, b).bool(), x + weight * r, x)
        r = residual(matrix, b, x)
        watch.step(norm(r))
    return watch.solution(x)
