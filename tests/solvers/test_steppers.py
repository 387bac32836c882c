"""Theorems that hold for every stepper of tests/problems.py."""

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, PIDController, solve
from tests.problems import ADAPTIVE, COMPLEX, DENSE, MODULATED, PROBLEMS, ROTATION, STEPPERS, Case, Problem

stepper_sweep = pytest.mark.parametrize("case", STEPPERS, ids=lambda case: case.name)
adaptive_sweep = pytest.mark.parametrize("case", ADAPTIVE, ids=lambda case: case.name)
dense_sweep = pytest.mark.parametrize("case", DENSE, ids=lambda case: case.name)
problem_sweep = pytest.mark.parametrize("problem", PROBLEMS, ids=lambda problem: problem.name)


def span(problem: Problem, outputs: int = 2) -> Tensor:
    return torch.linspace(0, problem.end, outputs, dtype=torch.float64)


def exact(problem: Problem, ts: Tensor) -> Tensor:
    """The solution at ts (time,), (batch, time, dimension)."""
    return torch.stack([problem.exact(t.expand(len(problem.y0)), problem.y0) for t in ts], dim=1)


def largest_error(case: Case, problem: Problem, steps: int) -> float:
    """At a few ends of steps: at one alone it may happen to pass through zero."""
    ts = span(problem, 5)
    ys = solve(case.build(problem.field), problem.y0, ts, FixedStep(problem.end / steps)).ys
    return float((ys - exact(problem, ts)).abs().max())


def step_counts(order: int) -> tuple[int, int]:
    """Enough steps to see the order, few enough that rounding stays below the error."""
    return (4, 8) if order >= 9 else (8, 16) if order >= 7 else (16, 32) if order >= 5 else (32, 64)


def within_reach(case: Case, tolerance: float) -> float:
    """The tolerance, or the tightest that a pair of low order meets in a few hundred steps."""
    return max(tolerance, 10.0 ** (-2 * case.build(ROTATION.field).error_order))


@stepper_sweep
@problem_sweep
def test_measured_order_is_the_declared_one(case: Case, problem: Problem) -> None:
    coarse, fine = (case.finer * steps for steps in step_counts(case.build(problem.field).order))
    slope = torch.log2(torch.tensor(largest_error(case, problem, coarse) / largest_error(case, problem, fine)))
    # Where the leading coefficient happens to vanish the slope is higher, never lower.
    assert case.build(problem.field).order - 0.35 < slope < case.build(problem.field).order + 1.8


@adaptive_sweep
@problem_sweep
def test_error_estimate_shrinks_with_its_declared_order(case: Case, problem: Problem) -> None:
    stepper = case.build(problem.field)
    t = torch.full((len(problem.y0),), 0.3, dtype=torch.float64)
    # Rounding drowns the highest orders in short steps; in longer ones they show less clearly.
    lengths, slack = ((0.2, 0.1), 0.7) if stepper.error_order >= 7 else ((0.1, 0.05), 0.4)
    errors = (stepper(t, torch.full_like(t, dt / case.finer), problem.y0).error for dt in lengths)
    sizes = [float(error.abs().max()) for error in errors]
    assert torch.log2(torch.tensor(sizes[0] / sizes[1])) > stepper.error_order - slack


@dense_sweep
@problem_sweep
def test_dense_output_has_its_declared_order_inside_a_step(case: Case, problem: Problem) -> None:
    stepper = case.build(problem.field)
    theta = torch.linspace(0.04, 0.96, 24, dtype=torch.float64)
    rows = torch.arange(len(problem.y0)).repeat_interleave(len(theta))
    theta = theta.repeat(len(problem.y0))

    def error(dt: float) -> float:
        t = torch.zeros(len(problem.y0), dtype=torch.float64)
        step = stepper(t, torch.full_like(t, dt), problem.y0)
        return float((step.dense(theta, rows) - problem.exact(dt * theta, problem.y0[rows])).abs().max())

    lengths = (0.8, 0.4) if stepper.dense_order >= 9 else (0.4, 0.2) if stepper.dense_order >= 6 else (0.1, 0.05)
    slope = torch.log2(torch.tensor(error(lengths[0]) / error(lengths[1])))
    assert stepper.dense_order + 1 - 0.7 < slope < stepper.dense_order + 1 + 1.8


