"""Theorems that hold for every stepper of tests/sde_problems.py."""

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, PIDController, StepDoubling, solve
from sciml.solvers.stochastic.brownian import BrownianPath
from sciml.solvers.stochastic.sde import SDE, Calculus
from tests.sde_problems import FLOAT, SDE_STEPPERS, SDECase, SDEProblem

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


def small(problem: SDEProblem, batch: int = 3, cell: float = 0.125, seed: int = 2) -> tuple[Tensor, BrownianPath]:
    """A few samples that differ, and a path for them."""
    y0 = problem.y0[:batch] * torch.linspace(0.5, 1.0, batch, dtype=FLOAT)[:, None]
    return y0, BrownianPath(seed, (batch, problem.noise), cell, dtype=FLOAT)


@pair_sweep
def test_batching_changes_no_bit_of_a_sample(case: SDECase, problem: SDEProblem) -> None:
    y0, path = small(problem)
    sde = problem.sde(case.calculus)
    ts = torch.tensor([0.0, 0.3, 1.0], dtype=FLOAT)  # 0.3 is not on the path's grid
    together = solve(case.build(sde, path), y0, ts, FixedStep(0.125)).ys
    for i in range(len(y0)):
        row = torch.tensor([i])
        alone = solve(case.build(sde, path.select(row)), y0[row], ts, FixedStep(0.125)).ys
        assert torch.equal(together[row], alone)


@stepper_sweep
def test_samples_that_finish_early_leave_the_others_on_their_paths(case: SDECase) -> None:
    problem = case.problems()[0]
    y0, path = small(problem, batch=6)
    sde = problem.sde(case.calculus)
    ends = torch.tensor([0.25, 1.0, 0.25, 0.25, 0.5, 0.25], dtype=FLOAT)
    together = solve(case.build(sde, path), y0, torch.stack([torch.zeros_like(ends), ends], dim=1), FixedStep(0.125))
    for i, stop in enumerate(ends):
        row = torch.tensor([i])
        ts = torch.stack([torch.zeros((), dtype=FLOAT), stop])
        assert torch.equal(together.ys[row], solve(case.build(sde, path.select(row)), y0[row], ts, FixedStep(0.125)).ys)


@pair_sweep
def test_gradients_against_finite_differences(case: SDECase, problem: SDEProblem) -> None:
    y0, path = small(problem, batch=2, cell=0.25)

    def end_state(start: Tensor, scale: Tensor) -> Tensor:
        plain = problem.sde(case.calculus)
        sde = SDE(
            lambda t, y: scale * plain.drift(t, y),
            lambda t, y: scale * plain.diffusion(t, y),
            plain.noise,
            plain.calculus,
        )
        return solve(case.build(sde, path), start, SPAN, FixedStep(0.25)).ys[:, -1]

    scale = torch.tensor(0.8, dtype=FLOAT, requires_grad=True)
    assert torch.autograd.gradcheck(end_state, (y0.clone().requires_grad_(), scale))


@pair_sweep
def test_a_step_of_length_zero_changes_nothing_and_has_finite_gradients(case: SDECase, problem: SDEProblem) -> None:
    y0, path = small(problem)
    y0 = y0.requires_grad_()
    stepper = case.build(problem.sde(case.calculus), path)
    t = torch.full((3,), 0.3, dtype=FLOAT)
    reuse = (stepper.start(t, y0),) if hasattr(stepper, "start") else ()
    step = stepper(t, torch.zeros_like(t), y0, *reuse)
    torch.testing.assert_close(step.y, y0, rtol=0, atol=0)
    (gradient,) = torch.autograd.grad(step.y.sum(), y0)
    torch.testing.assert_close(gradient, torch.ones_like(y0), rtol=0, atol=1e-12)
    assert step.error is None or torch.equal(step.error, torch.zeros_like(y0))


@pair_sweep
def test_single_precision_states_stay_so(case: SDECase, problem: SDEProblem) -> None:
    y0, path = small(problem)
    plain = problem.sde(case.calculus)
    sde = SDE(
        lambda t, y: plain.drift(t, y.double()).float(),
        lambda t, y: plain.diffusion(t, y.double()).float(),
        plain.noise,
        plain.calculus,
    )
    coarse = solve(case.build(sde, path), y0.float(), SPAN, FixedStep(0.125)).ys
    fine = solve(case.build(plain, path), y0, SPAN, FixedStep(0.125)).ys
    assert coarse.dtype == torch.float32
    torch.testing.assert_close(coarse.double(), fine, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    "case", [case for case in SDE_STEPPERS if case.calculus is Calculus.STRATONOVICH], ids=lambda case: case.name
)
def test_backwards_in_time_retraces_a_stratonovich_solution(case: SDECase) -> None:
    problem = next(problem for problem in case.problems() if problem.name == "commutative")
    y0, path = small(problem, cell=2.0**-6)
    stepper = case.build(problem.sde(case.calculus), path)
    returns = []
    for steps in (16, 64):
        there = solve(stepper, y0, SPAN, FixedStep(1 / steps)).ys[:, -1]
        returns.append(root_mean_square(solve(stepper, there, SPAN.flip(0), FixedStep(1 / steps)).ys[:, -1] - y0))
    assert returns[1] < 0.6 * returns[0] or returns[1] < 1e-3


@pair_sweep
def test_error_estimate_shrinks_with_its_declared_order(case: SDECase, problem: SDEProblem) -> None:
    path = problem.path()
    stepper = case.build(problem.sde(case.calculus), path)
    if stepper.error_order is None:
        with pytest.raises(ValueError, match="StepDoubling"):
            solve(stepper, problem.y0, SPAN, PIDController())
        return
    t = torch.full((len(problem.y0),), 0.375, dtype=FLOAT)
    coarse, fine = (
        root_mean_square(stepper(t, torch.full_like(t, dt), problem.y0).error) for dt in (2.0**-6, 2.0**-10)
    )
    assert float(torch.log2(torch.tensor(coarse / fine))) / 4 > stepper.error_order - 0.1


@pytest.mark.parametrize(
    "case",
    [case for case in SDE_STEPPERS if case.name != "EULER_MARUYAMA (Ito)"],  # of order 1/2: it need not converge
    ids=lambda case: case.name,
)
def test_adaptive_steps_converge_along_the_path(case: SDECase) -> None:
    """The lengths look ahead on the path, and the solution is still that of the path."""
    problem = next(problem for problem in case.problems() if problem.name in ("sine", "additive"))
    rows = torch.arange(40)
    path = problem.path().select(rows)
    exact = problem.end(problem.path())[rows]
    plain = case.build(problem.sde(case.calculus), path)
    stepper = plain if plain.error_order is not None else StepDoubling(plain)
    errors = [
        root_mean_square(
            solve(stepper, problem.y0[rows], SPAN, PIDController(rtol=0.0, atol=tolerance)).ys[:, -1] - exact
        )
        for tolerance in (0.1, 0.01)
    ]
    assert errors[1] < 0.4 * errors[0]
    assert errors[1] < 0.05
