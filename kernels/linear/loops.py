"""Whole solves of a batch of linear systems by relaxation or by conjugate gradients, each until its own end."""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from . import native
from .goal import Goal
from .matrix import Matrix, check_batch
from .sweeps import Sweeper

# As in solve.cpp, with the numbers of Status and Method.
_PATIENCE, _RESTARTS = 500, 3


class Status(IntEnum):
    """How a solve ended."""

    CONVERGED = 0
    TOO_MANY_ITERATIONS = 1
    STAGNATED = 2
    INDEFINITE = 3
    NOT_FINITE = 4


class Method(IntEnum):
    """What an iteration is: a sweep forward, one forward and one back, a step of (preconditioned) gradients."""

    SWEEPS = 0
    SYMMETRIC_SWEEPS = 1
    GRADIENTS = 2


class Solved(NamedTuple):
    """Where the systems got to.

    Attributes:
        x: where each ended.
        iterations: of each.
        residual: norms of b - A x.
        status: a number of ``Status`` each.
    """

    x: Float[Tensor, "batch *shape"]
    iterations: Int[Tensor, " batch"]
    residual: Float[Tensor, " batch"]
    status: Int[Tensor, " batch"]


@torch.no_grad()
def solve_systems(
    method: Method,
    matrix: Matrix,
    b: Float[Tensor, "batch *shape"],
    x: Float[Tensor, "batch *shape"],
    omega: Float[Tensor, " batch"],
    goal: Goal,
    limit: int,
    *,
    colours: bool = False,
) -> Solved:
    """Iterate until the norm of each sample's true residual is small enough, or something else ends it.

    Args:
        method: of an iteration.
        matrix: of the systems.
        b: right-hand sides.
        x: where to start.
        omega: relaxation of each sample; for gradients 0 means no preconditioner.
        goal: what small enough means.
        limit: of iterations.
        colours: sweeps go colour by colour instead of in natural order.

    Raises:
        ValueError: shapes that do not fit.
    """
    check_batch(matrix, omega, b, x)
    if not goal.rtol.shape == goal.atol.shape == omega.shape:
        raise ValueError(
            f"Expected rtol and atol for each of {len(b)} samples, got shapes {tuple(goal.rtol.shape)} and "
            f"{tuple(goal.atol.shape)}."
        )
    if native.serves(matrix, b, x, colours=colours):
        return Solved(*native.solve(int(method), matrix, b, x, omega, goal, limit, colours=colours))
    return solve_reference(method, matrix, b, x, omega, goal, limit, colours=colours)


@torch.no_grad()
def solve_reference(
    method: Method,
    matrix: Matrix,
    b: Tensor,
    x: Tensor,
    omega: Tensor,
    goal: Goal,
    limit: int,
    *,
    colours: bool = False,
) -> Solved:
    """The torch twin of ``solve_systems``; samples that have ended are left out of the computation."""
    run = _Run(method, matrix, b, x, omega, goal, limit, colours)
    while len(run.rows):
        run.iterate()
    return run.solved


