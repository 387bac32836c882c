"""Global penalties: sums over the steps, their gradients, and the same values under every adjoint and for SDEs."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers import TSIT5, PIDController, RungeKutta, Solution, solve
from sciml.solvers.adjoint.backsolve import Backsolve
from sciml.solvers.adjoint.checkpoint import RecursiveCheckpoint
from sciml.solvers.adjoint.direct import Direct
from sciml.solvers.adjoint.interpolated import Interpolated
from sciml.solvers.regularization import (
    global_error,
    global_stiffness,
    local_error,
    max_of_steps,
    mean_of_steps,
    sum_of_steps,
)
from sciml.solvers.stochastic.brownian import BrownianPath
from sciml.solvers.stochastic.schemes.sri import SOSRI
from sciml.solvers.stochastic.sde import SDE, Noise
from sciml.solvers.stochastic.sde_stepper import SDEStepper

F64 = torch.float64
CONTROLLER = PIDController(rtol=1e-6, atol=1e-6, dt0=0.5)
Y0 = torch.tensor([[1.0, 0.0], [0.5, -2.0], [0.1, 0.3]], dtype=F64)
TS = torch.tensor([0.0, 1.0], dtype=F64)


class Oscillator(nn.Module):
    """A damped pendulum of its own frequency."""

    def __init__(self) -> None:
        super().__init__()
        self.frequency = nn.Parameter(torch.tensor(3.0, dtype=F64))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[:, 1], -(self.frequency**2) * y[:, 0].sin() - y[:, 1]], dim=1)


def solved(adjoint: object = None) -> tuple[RungeKutta, Solution]:
    stepper = RungeKutta(Oscillator(), TSIT5)
    return stepper, solve(stepper, Y0, TS, CONTROLLER, keep_steps=True, adjoint=adjoint)


def test_reductions_see_accepted_steps_only() -> None:
    values = torch.tensor([[1.0, 100.0, 3.0], [2.0, torch.nan, 100.0]])
    accepted = torch.tensor([[True, False, True], [True, False, False]])
    assert sum_of_steps(values, accepted).tolist() == [4.0, 2.0]
    assert mean_of_steps(values, accepted).tolist() == [2.0, 2.0]
    assert max_of_steps(values, accepted).tolist() == [3.0, 2.0]


def test_value_is_the_sum_of_scaled_errors_times_lengths() -> None:
    stepper, solution = solved()
    steps = solution.steps
    assert bool((~steps.accepted).any()), "the first step is meant to be rejected"
    expected = torch.stack([(steps.ratio[i] * steps.dt[i].abs())[steps.accepted[i]].sum() for i in range(len(Y0))])
    torch.testing.assert_close(global_error(stepper, solution), expected)
    assert bool((steps.ratio[steps.accepted] <= 1).all())


@pytest.mark.parametrize("reduce", [sum_of_steps, mean_of_steps, max_of_steps])
def test_every_adjoint_gives_the_value_of_the_direct_one(reduce: object) -> None:
    stepper, solution = solved(Direct())
    expected = global_error(stepper, solution, reduce=reduce)
    stiffness = global_stiffness(stepper, solution, reduce=reduce)
    for adjoint in (RecursiveCheckpoint(), Backsolve(), Interpolated()):
        stepper, solution = solved(adjoint)
        error = global_error(stepper, solution, reduce=reduce)
        torch.testing.assert_close(error, expected, rtol=1e-6, atol=1e-9)
        torch.testing.assert_close(global_stiffness(stepper, solution, reduce=reduce), stiffness)
        (gradient,) = torch.autograd.grad(error.sum(), stepper.vector_field.frequency)
        assert float(gradient) > 0, "a faster pendulum has larger errors on the same steps"


def test_direct_gradient_is_that_of_finite_differences_with_the_steps_held() -> None:
    stepper, solution = solved()
    (gradient,) = torch.autograd.grad(global_error(stepper, solution).sum(), stepper.vector_field.frequency)
    accepted, lengths = solution.steps.accepted, solution.steps.dt

    def replayed(frequency: float) -> Tensor:
        """The same accepted steps, of the same lengths, at another frequency."""
        field = Oscillator()
        with torch.no_grad():
            field.frequency.fill_(frequency)
            other, total = RungeKutta(field, TSIT5), torch.zeros(())
            for i in range(len(Y0)):
                y, t = Y0[i : i + 1], torch.zeros(1, dtype=F64)
                for dt in lengths[i][accepted[i]]:
                    step = other(t, dt[None], y, other.start(t, y))
                    total = total + (CONTROLLER.ratio(step, y) * dt).sum()
                    y, t = step.y, t + dt
        return total

    difference = (replayed(3.0 + 1e-5) - replayed(3.0 - 1e-5)) / 2e-5
    torch.testing.assert_close(gradient, difference.to(F64), rtol=1e-5, atol=0)


def test_stiffness_is_the_eigenvalue_over_the_stability_size() -> None:
    """For y' = -7 y any two stages differ by the factor 7."""
    rate = torch.tensor(-7.0, dtype=F64, requires_grad=True)
    stepper = RungeKutta(lambda t, y: rate * y, TSIT5)
    solution = solve(stepper, Y0, TS, CONTROLLER, keep_steps=True)
    for reduce in (mean_of_steps, max_of_steps):
        value = global_stiffness(stepper, solution, reduce=reduce)
        torch.testing.assert_close(value, torch.full_like(value, 7 / TSIT5.stability), rtol=1e-8, atol=0)
    (gradient,) = torch.autograd.grad(value.sum(), rate)
    torch.testing.assert_close(gradient, torch.tensor(-3 / TSIT5.stability, dtype=F64), rtol=1e-6, atol=0)


