"""One of several solvers, chosen by what they have cost."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from statistics import median_low

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.linear.matrix import Matrix
from sciml.solvers.bandits.bandit import Bandit

from .omega import Context, told
from .solution import LinearSolution, LinearSolveError
from .solving import LinearSolver

_RECENT, _OUTLIER = 15, 3.0
"""Readings of each solver by which the next one is judged, and how far above their median it may be."""


class Tuned:
    """A bandit chooses the solver of each system: preconditioner and omega together, multigrid or relaxation.

    ::

        solvers = [SSORPCG(1.2), SSORPCG(1.6), CG(), SOR(1.8)]
        solver = Tuned(solvers, ChebCB(range(len(solvers)), low, high))

    Iterations of different solvers cost differently, so that what is learnt from is the time that a solve took, in
    microseconds for each system, or with ``weights`` iterations times that of the solver, which makes the choices
    reproducible. A system that could not be solved costs twice what the dearest so far did.

    Where time is measured, a reading far above the usual ones of that solver, of a machine that did something else
    meanwhile, counts as three times as much as these. The first systems that a solver is given are solved twice, once
    by the clock, since first calls compile.

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
        self._readings: list[deque[tuple[float, float]]] = [deque(maxlen=_RECENT) for _ in solvers]

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
            system = matrix, b, x0, rows.to(b.device)
            if self.weights is None and not self._readings[int(number)]:
                self._attempt(int(number), *system)
            begin = _now(b.device)
            part, fails = self._attempt(int(number), *system)
            cost[rows], failed = self._cost(int(number), part, _now(b.device) - begin), failed or fails
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

    def _attempt(
        self, number: int, matrix: Matrix, b: Tensor, x0: Tensor | None, rows: Tensor
    ) -> tuple[LinearSolution, bool]:
        """Some of the systems by one solver, and whether it failed for one of them."""
        if len(rows) < len(b):
            matrix = matrix if matrix.samples == 1 else matrix.select(rows)
            b, x0 = b[rows], None if x0 is None else x0[rows]
        try:
            return self.solvers[number](matrix, b, x0), False
        except LinearSolveError as error:
            return error.solution, True

    def _cost(self, number: int, solution: LinearSolution, seconds: float) -> Tensor:
        """Of each system that one solver has solved in that time."""
        iterations = solution.iterations.cpu().double()
        if self.weights is not None:
            return self.weights[number] * iterations
        return torch.full_like(iterations, 1e6 * self._usual(number, seconds, len(iterations), float(iterations.sum())))

    def _usual(self, number: int, seconds: float, systems: int, iterations: float) -> float:
        """Seconds for one of so many systems, at most ``_OUTLIER`` times what the solver has lately taken."""
        readings = self._readings[number]
        readings.append((seconds / systems, seconds / (iterations + systems)))
        usual, each = (median_low(column) for column in zip(*readings, strict=True))
        return min(seconds / systems, _OUTLIER * max(usual, each * (iterations + systems) / systems))


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
