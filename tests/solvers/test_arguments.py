"""Arguments of vector fields, and what it costs to have finished."""

import pytest
import torch
from torch import Tensor

from sciml.solvers import RK4, TSIT5, FixedStep, PerSample, PIDController, RungeKutta, Step, StepDoubling, solve

F64 = torch.float64
RATES = torch.logspace(0, 1.5, 32, dtype=F64)
Y0 = torch.tensor([[1.0, 0.0]], dtype=F64).expand(32, 2)
TS = torch.tensor([0.0, 3.0], dtype=F64)
CONTROLLER = PIDController(rtol=1e-6, atol=1e-6)


def rotation(t: Tensor, y: Tensor, rate: Tensor) -> Tensor:
    return rate[:, None] * torch.stack([y[:, 1], -y[:, 0]], dim=1)


def test_finished_samples_are_not_computed() -> None:
    """The slowest sample needs 30 times the steps of the quickest: most of the work is not done."""
    rows: list[int] = []

    def field(t: Tensor, y: Tensor, rate: Tensor) -> Tensor:
        rows.append(len(y))
        return rotation(t, y, rate)

    solution = solve(RungeKutta(field, TSIT5), Y0, TS, CONTROLLER, args=(PerSample(RATES),))
    assert sum(rows) < 0.45 * len(rows) * len(Y0)
    assert sum(rows) < 1.25 * int(solution.statistics.evaluations.sum()) + 4 * len(Y0)
    exact = torch.stack([torch.cos(3 * RATES), -torch.sin(3 * RATES)], dim=1)
    assert float((solution.ys[:, -1] - exact).abs().max()) < 1e-4


def test_a_field_that_holds_per_sample_tensors_gives_the_same_bits() -> None:
    bound = solve(RungeKutta(rotation, TSIT5), Y0, TS, CONTROLLER, args=(PerSample(RATES),))
    closed = solve(RungeKutta(lambda t, y: rotation(t, y, RATES), TSIT5), Y0, TS, CONTROLLER)
    assert torch.equal(bound.ys, closed.ys)
    assert torch.equal(bound.statistics.accepted, closed.statistics.accepted)


def test_an_error_of_the_field_is_not_mistaken_for_a_refusal() -> None:
    def field(t: Tensor, y: Tensor, rate: Tensor) -> Tensor:
        if len(y) < len(Y0) or bool((t > 0.5).any()):
            raise ValueError("the field's own trouble")
        return rotation(t, y, rate)

    with pytest.raises(ValueError, match="the field's own trouble"):
        solve(RungeKutta(field, TSIT5), Y0, TS, CONTROLLER, args=(PerSample(RATES),))


def test_gradients_of_arguments() -> None:
    def end(rate: Tensor, scale: Tensor) -> Tensor:
        stepper = RungeKutta(lambda t, y, rate, scale: scale * rotation(t, y, rate), TSIT5)
        args = (PerSample(rate), scale)
        return solve(stepper, Y0[:3], TS, FixedStep(0.5), args=args).ys

    rate = torch.tensor([0.3, 0.7, 1.0], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(end, (rate, torch.tensor(1.1, dtype=F64, requires_grad=True)))


def test_arguments_that_cannot_be_handed_over_are_named() -> None:
    with pytest.raises(ValueError, match=r"PerSample argument of shape \(32, ...\)"):
        solve(RungeKutta(rotation, TSIT5), Y0, TS, CONTROLLER, args=(PerSample(RATES[:5]),))
    with pytest.raises(ValueError, match="no vector field"):
        solve(lambda t, dt, y: Step(y), Y0, TS, FixedStep(1.0), args=(RATES,))


def test_step_doubling_hands_on_arguments_and_rows() -> None:
    plain = solve(StepDoubling(RungeKutta(rotation, RK4)), Y0, TS, CONTROLLER, args=(PerSample(RATES),))
    exact = torch.stack([torch.cos(3 * RATES), -torch.sin(3 * RATES)], dim=1)
    assert float((plain.ys[:, -1] - exact).abs().max()) < 1e-3
    closed = solve(StepDoubling(RungeKutta(lambda t, y: rotation(t, y, RATES), RK4)), Y0, TS, CONTROLLER)
    assert torch.equal(plain.ys, closed.ys)


@pytest.mark.parametrize("most", range(1, 12))
def test_running_out_of_steps_at_any_moment_tells_of_every_sample(most: int) -> None:
    ends = torch.stack([torch.zeros(32, dtype=F64), torch.linspace(0.01, 3, 32, dtype=F64)], dim=1)
    solution = solve(RungeKutta(lambda t, y: -y, TSIT5), Y0, ends, CONTROLLER, max_steps=most, throw=False)
    assert solution.t_end.shape == (32,)
    done = solution.statistics.status == 0
    assert torch.equal(done, solution.t_end == ends[:, 1])
    torch.testing.assert_close(solution.y_end, Y0 * torch.exp(-solution.t_end)[:, None], rtol=1e-4, atol=1e-5)