def test_local_penalty_of_kept_lengths_estimates_the_global_one() -> None:
    """E over uniform times of h E(h) with the covering step's h is about the sum of h_j (h_j E_j) over the span."""
    stepper = RungeKutta(Oscillator(), TSIT5)
    y0 = Y0[:1].expand(1000, 2)
    solution = solve(stepper, y0, 4 * TS, PIDController(rtol=1e-8, atol=1e-8), keep_steps=True)
    steps = solution.steps
    weights = steps.dt[0] * steps.accepted[0] / 4
    expected = (weights * steps.ratio[0] * steps.dt[0]).sum()
    estimate = local_error(stepper, solution, kept_length=True, generator=torch.Generator().manual_seed(0)).mean()
    torch.testing.assert_close(estimate, expected, rtol=0.15, atol=0)


def test_penalties_of_an_sde_follow_the_path_of_the_solve() -> None:
    """The kept steps taken again, and the part of a step up to the random time, meet the same noise."""
    slope = torch.tensor(-1.0, dtype=F64, requires_grad=True)
    sde = SDE(lambda t, y: slope * y, lambda t, y: 0.3 + 0.1 * y, Noise.DIAGONAL)
    stepper = SDEStepper(sde, BrownianPath(0, (3, 2), cell=0.25, dtype=F64), SOSRI)
    solution = solve(stepper, Y0, TS, PIDController(rtol=1e-2, atol=1e-2, dt0=0.1), keep_steps=True)
    direct = global_error(stepper, solution)
    steps = solution.steps
    without_graph = replace(solution, steps=replace(steps, ratio=steps.ratio.detach()))
    torch.testing.assert_close(global_error(stepper, without_graph), direct, rtol=1e-6, atol=1e-12)
    for biased in (True, False):
        value = local_error(stepper, solution, biased=biased)
        assert value.shape == (3,) and bool((value > 0).all())
        assert float(torch.autograd.grad(value.sum(), slope, retain_graph=True)[0].abs()) > 0


def test_a_solution_without_steps_is_refused() -> None:
    stepper = RungeKutta(Oscillator(), TSIT5)
    solution = solve(stepper, Y0, TS, CONTROLLER)
    for penalty in (global_error, global_stiffness):
        with pytest.raises(ValueError, match="keep_steps=True"):
            penalty(stepper, solution)