class _Run:
    """The samples that are still at it, ``rows`` of the batch, with their unknowns in the order of the sweeps."""

    def __init__(
        self,
        method: Method,
        matrix: Matrix,
        b: Tensor,
        x: Tensor,
        omega: Tensor,
        goal: Goal,
        limit: int,
        colours: bool,
    ) -> None:
        count, device = len(b), b.device
        self.method, self.matrix, self.limit, self.colours = method, matrix, limit, colours
        self.sweeper = Sweeper(matrix, colours=colours)
        self.rows = torch.arange(count, device=device)
        self.solved = Solved(
            x.clone(),
            torch.zeros(count, dtype=torch.int64, device=device),
            torch.zeros(count, dtype=torch.float64, device=device),
            torch.zeros(count, dtype=torch.int64, device=device),
        )
        self.b, self.x = self.sweeper.taken(b), self.sweeper.taken(x)
        self.r = self.sweeper.residual(self.b, self.x)
        self.best = _norm(self.r)
        self.omega, self.goal = omega.to(b), goal.norm(self.b, self.best)
        self.p, self.rho = torch.zeros_like(self.r), torch.ones(count, dtype=torch.float64, device=device)
        self.fresh = torch.ones(count, dtype=torch.bool, device=device)
        self.restarts, self.last = (torch.zeros(count, dtype=torch.int64, device=device) for _ in range(2))
        self.done = 0
        self.patience = max(_PATIENCE, b.shape[1:].numel()) if method == Method.GRADIENTS else _PATIENCE
        self.judge(self.best)

    def iterate(self) -> None:
        """One iteration of all of them, and the end of some."""
        if self.method == Method.GRADIENTS:
            self.descend()
            return
        self.done += 1
        self.sweeper.sweep(self.b, self.x, self.omega)
        if self.method == Method.SYMMETRIC_SWEEPS:
            self.sweeper.sweep(self.b, self.x, self.omega, backward=True)
        self.judge(_norm(self.sweeper.residual(self.b, self.x)))

    def descend(self) -> None:
        """One step of conjugate gradients, checked against the true residual where it says that it has arrived."""
        residual = _norm(self.r)
        conditioned = self.omega > 0
        s = self.r
        if bool(conditioned.any()):
            z = self.sweeper.precondition(self.r, torch.where(conditioned, self.omega, 1.0))
            s = torch.where(conditioned[:, None], z, self.r)
        rho = _dot(self.r, s)
        if self.stop(~(rho > 0), rho, residual):
            return
        beta = torch.where(self.fresh, 0.0, rho / self.rho).to(s)
        p = s + beta[:, None] * self.p  # kept once no sample stops, or those that go on would add to it twice
        q = self.sweeper.residual(torch.zeros_like(p), p).neg()
        curvature = _dot(p, q)
        if self.stop(~(curvature > 0), curvature, residual):
            return
        alpha = (rho / curvature).to(s)[:, None]
        self.x, self.r, self.p = self.x + alpha * p, self.r - alpha * q, p
        self.rho, self.fresh = rho, torch.zeros_like(self.fresh)
        self.done += 1
        residual = _norm(self.r)
        arrived = residual <= self.goal
        if bool(arrived.any()):
            true = self.sweeper.residual(self.b, self.x)
            self.r = torch.where(arrived[:, None], true, self.r)
            residual = torch.where(arrived, _norm(true), residual)
            self.fresh = arrived
            self.restarts = self.restarts + (arrived & (residual > self.goal)).long()
        self.judge(residual)

    def stop(self, ended: Tensor, sign: Tensor, residual: Tensor) -> bool:
        """End the samples whose matrix is not positive definite; whether there were any."""
        if not bool(ended.any()):
            return False
        status = torch.where(sign.isfinite(), int(Status.INDEFINITE), int(Status.NOT_FINITE))
        self.end(ended, status, residual)
        return True

    def judge(self, residual: Tensor) -> None:
        """End the samples that have arrived, and those that will not."""
        better = residual < self.best
        self.best = torch.where(better, residual, self.best)
        self.last = torch.where(better, self.done, self.last)
        status = torch.full_like(self.rows, -1)
        status[(self.restarts > _RESTARTS) | (self.done - self.last >= self.patience)] = int(Status.STAGNATED)
        if self.done >= self.limit:
            status[:] = int(Status.TOO_MANY_ITERATIONS)
        status[residual <= self.goal] = int(Status.CONVERGED)
        status[~residual.isfinite()] = int(Status.NOT_FINITE)
        ended = status >= 0
        if bool(ended.any()):
            self.end(ended, status, residual)

    def end(self, ended: Tensor, status: Tensor, residual: Tensor) -> None:
        """Write down the samples that have ended, and go on with the others."""
        at = self.rows[ended]
        x, iterations, residuals, statuses = self.solved
        x[at] = self.sweeper.given(self.x[ended])
        iterations[at], residuals[at], statuses[at] = self.done, residual[ended], status[ended]
        kept = (~ended).nonzero()[:, 0]
        pick: Callable[[Tensor], Tensor] = lambda value: value[kept]  # noqa: E731
        self.b, self.x, self.r, self.p, self.rho = map(pick, (self.b, self.x, self.r, self.p, self.rho))
        self.rows, self.omega, self.goal, self.best = map(pick, (self.rows, self.omega, self.goal, self.best))
        self.fresh, self.restarts, self.last = map(pick, (self.fresh, self.restarts, self.last))
        if self.matrix.samples > 1 and len(kept):
            self.sweeper = Sweeper(self.matrix.select(self.rows), colours=self.colours)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    return (x.double() * y.double()).sum(dim=1)


def _norm(x: Tensor) -> Tensor:
    return torch.linalg.vector_norm(x.double(), dim=1)
