"""Heat in a square whose conductivity swings by two orders, by Crank-Nicolson: section 5.2 of "Learning to Relax".

u_t = kappa(t) Laplacian u + f, with a source that circles sixteen times a unit of time; 5,000 steps of 1e-3, the
linear systems to 1e-8 by conjugate gradients with SSOR, started from the step before.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciml.kernels.linear.products import product
from sciml.solvers.controller import FixedStep
from sciml.solvers.equations.implicit_diffusion import ImplicitDiffusion
from sciml.solvers.linear import CG, SSORPCG, LinearSolution, Stencil, nodal_laplacian
from sciml.solvers.solve import solve

from .learners import ARMS, Interval, learners

DT = 1e-3
INTERVAL = Interval(0.0, 10.0, 6, 0.0, 10.0)
OMEGAS = (1.0, 1.3, 1.5, 1.75, 1.95)


def conductivity(t: Tensor) -> Tensor:
    """At most 0.1 in one half of each unit of time, up to 10 in the other."""
    wave = torch.sin(2 * math.pi * t)
    return torch.maximum(0.1 * wave, -10 * wave)


class Problem:
    """The equation on a grid of nx cells along each side, in steps.

    Args:
        nx: cells along a side.
    """

    def __init__(self, nx: int) -> None:
        x = torch.arange(1, nx, dtype=torch.float64) / nx
        self.x, self.y = torch.meshgrid(x, x, indexing="ij")
        self.matrix = nodal_laplacian((nx - 1, nx - 1), spacing=1 / nx)
        self.start = self.bump(torch.tensor(0.5), torch.tensor(0.5), 0.25)[None, None]

    def bump(self, x: Tensor, y: Tensor, radius: float) -> Tensor:
        """exp(1 - 1 / (1 - r^2)) about a place."""
        square = ((self.x - x) ** 2 + (self.y - y) ** 2) / radius**2
        return torch.where(square < 1, torch.exp(1 - 1 / (1 - square.clamp(max=1 - 1e-15))), 0.0)

    def source(self, t: Tensor) -> Tensor:
        """f, (batch, 1, *space)."""
        angle = 16 * math.pi * t[:, None, None]
        return (32 * self.bump(0.5 + torch.cos(angle) / 4, 0.5 + torch.sin(angle) / 4, 0.125))[:, None]

    def stepper(self, solver: Any) -> ImplicitDiffusion:
        """With that solver of its systems."""
        return ImplicitDiffusion(self.matrix, solver, conductivity=conductivity, source=self.source)


class Counting:
    """A solver that keeps the iterations of its solves, and the omegas that it took."""

    def __init__(self, solver: Any) -> None:
        self.solver = solver
        self.iterations: list[int] = []
        self.omegas: list[float] = []

    def __call__(
        self, matrix: Stencil, b: Tensor, x0: Tensor | None = None, *, context: Tensor | None = None
    ) -> LinearSolution:
        solution: LinearSolution = self.solver(matrix, b, x0, context=context)
        self.iterations.append(int(solution.iterations[0]))
        if solution.omega is not None:
            self.omegas.append(float(solution.omega[0]))
        return solution


def simulate(problem: Problem, solver: Counting, steps: int) -> dict[str, Any]:
    """The whole simulation through ``solve``: total iterations, seconds, the last maximum."""
    times = torch.tensor([0.0, steps * DT], dtype=torch.float64)
    begin = time.process_time()
    last = solve(problem.stepper(solver), problem.start, times, FixedStep(DT)).ys[:, -1]
    seconds = time.process_time() - begin
    return {"iterations": sum(solver.iterations), "seconds": seconds, "maximum": float(last.max())}


def candidates() -> dict[str, Callable[[int], Counting]]:
    """The methods, from a seed."""
    found: dict[str, Callable[[int], Counting]] = {"CG": lambda seed: Counting(CG())}
    for omega in OMEGAS:
        found[f"omega {omega}"] = lambda seed, omega=omega: Counting(SSORPCG(omega))  # type: ignore[misc]
    for name, make in list(learners(INTERVAL).items())[:3]:
        found[name] = lambda seed, make=make: Counting(SSORPCG(make(seed)))  # type: ignore[misc]
    return found


def hindsight(problem: Problem, steps: int) -> dict[str, Any]:
    """The least total of one arm, and of the best arm in each step, along the solution.

    All arms start from the same state in each step, which is that of omega = 1.5; solutions differ by 1e-8.
    """
    reference = SSORPCG(1.5)
    many = [SSORPCG(float(arm)) for arm in ARMS]
    totals, best = np.zeros(len(ARMS), dtype=np.int64), 0

    def every(matrix: Stencil, b: Tensor, x0: Tensor | None = None, *, context: Tensor | None = None) -> LinearSolution:
        nonlocal best
        costs = np.array([int(one(matrix, b, x0).iterations[0]) for one in many])
        totals[:] += costs
        best += int(costs.min())
        return reference(matrix, b, x0)

    solve(problem.stepper(every), problem.start, torch.tensor([0.0, steps * DT], dtype=torch.float64), FixedStep(DT))
    arm = int(totals.argmin())
    fixed = {"iterations": int(totals[arm]), "omega": float(ARMS[arm])}
    return {"best fixed": fixed, "best arm of each": {"iterations": best}}


def direct(problem: Problem, steps: int, every: int) -> dict[str, Any]:
    """SciPy's sparse direct solver in each ``every``-th step, and what all steps would take."""
    from sciml.solvers.linear.backends import SparseDirect

    solver, seconds, u = SparseDirect(), 0.0, problem.start[:, 0]
    for step in range(0, steps, every):
        kappa = float(conductivity(torch.tensor((step + 0.5) * DT)))
        system = problem.matrix.scaled(0.5 * DT * kappa).shifted(1.0)
        right = u - 0.5 * DT * kappa * product(problem.matrix, u)
        begin = time.process_time()
        solver(system, right)
        seconds += time.process_time() - begin
    return {"iterations": None, "seconds": seconds * every}
