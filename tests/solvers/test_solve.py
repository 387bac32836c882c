"""The loop: clocks, output times, statistics, statuses and errors."""

import pytest
import torch
from torch import Tensor

from sciml.solvers import (
    RK4,
    TSIT5,
    FixedStep,
    PerSample,
    PIDController,
    RungeKutta,
    SolveError,
    Status,
    Step,
    StepDoubling,
    solve,
)
from tests.problems import MODULATED, ROTATION

F64 = torch.float64


def euler(t: Tensor, dt: Tensor, y: Tensor) -> Step:
    """A bare function is a stepper: y' = y."""
    return Step(y + dt[:, None] * y)


def test_fixed_step_lands_on_every_output_time() -> None:
    """0.1 does not divide the gaps 0.25 and 0.3: each is filled with whole steps and one short one."""
    seen: list[float] = []

    def stepper(t: Tensor, dt: Tensor, y: Tensor) -> Step:
        seen.append(float(dt[0]))
        return Step(y + dt[:, None])

    ys = solve(stepper, torch.zeros(1, 1, dtype=F64), torch.tensor([0.0, 0.25, 0.55], dtype=F64), FixedStep(0.1)).ys
    torch.testing.assert_close(ys[0, :, 0], torch.tensor([0.0, 0.25, 0.55], dtype=F64))
    assert seen == pytest.approx([0.1, 0.1, 0.05, 0.1, 0.1, 0.1])


def test_rounding_adds_no_sliver_steps() -> None:
    """In float32, 100 steps of 0.01 are 100 steps."""
    ts = torch.linspace(0, 1, 2, dtype=torch.float32)
    assert int(solve(euler, torch.ones(1, 1), ts, FixedStep(0.01)).statistics.accepted[0]) == 100


def test_nothing_is_evaluated_outside_the_time_span() -> None:
    outside = []

    def field(t: Tensor, y: Tensor, first: Tensor, last: Tensor) -> Tensor:
        outside.append(bool(((t < first) | (t > last + 1e-12)).any()))
        return y * torch.cos(t)[:, None]

    ts = torch.tensor([[0.0, 1.0, 2.0], [0.5, 0.6, 0.7]], dtype=F64)
    args = (PerSample(ts[:, 0]), PerSample(ts[:, -1]))
    controller = PIDController(rtol=1e-6, atol=1e-6)
    solve(RungeKutta(field, TSIT5), torch.ones(2, 1, dtype=F64), ts, controller, args=args)
    assert len(outside) > 20 and not any(outside)


def test_each_sample_has_its_own_times_and_direction() -> None:
    ts = torch.tensor([[0.0, 1.0, 3.0], [2.0, 1.5, 0.0]], dtype=F64)
    y0 = MODULATED.exact(ts[:, 0], MODULATED.y0[:2])
    solution = solve(RungeKutta(MODULATED.field, TSIT5), y0, ts, PIDController(rtol=1e-9, atol=1e-9))
    expected = torch.stack([MODULATED.exact(ts[:, k], MODULATED.y0[:2]) for k in range(3)], dim=1)
    torch.testing.assert_close(solution.ys, expected, rtol=1e-7, atol=1e-8)


def test_each_sample_has_its_own_steps() -> None:
    """A fast and a slow oscillator: the slow one does not pay for the fast one."""
    speed = torch.tensor([[1.0], [30.0]], dtype=F64)
    stepper = RungeKutta(lambda t, y: speed * torch.stack([y[:, 1], -y[:, 0]], dim=1), TSIT5)
    y0 = torch.tensor([[1.0, 0.0], [1.0, 0.0]], dtype=F64)
    accepted = solve(stepper, y0, torch.tensor([0.0, 3.0], dtype=F64), PIDController()).statistics.accepted
    assert int(accepted[1]) > 7 * int(accepted[0])


@pytest.mark.parametrize("outputs", [2, 7, 400])
def test_dense_output_adds_no_steps_and_is_of_fourth_order(outputs: int) -> None:
    ts = torch.linspace(0, 3, outputs, dtype=F64)
    solution = solve(RungeKutta(ROTATION.field, TSIT5), ROTATION.y0, ts, PIDController(rtol=1e-7, atol=1e-7))
    exact = torch.stack([ROTATION.exact(t.expand(3), ROTATION.y0) for t in ts], dim=1)
    assert float((solution.ys - exact).abs().max()) < 2e-5
    two = solve(RungeKutta(ROTATION.field, TSIT5), ROTATION.y0, ts[[0, -1]], PIDController(rtol=1e-7, atol=1e-7))
    assert torch.equal(solution.statistics.accepted, two.statistics.accepted)
    assert torch.equal(solution.ys[:, -1], two.ys[:, -1])


