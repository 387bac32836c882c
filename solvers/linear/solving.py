"""What all linear solvers do around their iteration: checks, failures of single systems, gradients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, Protocol, TypeAlias, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.linear.goal import Goal
from sciml.kernels.linear.matrix import ROUNDING, Matrix

from .omega import Choice
from .solution import LinearSolution, LinearSolveError, LinearStatus


@runtime_checkable
class LinearSolver(Protocol):
    """``solver(matrix, b) -> LinearSolution``."""

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """Solve A x = b for each sample; differentiable in b and the matrix.

        Args:
            matrix: A.
            b: right-hand sides.
            x0: where to start, 0 by default.
            context: what a bandit is told of the systems, a number or (batch,); solvers without one do not look at it.

        Raises:
            LinearSolveError: some systems could not be solved; it holds the solution of the others.
            ValueError: shapes or dtypes that do not fit.
        """
        ...


@dataclass(frozen=True)
class Stopping:
    """When a solve ends.

    Attributes:
        tol: it has converged when the norm of the residual is at most that part of the norm of b.
        atol: or at most this.
        from_start: ``tol`` is relative to the first residual instead, so that a good start makes it no easier.
        max_iterations: after which it gives up.
        throw: raise where a system could not be solved, instead of saying so in ``status`` alone.

    Raises:
        ValueError: a value is out of its range.
    """

    tol: float = 1e-8
    atol: float = 0.0
    from_start: bool = False
    max_iterations: int = 10_000
    throw: bool = True

    def __post_init__(self) -> None:
        if not (0 <= self.tol < 1 and self.atol >= 0 and self.tol + self.atol > 0):
            raise ValueError(f"Expected 0 <= tol < 1 and atol >= 0, not both 0, got {self.tol} and {self.atol}.")
        if self.max_iterations < 1:
            raise ValueError(f"Expected max_iterations >= 1, got {self.max_iterations}.")

    def goal(self, b: Tensor) -> Goal:
        """For each of these systems."""
        return _goal(self, len(b), b.device)


@dataclass(frozen=True)
class Needs:
    """What a method asks of a matrix.

    Attributes:
        diagonal: without zeros.
        symmetric: equal to its transpose.
    """

    diagonal: bool = False
    symmetric: bool = False


Iteration: TypeAlias = Callable[[Matrix, Tensor, Tensor, Tensor | None, Stopping], LinearSolution]
"""The method itself, (matrix, b, x0, omega, stopping), for systems without a defect that can be seen beforehand."""


def solve_linear(
    iteration: Iteration,
    matrix: Matrix,
    b: Tensor,
    x0: Tensor | None,
    choice: Choice | None,
    *,
    name: str,
    stopping: Stopping,
    needs: Needs,
) -> LinearSolution:
    """Check the systems, solve those that are sound, and attach the gradient.

    Args:
        iteration: the method.
        matrix: of the systems.
        b: right-hand sides.
        x0: where to start, None for 0.
        choice: of omega, None where the method has none.
        name: of the solver, for messages.
        stopping: when to end.
        needs: what is asked of the matrix.
    """
    x0 = _checked(matrix, b, x0, stopping)
    with torch.no_grad():
        solution = _solve(iteration, matrix, b.detach(), x0.detach(), choice, stopping, needs)
    if stopping.throw and not bool(solution.converged.all()):
        raise LinearSolveError(solution, name)
    entries = matrix.entries
    if not torch.is_grad_enabled() or not any(tensor.requires_grad for tensor in (b, *entries)):
        return solution

    def back(adjoint: Matrix, gradient: Tensor) -> Tensor:
        """A^-T times a gradient, with the omega that the solution took."""
        same = None if solution.omega is None else Choice(solution.omega, b)
        title = f"The gradient of {name}"
        # A bound in units of b says nothing of a gradient: all small ones would be 0.
        ends = replace(stopping, tol=stopping.tol or torch.finfo(b.dtype).eps ** 0.5, atol=0.0)
        return solve_linear(iteration, adjoint, gradient, None, same, name=title, stopping=ends, needs=needs).x

    x: Tensor = _Implicit.apply(solution.x, matrix, back, b, *entries)
    return replace(solution, x=x)


class _Implicit(torch.autograd.Function):
    """x as a function of b and A: by the implicit function theorem dx = A^-1 (db - dA x). Differentiable again."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, matrix: Matrix, back: Callable[[Matrix, Tensor], Tensor], b: Tensor, *entries: Tensor
    ) -> Tensor:
        found = x.clone()
        ctx.save_for_backward(found, *entries)
        ctx.matrix, ctx.back = matrix, back
        return found

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        x, entries = ctx.saved_tensors[0], ctx.saved_tensors[1:]
        # Of a sample that failed: what is not finite must not reach the others through entries that they share.
        x = x.nan_to_num(0.0, 0.0, 0.0)
        matrix = ctx.matrix.with_entries(*entries)
        adjoint: Tensor = ctx.back(matrix if ctx.matrix.symmetric else matrix.transpose(), gradients[0])
        if not any(ctx.needs_input_grad[4:]):
            return None, None, None, adjoint, *(None for _ in entries)
        pull: Callable[[Tensor], tuple[Tensor, ...]]
        pull = torch.func.vjp(lambda *parts: ctx.matrix.with_entries(*parts).apply(x), *entries)[1]
        return None, None, None, adjoint, *pull(-adjoint)


