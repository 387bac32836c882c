"""Bookkeeping of a batch that iterates together: who has arrived, who never will."""

from __future__ import annotations

import torch
from torch import Tensor

from .solution import LinearSolution, LinearStatus
from .solving import Stopping

_PATIENCE = 500
"""Iterations without a smaller residual after which a system has stagnated, of a method that is not of Krylov."""


class Watch:
    """Samples that are still at it, their iterations, and why others ended.

    Args:
        stopping: when to end.
        b: right-hand sides.
        residual: first norms of b - A x.
        krylov: whether the residual may only fall at the last of as many iterations as there are unknowns.

    Attributes:
        going: (batch,) bool.
    """

    def __init__(self, stopping: Stopping, b: Tensor, residual: Tensor, *, krylov: bool = False) -> None:
        self.stopping = stopping
        self._patience = max(_PATIENCE, b.shape[1:].numel()) if krylov else _PATIENCE
        self.goal = stopping.goal(b).norm(b.flatten(1), residual)
        self.going = torch.ones(len(b), dtype=torch.bool, device=b.device)
        self.iterations, self.status, self._last = (
            torch.zeros(len(b), dtype=torch.int64, device=b.device) for _ in range(3)
        )
        self.residual, self._best, self._done = residual, residual, 0
        self._judge(residual)

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return not bool(self.going.any())

    def step(self, residual: Tensor) -> None:
        """An iteration has been done, after which the norms are these."""
        self._done += 1
        self.iterations = self.iterations + self.going
        self.residual = torch.where(self.going, residual, self.residual)
        self._judge(residual)

    def end(self, which: Tensor, status: LinearStatus) -> None:
        """These have ended, of those that are going."""
        which = which & self.going
        self.status = torch.where(which, int(status), self.status)
        self.going = self.going & ~which

    def solution(self, x: Tensor) -> LinearSolution:
        """The result, with these iterates."""
        return LinearSolution(x, self.iterations, self.residual, self.status)

    def _judge(self, residual: Tensor) -> None:
        better = residual < self._best
        self._best = torch.where(better, residual, self._best)
        self._last = torch.where(better, self._done, self._last)
        self.end(~residual.isfinite(), LinearStatus.NOT_FINITE)
        self.end(residual <= self.goal, LinearStatus.CONVERGED)
        if self._done >= self.stopping.max_iterations:
            self.end(torch.ones_like(self.going), LinearStatus.TOO_MANY_ITERATIONS)
        self.end(self._done - self._last >= self._patience, LinearStatus.STAGNATED)


def norm(r: Tensor) -> Tensor:
    """Of each sample, in float64."""
    return torch.linalg.vector_norm(r.flatten(1).double(), dim=1)


def dot(x: Tensor, y: Tensor) -> Tensor:
    """Of each sample, in float64."""
    return (x.flatten(1).double() * y.flatten(1).double()).sum(dim=1)


def spread(value: Tensor, like: Tensor) -> Tensor:
    """(batch,) to broadcast against fields (batch, *shape)."""
    return value.to(like).reshape(-1, *[1] * (like.dim() - 1))
