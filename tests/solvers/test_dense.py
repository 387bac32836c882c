"""The continuous solution."""

import pytest
import torch

from sciml.solvers import SSPRK3, TSIT5, FixedStep, PIDController, RungeKutta, StepDoubling, solve
from tests.problems import MODULATED

F64 = torch.float64
SPANS = torch.tensor([[0.0, 3.0], [2.5, 0.5], [1.0, 1.2]], dtype=F64)  # one goes backwards, all end at their own time


@pytest.fixture(name="solution", scope="module")
def _solution():
    y0 = MODULATED.exact(SPANS[:, 0], MODULATED.y0)
    controller = PIDController(rtol=1e-8, atol=1e-8)
    return solve(RungeKutta(MODULATED.field, TSIT5), y0, SPANS, controller, keep_dense=True)


def test_values_and_derivatives_at_any_time_in_any_order(solution) -> None:
    generator = torch.Generator().manual_seed(0)
    where = torch.rand(3, 40, generator=generator, dtype=F64)
    times = SPANS[:, :1] + where * (SPANS[:, 1:] - SPANS[:, :1])
    exact = torch.stack([MODULATED.exact(times[:, k], MODULATED.y0) for k in range(40)], dim=1)
    torch.testing.assert_close(solution.dense(times), exact, rtol=1e-5, atol=1e-6)
    slopes = exact * torch.cos(times)[..., None]
    torch.testing.assert_close(solution.dense.derivative(times), slopes, rtol=1e-3, atol=1e-4)


def test_it_passes_through_the_outputs(solution) -> None:
    torch.testing.assert_close(solution.dense(SPANS), solution.ys, rtol=1e-14, atol=1e-15)


def test_it_is_differentiable_in_time(solution) -> None:
    times = torch.full((3, 1), 1.1, dtype=F64, requires_grad=True)
    (slope,) = torch.autograd.grad(solution.dense(times)[..., 0].sum(), times)
    torch.testing.assert_close(slope, solution.dense.derivative(times.detach())[..., 0])


def test_times_outside_are_refused(solution) -> None:
    with pytest.raises(ValueError, match="inside the solved span"):
        solution.dense(torch.tensor([2.9], dtype=F64))
    with pytest.raises(ValueError, match="shape"):
        solution.dense(torch.zeros(2, 2, 2))


def test_a_stepper_without_dense_output_is_refused() -> None:
    stepper = StepDoubling(RungeKutta(MODULATED.field, SSPRK3))
    with pytest.raises(ValueError, match="no dense output"):
        solve(stepper, MODULATED.y0, SPANS, FixedStep(0.1), keep_dense=True)
