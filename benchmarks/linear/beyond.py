"""What the paper does not have: the choice of the method learnt with omega, and a learner that a batch shares.

``joint``: the heat problem, where a bandit chooses among SSOR with ten omegas and multigrid as preconditioners by the
time that solves take, told the conductivity, beside ChebCB over twenty omegas by iterations. ``shared``: many
simulations at once, of different conductivities, with one ChebCB for all, beside a ChebCB for each.
"""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor

from sciml.solvers.bandits import ChebCB
from sciml.solvers.controller import FixedStep
from sciml.solvers.equations.implicit_diffusion import ImplicitDiffusion
from sciml.solvers.linear import SSORPCG, LinearSolver, MultigridPCG, Tuned
from sciml.solvers.solve import solve

from . import heat
from .learners import ARMS

FEW = torch.linspace(1.0, 1.9, 10, dtype=torch.float64)


def joint(nx: int, steps: int, trials: int) -> list[dict[str, Any]]:
    """Seconds of the whole simulation by each way to choose."""
    problem, rows = heat.Problem(nx), []
    for seed in range(trials):
        for name, solver in _choosers(seed).items():
            counting = heat.Counting(solver)
            rows.append(
                {"nx": nx, "steps": steps, "method": name, "seed": seed, **heat.simulate(problem, counting, steps)}
            )
            if isinstance(solver, Tuned):
                rows[-1]["multigrid"] = sum(omega == len(FEW) for omega in counting.omegas) / steps
            print(rows[-1], flush=True)
    return rows


def _choosers(seed: int) -> dict[str, LinearSolver]:
    solvers: list[LinearSolver] = [*(SSORPCG(float(omega)) for omega in FEW), MultigridPCG(1.0)]
    return {
        "SSOR, omega by ChebCB": SSORPCG(ChebCB(ARMS, 0.0, 10.0, seed=seed)),
        "SSOR, omega 1.75": SSORPCG(1.75),
        "multigrid": MultigridPCG(1.0),
        "SSOR or multigrid, by ChebCB": Tuned(solvers, ChebCB(range(len(solvers)), 0.0, 10.0, seed=seed)),
    }


def shared(nx: int, steps: int, count: int) -> list[dict[str, Any]]:
    """``count`` simulations: each with its own learner, one after another; or all at once with one learner."""
    generator = torch.Generator().manual_seed(0)
    strength = 0.25 + 0.75 * torch.rand(count, dtype=torch.float64, generator=generator)
    phase = torch.rand(count, dtype=torch.float64, generator=generator)
    rows = []
    for name, groups in (("a learner each", torch.arange(count).split(1)), ("one learner", (torch.arange(count),))):
        total, begin = 0, time.process_time()
        for k, group in enumerate(groups):
            total += _batch(nx, steps, strength[group], phase[group], seed=k)
        seconds = time.process_time() - begin
        rows.append({"nx": nx, "steps": steps, "count": count, "method": name, "iterations": total, "seconds": seconds})
        print(rows[-1], flush=True)
    return rows


def _batch(nx: int, steps: int, strength: Tensor, phase: Tensor, seed: int) -> int:
    """Iterations of simulations that are stepped together."""
    problem, total = heat.Problem(nx), 0
    learner = SSORPCG(ChebCB(ARMS, 0.0, 10.0, seed=seed))

    def conductivity(t: Tensor) -> Tensor:
        return strength * heat.conductivity(t + phase)

    def solver(matrix: Any, b: Tensor, x0: Tensor | None = None, *, context: Any = None) -> Any:
        nonlocal total
        solution = learner(matrix, b, x0, context=context)
        total += int(solution.iterations.sum())
        return solution

    stepper = ImplicitDiffusion(problem.matrix, solver, conductivity=conductivity, source=problem.source)
    ts = torch.tensor([0.0, steps * heat.DT], dtype=torch.float64)
    solve(stepper, problem.start.expand(len(phase), -1, -1, -1), ts, FixedStep(heat.DT))
    return total
