"""What a linear solver returns, and how it fails."""

from __future__ import annotations

import copyreg
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from sciml.kernels.linear.loops import Status as _Loop


class LinearStatus(IntEnum):
    """How the solve of one system ended."""

    CONVERGED = int(_Loop.CONVERGED)
    TOO_MANY_ITERATIONS = int(_Loop.TOO_MANY_ITERATIONS)
    STAGNATED = int(_Loop.STAGNATED)
    INDEFINITE = int(_Loop.INDEFINITE)
    NOT_FINITE = int(_Loop.NOT_FINITE)
    BREAKDOWN = 5
    ZERO_DIAGONAL = 6
    NOT_SYMMETRIC = 7
    BAD_OMEGA = 8


_MEANING = {
    LinearStatus.TOO_MANY_ITERATIONS: "the residual is still too large after max_iterations. Allow more, tune omega, "
    "or take another solver; on a singular matrix check that b sums to zero",
    LinearStatus.STAGNATED: "the residual does not fall any more. Ask for a larger tol, or solve in float64; on a "
    "singular matrix check that b sums to zero",
    LinearStatus.INDEFINITE: "the matrix is not positive definite, which conjugate gradients need. Take BiCGStab, or "
    "check the signs",
    LinearStatus.NOT_FINITE: "the matrix, b or x0 holds NaN or infinity, or the iteration has diverged. Check them; "
    "take omega nearer to 1 for a matrix that is not symmetric and positive definite",
    LinearStatus.BREAKDOWN: "two vectors of the recurrence are orthogonal. Start elsewhere, or take a preconditioner",
    LinearStatus.ZERO_DIAGONAL: "the diagonal holds a zero, by which relaxation divides. Take BiCGStab without a "
    "preconditioner, or reorder the unknowns",
    LinearStatus.NOT_SYMMETRIC: "the matrix is not symmetric, which conjugate gradients need. Take BiCGStab",
    LinearStatus.BAD_OMEGA: "omega is not between 0 and 2, where relaxation can converge",
}


@dataclass(frozen=True, eq=False)
class LinearSolution:
    """Solutions of a batch of linear systems.

    Attributes:
        x: of each system; the last iterate where it has not converged.
        iterations: that it took.
        residual: norm of b - A x.
        status: a number of ``LinearStatus``.
        omega: relaxation that was used, or whatever a bandit chose; None where there is none.
    """

    x: Float[Tensor, "batch *shape"]
    iterations: Int[Tensor, " batch"]
    residual: Float[Tensor, " batch"]
    status: Int[Tensor, " batch"]
    omega: Float[Tensor, " batch"] | None = None

    @property
    def converged(self) -> Tensor:
        """Which systems are solved, (batch,)."""
        return self.status == int(LinearStatus.CONVERGED)


class LinearSolveError(RuntimeError):
    """Some systems of a batch could not be solved; the others are.

    Attributes:
        solution: of all of them.
    """

    def __init__(self, solution: LinearSolution, solver: str) -> None:
        self.solution = solution
        super().__init__(_describe(solution, solver))

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


def _describe(solution: LinearSolution, solver: str) -> str:
    failed = (~solution.converged).nonzero()[:, 0].tolist()
    lines = [f"{solver} solved {len(solution.status) - len(failed)} of {len(solution.status)} systems."]
    for status in sorted({int(solution.status[k]) for k in failed}):
        members = [k for k in failed if int(solution.status[k]) == status]
        first = members[0]
        state = f"residual {float(solution.residual[first]):.3g} after {int(solution.iterations[first])} iterations"
        if solution.omega is not None:
            state += f", omega {float(solution.omega[first]):.4g}"
        lines.append(f"Sample {_listed(members)}: {_MEANING[LinearStatus(status)]} ({state}).")
    return " ".join(lines)


def _listed(members: Sequence[int]) -> str:
    shown = ", ".join(str(k) for k in members[:8])
    return shown if len(members) <= 8 else f"{shown} and {len(members) - 8} more"