def test_dense_output_order() -> None:
    """The largest error inside a step falls with dt^4 or better while the ends fall with dt^5."""
    errors = []
    for steps in (8, 16):
        ts = torch.linspace(0, 3, 301, dtype=F64)
        ys = solve(RungeKutta(MODULATED.field, TSIT5), MODULATED.y0, ts, FixedStep(3 / steps)).ys
        exact = torch.stack([MODULATED.exact(t.expand(3), MODULATED.y0) for t in ts], dim=1)
        errors.append(float((ys - exact).abs().max()))
    assert torch.log2(torch.tensor(errors[0] / errors[1])) > 3.6


def test_statistics_count_what_was_spent() -> None:
    calls = 0

    def field(t: Tensor, y: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return MODULATED.field(t, y)

    y0 = MODULATED.y0[:1]
    solution = solve(RungeKutta(field, TSIT5), y0, torch.tensor([0.0, 3.0], dtype=F64), PIDController(dt0=0.1))
    statistics = solution.statistics
    assert int(statistics.evaluations[0]) == calls
    assert calls == 1 + 6 * int(statistics.accepted[0] + statistics.rejected[0])


def test_kept_steps_tile_the_span() -> None:
    ts = torch.tensor([0.0, 3.0], dtype=F64)
    stepper = RungeKutta(MODULATED.field, TSIT5)
    steps = solve(stepper, MODULATED.y0, ts, PIDController(rtol=1e-6, atol=1e-6), keep_steps=True).steps
    torch.testing.assert_close((steps.dt * steps.accepted).sum(dim=1), torch.full((3,), 3.0, dtype=F64))
    assert bool((steps.ratio[steps.accepted] <= 1).all())
    assert steps.y.shape == (*steps.t.shape, 2)


def test_step_doubling_rolls_out_a_stepper_without_order() -> None:
    """Only the semigroup defect is known; a tighter tolerance still buys a smaller error."""
    ts = torch.tensor([0.0, 0.5, 1.0], dtype=F64)
    errors = []
    for rtol in (1e-2, 1e-4):
        ys = solve(StepDoubling(euler), torch.ones(1, 1, dtype=F64), ts, PIDController(rtol=rtol, atol=1e-9)).ys
        errors.append(float((ys[0, :, 0] - torch.exp(ts)).abs().max()))
    assert errors[1] < errors[0] / 5


def test_progress_rises_to_one() -> None:
    seen: list[float] = []
    solve(euler, torch.ones(2, 1), torch.linspace(0, 1, 3), FixedStep(0.25), progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(1)


def test_a_single_output_time_is_the_initial_state() -> None:
    assert torch.equal(solve(euler, torch.ones(2, 3), torch.zeros(1), FixedStep(0.1)).ys, torch.ones(2, 1, 3))


def test_max_steps_returns_what_was_reached() -> None:
    ts = torch.linspace(0, 1, 11, dtype=F64)
    with pytest.raises(SolveError, match=r"samples 0, 1.*max_steps") as caught:
        solve(euler, torch.ones(2, 1, dtype=F64), ts, FixedStep(0.1), max_steps=4)
    solution = caught.value.solution
    assert bool(torch.isfinite(solution.ys[:, :5]).all()) and bool(solution.ys[:, 5:].isnan().all())
    assert solution.statistics.status.tolist() == [Status.MAX_STEPS] * 2


def test_one_failing_sample_leaves_the_others_alone() -> None:
    """y' = y^2 blows up at t = 1 for y0 = 1 and is tame for y0 = 0.1."""
    stepper = RungeKutta(lambda t, y: y**2, TSIT5)
    y0 = torch.tensor([[1.0], [0.1]], dtype=F64)
    ts = torch.tensor([0.0, 0.5, 2.0], dtype=F64)
    solution = solve(stepper, y0, ts, PIDController(rtol=1e-6, atol=1e-6), throw=False)
    assert solution.statistics.status.tolist() == [Status.STEP_UNDERFLOW, Status.SUCCESS]
    torch.testing.assert_close(solution.ys[:, 1, 0], torch.tensor([2.0, 0.1 / 0.95], dtype=F64), rtol=1e-5, atol=0)
    torch.testing.assert_close(solution.ys[1, 2, 0], torch.tensor(0.1 / 0.8, dtype=F64), rtol=1e-5, atol=0)


def test_a_diverged_fixed_rollout_is_a_result_with_a_status() -> None:
    def explode(t: Tensor, dt: Tensor, y: Tensor) -> Step:
        return Step(y * 1e30)

    solution = solve(explode, torch.tensor([[1.0], [0.0]]), torch.linspace(0, 1, 5), FixedStep(0.25))
    assert solution.statistics.status.tolist() == [Status.NOT_FINITE, Status.SUCCESS]


def test_nan_from_the_field_is_rejected_and_named() -> None:
    stepper = RungeKutta(lambda t, y: torch.full_like(y, torch.nan), TSIT5)
    with pytest.raises(SolveError, match="NaN"):
        solve(stepper, torch.ones(1, 1, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64), PIDController())


@pytest.mark.parametrize(
    ("y0", "ts", "message"),
    [
        (torch.tensor(1.0), torch.linspace(0, 1, 2), "batch axis"),
        ({"a": torch.ones(2, 1), "b": torch.ones(3, 1)}, torch.linspace(0, 1, 2), "share their batch"),
        ((), torch.linspace(0, 1, 2), "at least one tensor"),
        ([1.0], torch.linspace(0, 1, 2), "to hold tensors"),
        (torch.ones(2, 1), torch.tensor([0.0, 1.0, 1.0]), "repeated or unordered"),
        (torch.ones(2, 1), torch.tensor([0.0, 2.0, 1.0]), "repeated or unordered"),
        (torch.ones(2, 1), torch.tensor([0.0, torch.nan]), "finite ts"),
        (torch.ones(2, 1), torch.zeros(3, 2), r"\(2, time\)"),
        (torch.ones(2, 1), torch.zeros(2, 0), "shape"),
    ],
)
def test_unsound_input_is_refused_before_the_loop(y0: object, ts: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        solve(euler, y0, ts, FixedStep(0.1))


def test_adaptive_control_without_an_estimate_names_the_way_out() -> None:
    for stepper in (euler, RungeKutta(ROTATION.field, RK4)):
        with pytest.raises(ValueError, match=r"FixedStep\(dt\), or StepDoubling\(stepper\)"):
            solve(stepper, ROTATION.y0, torch.tensor([0.0, 1.0]), PIDController())


@pytest.mark.parametrize("dt", [0.0, -0.1, float("nan"), float("inf")])
def test_fixed_step_refuses_bad_lengths(dt: float) -> None:
    with pytest.raises(ValueError, match="dt > 0"):
        FixedStep(dt)


def test_pid_controller_refuses_bad_tolerances() -> None:
    with pytest.raises(ValueError, match="not both zero"):
        PIDController(rtol=0.0, atol=0.0)
    with pytest.raises(ValueError, match="rtol >= 0"):
        PIDController(rtol=-1.0)
    with pytest.raises(ValueError, match="dt0 > 0"):
        PIDController(dt0=-0.1)


def test_wrong_shape_from_the_field_is_named() -> None:
    stepper = RungeKutta(lambda t, y: y[:, :1], RK4)
    with pytest.raises(ValueError, match=r"\(3, 2\), got \(3, 1\)"):
        solve(stepper, ROTATION.y0, torch.tensor([0.0, 1.0]), FixedStep(0.1))


def test_adaptive_steps_land_evenly_instead_of_leaving_slivers() -> None:
    """Without dense output, 1.1 proposed steps to the next output become two halves, not 1 and 0.1."""
    ts = torch.tensor([0.0, 1.1, 2.2], dtype=F64)
    controller = PIDController(rtol=1.0, atol=1.0, dt0=1.0, dt_max=1.0)
    steps = solve(StepDoubling(euler), torch.full((1, 1), 1e-3, dtype=F64), ts, controller, keep_steps=True).steps
    torch.testing.assert_close(steps.dt, torch.full((1, 4), 0.55, dtype=F64))
