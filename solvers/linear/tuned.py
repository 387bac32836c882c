"""One of several solvers, chosen by what they have cost."""

from __future__ import annotations

import time
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.linear.matrix import Matrix
from sciml.solvers.bandits.bandit import Bandit

from .omega import Context, told
from .solution import LinearSolution, LinearSolveError
from .solving import LinearSolver


class Tuned:
    """A bandit chooses the solver of each system: preconditioner and omega together, multigrid or relaxation.

    ::

        solvers = [SSORPCG(1.2), SSORPCG(1.6), CG(), SOR(1.8)]
        solver = Tuned(solvers, ChebCB(range(len(solvers)), low, high))

    Iterations of different solvers cost differently, so that what is learnt from is the time that a solve took, in
    microseconds for each system, or with ``weights`` iterations times that of the solver, which makes the choices
    reproducible. A system that could not be solved costs twice what the dearest so far did.

    Args:
        solvers: to choose from.
        bandit: whose arms are their numbers, 0, 1, ...
        weights: cost of an iteration of each; None for measured time.
        context: what the bandit is told of (matrix, b); a context given with the call comes first.

    Raises:
        ValueError: other arms than the numbers of the solvers, or weights that are not positive, one for each.
    """

    def __init__(
        self,
        solvers: Sequence[LinearSolver],
        bandit: Bandit,
        *,
        weights: Sequence[float] | None = None,
        context: Context | None = None,
    ) -> None:
        if list(bandit.arms) != list(range(len(solvers))):
            raise ValueError(
                f"Expected a bandit with the arms 0 to {len(solvers) - 1}, the numbers of the solvers, got "
                f"{list(bandit.arms)}. Make it with range({len(solvers)})."
            )
        if weights is not None and (len(weights) != len(solvers) or min(weights) <= 0):
            raise ValueError(f"Expected {len(solvers)} weights > 0, one for each solver, got {list(weights)}.")
        self.solvers, self.bandit, self.context = list(solvers), bandit, context
        self.weights = None if weights is None else list(weights)
        self._dearest = 1.0

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """See ``LinearSolver``; ``omega`` of the result is the number of the solver."""
        chosen = self._pull(told(context, self.context, matrix, b), len(b))
        cost, failed = torch.zeros(len(b), dtype=torch.float64), False
        parts: list[tuple[Tensor, LinearSolution]] = []
        for number in chosen.unique().tolist():
            rows = (chosen == number).nonzero()[:, 0]
            begin = _now(b.device)
            try:
                part = self._solve(int(number), matrix, b, x0, rows.to(b.device))
            except LinearSolveError as error:
                part, failed = error.solution, True
            cost[rows] = self._cost(int(number), part, _now(b.device) - begin)
            parts.append((rows.to(b.device), part))
        solution = _joined(parts, chosen.to(b.device))
        self._dearest = max(self._dearest, float(cost.max()))
        self.bandit.update(torch.where(solution.converged.cpu(), cost, 2 * self._dearest))
        if failed:
            raise LinearSolveError(solution, type(self).__name__)
        return solution

    def _pull(self, context: float | Tensor | None, count: int) -> Tensor:
        if context is None:
            return torch.as_tensor(self.bandit.pull(count=count))
        told = torch.as_tensor(context, dtype=torch.float64).cpu().reshape(-1).expand(count)
        return torch.as_tensor(self.bandit.pull(told))

    def _solve(self, number: int, matrix: Matrix, b: Tensor, x0: Tensor | None, rows: Tensor) -> LinearSolution:
        """Some of the systems, by one solver."""
        if len(rows) == len(b):
            return self.solvers[number](matrix, b, x0)
        system = matrix if matrix.samples == 1 else matrix.select(rows)
        return self.solvers[number](system, b[rows], None if x0 is None else x0[rows])

    def _cost(self, number: int, solution: LinearSolution, seconds: float) -> Tensor:
        """Of each system that one solver has solved in that time."""
        iterations = solution.iterations.cpu().double()
        if self.weights is None:
            return torch.full_like(iterations, 1e6 * seconds / len(iterations))
        return self.weights[number] * iterations


def _joined(parts: list[tuple[Tensor, LinearSolution]], chosen: Tensor) -> LinearSolution:
    """One solution for the whole batch."""
    if len(parts) == 1:
        only = parts[0][1]
        return LinearSolution(only.x, only.iterations, only.residual, only.status, chosen)
    order = torch.cat([rows for rows, _ in parts]).argsort()
    x, iterations, residual, status = (
        torch.cat([getattr(part, name) for _, part in parts])[order]
        for name in ("x", "iterations", "residual", "status")
    )
    return LinearSolution(x, iterations, residual, status, chosen)


def _now(device: torch.device) -> float:
    """Seconds, once the device has finished."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