@adaptive_sweep
@problem_sweep
@pytest.mark.parametrize("tolerance", [1e-4, 1e-7])
def test_adaptive_solve_meets_the_tolerance(case: Case, problem: Problem, tolerance: float) -> None:
    ts, tolerance = span(problem, 11), within_reach(case, tolerance)
    solution = solve(case.build(problem.field), problem.y0, ts, PIDController(rtol=tolerance, atol=tolerance))
    # Each step may err by tolerance (1 + |y|), and these problems hardly amplify it.
    allowed = tolerance * (1 + float(solution.ys.abs().max())) * int(solution.statistics.accepted.max())
    assert float((solution.ys - exact(problem, ts)).abs().max()) < 0.5 * case.optimism * allowed
    assert bool((solution.statistics.status == 0).all())


@stepper_sweep
def test_batching_changes_no_bit_of_a_sample(case: Case) -> None:
    if case in ADAPTIVE:
        controller = PIDController(rtol=within_reach(case, 1e-5), atol=within_reach(case, 1e-7))
    else:
        controller = FixedStep(0.07)
    stepper, ts = case.build(MODULATED.field), span(MODULATED, 5)
    together = solve(stepper, MODULATED.y0, ts, controller)
    for i in range(len(MODULATED.y0)):
        alone = solve(stepper, MODULATED.y0[i : i + 1], ts, controller)
        assert torch.equal(together.ys[i : i + 1], alone.ys)
        assert int(together.statistics.accepted[i]) == int(alone.statistics.accepted[0])
        assert int(together.statistics.evaluations[i]) == int(alone.statistics.evaluations[0])


@stepper_sweep
def test_backwards_in_time_undoes_forwards(case: Case) -> None:
    if case in ADAPTIVE:
        tolerance = within_reach(case, 1e-9)
        controller, allowed = PIDController(rtol=tolerance, atol=tolerance), max(1e-6, 30 * tolerance)
    else:
        controller, allowed = FixedStep(0.005), max(1e-6, 4 * 0.005 ** case.build(MODULATED.field).order)
    stepper, ts = case.build(MODULATED.field), span(MODULATED)
    found = solve(stepper, MODULATED.y0, ts, controller)
    there = found.ys[:, -1]
    if case in ADAPTIVE:  # where steps are many their errors add up
        allowed = max(allowed, tolerance * int(found.statistics.accepted.max()))
    back = solve(stepper, there, ts.flip(0), controller).ys[:, -1]
    torch.testing.assert_close(back, MODULATED.y0, rtol=allowed, atol=allowed)


@stepper_sweep
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_dtypes_of_state_and_time_are_kept_apart(case: Case, dtype: torch.dtype) -> None:
    solution = solve(case.build(ROTATION.field), ROTATION.y0.to(dtype), span(ROTATION, 3), FixedStep(0.1))
    assert solution.ys.dtype == dtype
    assert solution.ts.dtype == torch.float64


@stepper_sweep
def test_gradient_against_finite_differences(case: Case) -> None:
    ts = torch.linspace(0, 1, 3, dtype=torch.float64)

    def end(y0: Tensor, rate: Tensor) -> Tensor:
        return solve(case.build(lambda t, y: rate * y * torch.cos(t)[:, None]), y0, ts, FixedStep(0.25)).ys

    rate = torch.tensor(0.7, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(end, (MODULATED.y0.clone().requires_grad_(), rate))


@adaptive_sweep
def test_gradient_through_adaptive_steps(case: Case) -> None:
    """d y(T) / d y0 of a linear problem is y(T) / y0, to the solver's tolerance."""
    y0 = MODULATED.y0[:2].clone().requires_grad_()
    tolerance = within_reach(case, 1e-8)
    controller = PIDController(rtol=tolerance, atol=tolerance)
    ys = solve(case.build(MODULATED.field), y0, span(MODULATED), controller).ys[:, -1]
    (gradient,) = torch.autograd.grad(ys.sum(), y0)
    torch.testing.assert_close(gradient, (ys / y0).detach(), rtol=100 * tolerance, atol=0)


def test_states_may_be_structures() -> None:
    def field(t: Tensor, y: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"position": y["velocity"], "velocity": -y["position"]}

    y0 = {"position": torch.ones(2, 1, dtype=torch.float64), "velocity": torch.zeros(2, 1, dtype=torch.float64)}
    for case in STEPPERS:
        ys = solve(case.build(field), y0, torch.linspace(0, 1, 5, dtype=torch.float64), FixedStep(0.01)).ys
        allowed = max(1e-6, 0.01 ** case.build(field).order)
        torch.testing.assert_close(ys["position"][:, -1], torch.cos(y0["position"]), rtol=0, atol=allowed)


def test_complex_states_keep_their_modulus() -> None:
    ys = solve(STEPPERS[0].build(COMPLEX.field), COMPLEX.y0, span(COMPLEX, 4), FixedStep(0.01)).ys
    torch.testing.assert_close(ys.abs()[:, -1], COMPLEX.y0.abs(), rtol=1e-8, atol=0)
