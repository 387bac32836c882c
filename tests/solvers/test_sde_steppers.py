"""Theorems that hold for every stepper of tests/sde_problems.py."""

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, PIDController, StepDoubling, solve
from sciml.solvers.brownian import BrownianPath
from sciml.solvers.sde import Calculus, Noise
from tests.sde_problems import FINEST, FLOAT, SDE_PROBLEMS, SDE_STEPPERS, SDECase, SDEProblem, end_of_path

SPAN = torch.tensor([0.0, 1.0], dtype=FLOAT)
PAIRS = [(case, problem) for case in SDE_STEPPERS for problem in case.problems()]
pair_sweep = pytest.mark.parametrize(
    ("case", "problem"), PAIRS, ids=[f"{case.name}-{problem.name}" for case, problem in PAIRS]
)
stepper_sweep = pytest.mark.parametrize("case", SDE_STEPPERS, ids=lambda case: case.name)


def end(case: SDECase, problem: SDEProblem, path: BrownianPath, steps: int) -> Tensor:
    stepper = case.build(problem.sde(case.calculus), path)
    return solve(stepper, problem.y0, SPAN, FixedStep(1 / steps)).ys[:, -1]


def root_mean_square(error: Tensor) -> float:
    return float(error.square().mean().sqrt())


@pair_sweep
def test_measured_strong_order_is_the_declared_one(case: SDECase, problem: SDEProblem) -> None:
    """Root mean square error at time 1 along the same paths, whose increments the coarser steps add up."""
    path = problem.path()
    exact = problem.end(path)
    coarse, fine = (root_mean_square(end(case, problem, path, steps) - exact) for steps in (8, 32))
    slope = float(torch.log2(torch.tensor(coarse / fine))) / 2
    order = case.build(problem.sde(case.calculus), path).order
    assert order - 0.2 < slope < order + 0.75