def _solve(
    iteration: Iteration,
    matrix: Matrix,
    b: Tensor,
    x0: Tensor,
    choice: Choice | None,
    stopping: Stopping,
    needs: Needs,
) -> LinearSolution:
    if len(b) and _sound(matrix, b, x0, choice, needs):
        return _iterate(iteration, matrix, b, x0, choice, None, stopping)
    status = _defects(matrix, b, x0, choice, needs)
    rows = (status == 0).nonzero()[:, 0]
    residual = torch.linalg.vector_norm((b - matrix.apply(x0)).flatten(1).double(), dim=1)
    nothing = None if choice is None else torch.full_like(residual, torch.nan)
    if choice is not None and choice.fixed is not None:
        nothing = choice.fixed.clone()
    full = LinearSolution(x0.clone(), torch.zeros_like(status), residual, status, nothing)
    if len(rows):
        own = matrix if matrix.samples == 1 else matrix.select(rows)
        part = _iterate(iteration, own, b[rows], x0[rows], choice, rows, stopping)
        for name in ("x", "iterations", "residual", "status", *(("omega",) if choice is not None else ())):
            getattr(full, name)[rows] = getattr(part, name)
    return full


def _iterate(
    iteration: Iteration,
    matrix: Matrix,
    b: Tensor,
    x0: Tensor,
    choice: Choice | None,
    rows: Tensor | None,
    stopping: Stopping,
) -> LinearSolution:
    """Choose, solve, learn; ``rows`` are those of the batch that these are, None for all."""
    if choice is None:
        return iteration(matrix, b, x0, None, stopping)
    omega = choice.take(rows)
    solution = iteration(matrix, b, x0, omega, stopping)
    choice.learn(solution.iterations, solution.converged, stopping.max_iterations)
    return replace(solution, omega=omega)


def _checked(matrix: Matrix, b: Tensor, x0: Tensor | None, stopping: Stopping) -> Tensor:
    """Where to start."""
    if b.dim() != len(matrix.shape) + 1 or tuple(b.shape[1:]) != tuple(matrix.shape):
        raise ValueError(
            f"Expected b of shape (batch, {', '.join(map(str, matrix.shape))}), got {tuple(b.shape)}. "
            "Add the batch axis: b[None]."
        )
    if matrix.samples not in (1, len(b)):
        raise ValueError(f"Expected as many right-hand sides as matrices, {matrix.samples}, got {len(b)}.")
    if b.dtype != matrix.dtype or b.device != matrix.device:
        raise ValueError(f"Expected b as the matrix, {matrix.dtype} on {matrix.device}, got {b.dtype} on {b.device}.")
    if x0 is None:
        return torch.zeros_like(b)
    if x0.shape != b.shape or x0.dtype != b.dtype or x0.device != b.device:
        raise ValueError(f"Expected x0 as b, {tuple(b.shape)} {b.dtype}, got {tuple(x0.shape)} {x0.dtype}.")
    if stopping.from_start:
        return x0
    # Where b is 0 so is x, and from elsewhere no residual would ever be small enough.
    some = b.flatten(1).any(dim=1)
    return x0 if bool(some.all()) else x0 * some.reshape(-1, *[1] * (b.dim() - 1))


def _sound(matrix: Matrix, b: Tensor, x0: Tensor, choice: Choice | None, needs: Needs) -> bool:
    """Whether no sample of the batch can be at fault: a few sums; where it says no, ``_defects`` looks at each."""
    total = b.sum() + x0.sum()  # finite only if all of its terms are
    if choice is not None and choice.fixed is None:
        for part in matrix.entries:
            total = total + part.sum()
    good = total.isfinite()
    if needs.diagonal:
        good = good & (matrix.diagonal != 0).all()
    if choice is not None and choice.fixed is not None:
        good = good & ((choice.fixed > 0) & (choice.fixed < 2)).all()
    return bool(good) and (matrix.symmetric or not needs.symmetric)


def _defects(matrix: Matrix, b: Tensor, x0: Tensor, choice: Choice | None, needs: Needs) -> Tensor:
    """A status for each sample, 0 where nothing is wrong."""
    status = torch.zeros(len(b), dtype=torch.int64, device=b.device)
    if needs.diagonal:
        zero = (matrix.diagonal == 0).flatten(1).any(dim=1)
        status[zero.expand(len(b))] = int(LinearStatus.ZERO_DIAGONAL)
    if needs.symmetric:
        wrong = matrix.asymmetry > ROUNDING * torch.finfo(b.dtype).eps
        status[wrong.expand(len(b))] = int(LinearStatus.NOT_SYMMETRIC)
    omega = None if choice is None else choice.fixed
    if omega is not None:
        status[~((omega > 0) & (omega < 2))] = int(LinearStatus.BAD_OMEGA)
    # A sum is finite only if all of its terms are.
    bad = ~(b.flatten(1).sum(dim=1) + x0.flatten(1).sum(dim=1)).isfinite()
    if choice is not None and omega is None:  # a bandit is not to learn from these; others will notice by themselves
        for part in matrix.entries:
            bad = bad | ~part.flatten(1).sum(dim=1).isfinite()
    status[bad] = int(LinearStatus.NOT_FINITE)
    return status


@lru_cache(maxsize=64)
def _goal(stopping: Stopping, count: int, device: torch.device) -> Goal:
    tol, atol = (torch.full((count,), x, dtype=torch.float64, device=device) for x in (stopping.tol, stopping.atol))
    return Goal(tol, atol, stopping.from_start)


def as_stopping(tol: float | Stopping) -> Stopping:
    """A tolerance alone, or all that ends a solve."""
    return tol if isinstance(tol, Stopping) else Stopping(tol=tol)
