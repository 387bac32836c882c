"""Events against closed forms: free fall, bounces, and their gradients."""

import pytest
import torch
from torch import Tensor

from sciml.solvers import RK4, TSIT5, Event, FixedStep, PerSample, PIDController, RungeKutta, Status, Step, solve

F64 = torch.float64
Y0 = torch.tensor(
    [[10.0, 0.0], [5.0, 1.0], [0.0, 20.0]], dtype=F64
)  # heights and velocities; the last starts on the floor
TS = torch.linspace(0, 6, 13, dtype=F64)
TIGHT = PIDController(rtol=1e-9, atol=1e-9)


def fall(gravity: Tensor) -> RungeKutta:
    return RungeKutta(lambda t, y: torch.stack([y[:, 1], -gravity.expand(len(y))], dim=1), TSIT5)


def flight(y0: Tensor, gravity: Tensor, floor: Tensor) -> Tensor:
    """Time at which a ball thrown from y0 comes down to the floor."""
    return (y0[:, 1] + torch.sqrt(y0[:, 1] ** 2 + 2 * gravity * (y0[:, 0] - floor))) / gravity


def leaves() -> tuple[Tensor, Tensor, Tensor]:
    gravity, floor = torch.tensor(9.81, dtype=F64), torch.tensor(0.0, dtype=F64)
    return Y0.clone().requires_grad_(), gravity.requires_grad_(), floor.requires_grad_()


@pytest.mark.parametrize("controller", [TIGHT, FixedStep(0.21)], ids=["adaptive", "fixed"])
def test_terminal_event_ends_each_sample_at_its_own_time(controller: PIDController) -> None:
    """The third ball starts on the floor, with the condition at zero: it has to leave it before it can return."""
    gravity = torch.tensor(9.81, dtype=F64)
    solution = solve(fall(gravity), Y0, TS, controller, event=Event(lambda t, y: y[:, 0], direction=-1))
    expected = flight(Y0, gravity, torch.zeros((), dtype=F64))
    torch.testing.assert_close(solution.t_end, expected, rtol=1e-12, atol=0)
    torch.testing.assert_close(solution.y_end[:, 0], torch.zeros(3, dtype=F64), rtol=0, atol=1e-10)
    assert solution.statistics.status.tolist() == [Status.EVENT] * 3
    after = TS[None] > expected[:, None]
    assert torch.equal(torch.isnan(solution.ys[..., 0]), after)
    exact = Y0[:, :1] + Y0[:, 1:] * TS - 0.5 * gravity * TS**2
    torch.testing.assert_close(solution.ys[..., 0][~after], exact[~after], rtol=1e-9, atol=1e-9)


def test_gradients_of_time_and_state_reach_the_event_s_own_parameters() -> None:
    y0, gravity, floor = leaves()
    solution = solve(fall(gravity), y0, TS, TIGHT, event=Event(lambda t, y: y[:, 0] - floor))
    times = flight(y0, gravity, floor)
    speeds = y0[:, 1] - gravity * times
    for found, exact in ((solution.t_end, times), (solution.y_end[:, 1], speeds)):
        ours = torch.autograd.grad(found.sum(), (y0, gravity, floor), retain_graph=True)
        theirs = torch.autograd.grad(exact.sum(), (y0, gravity, floor), retain_graph=True)
        for mine, other in zip(ours, theirs):
            torch.testing.assert_close(mine, other, rtol=1e-9, atol=1e-9)


def bouncing(y0: Tensor, gravity: Tensor, end: float, elasticity: float = 0.9) -> tuple[list[Tensor], Tensor]:
    """Bounce times of one ball, and its height at the end."""
    t = (y0[1] + torch.sqrt(y0[1] ** 2 + 2 * gravity * y0[0])) / gravity
    up = torch.sqrt(y0[1] ** 2 + 2 * gravity * y0[0]) * elasticity
    times = [t]
    while float((t + 2 * up / gravity).detach()) < end:
        t, up = t + 2 * up / gravity, up * elasticity
        times.append(t)
    return times, up * (end - t) - 0.5 * gravity * (end - t) ** 2


@pytest.mark.parametrize("tableau", [TSIT5, RK4], ids=lambda tableau: tableau.name)
def test_bouncing_ball_and_its_gradient(tableau: object) -> None:
    y0, gravity, _ = leaves()
    bounce = Event(
        lambda t, y: y[:, 0],
        terminal=False,
        direction=-1,
        change=lambda t, y: torch.stack([y[:, 0], -0.9 * y[:, 1]], dim=1),
    )
    field = fall(gravity).vector_field
    controller = TIGHT if tableau is TSIT5 else FixedStep(0.3)
    solution = solve(RungeKutta(field, tableau), y0, TS, controller, event=bounce)
    for i in range(3):
        times, height = bouncing(y0[i], gravity, 6.0)
        count = int((solution.events.which[i] >= 0).sum())
        assert count == len(times)
        torch.testing.assert_close(solution.events.t[i, :count], torch.stack(times), rtol=1e-9, atol=0)
        torch.testing.assert_close(solution.ys[i, -1, 0], height, rtol=1e-8, atol=1e-8)
        ours = torch.autograd.grad(solution.ys[i, -1, 0], (y0, gravity), retain_graph=True)
        theirs = torch.autograd.grad(height, (y0, gravity))
        for mine, other in zip(ours, theirs):
            torch.testing.assert_close(mine, other, rtol=1e-7, atol=1e-7)


def test_the_first_of_several_events_counts() -> None:
    gravity = torch.tensor(9.81, dtype=F64)
    events = [Event(lambda t, y: y[:, 0] - 2.0), Event(lambda t, y: y[:, 0] - 4.0), Event(lambda t, y: t - 0.2)]
    solution = solve(fall(gravity), Y0[:2], TS, TIGHT, event=events)
    assert solution.events.which[:, 0].tolist() == [2, 2]
    solution = solve(fall(gravity), Y0[:2], TS, TIGHT, event=events[:2])
    assert solution.events.which[:, 0].tolist() == [1, 1]
    torch.testing.assert_close(solution.t_end, flight(Y0[:2], gravity, torch.tensor(4.0, dtype=F64)))


def test_two_sign_changes_in_one_step_are_seen_with_checks() -> None:
    """A step of 2 over sin(pi t): positive at both ends of [0.5, 2.5], negative in between."""
    stepper = RungeKutta(lambda t, y: torch.ones_like(y), TSIT5)

    def first(checks: int) -> Tensor:
        event = Event(lambda t, y: torch.sin(torch.pi * t), checks=checks)
        y0, ts = torch.zeros(1, 1, dtype=F64), torch.tensor([0.5, 2.5], dtype=F64)
        return solve(stepper, y0, ts, FixedStep(2.0), event=event).t_end

    assert float(first(0)) == 2.5
    torch.testing.assert_close(first(7), torch.ones(1, dtype=F64), rtol=1e-12, atol=0)


@pytest.mark.parametrize(("checks", "end"), [(0, 1.0), (1, 0.5), (3, 0.25)])
def test_a_zero_at_the_end_of_an_interval_does_not_hide_an_earlier_one(checks: int, end: float) -> None:
    """The samples' conditions pass through zero and return to it, stay zero, touch it, and pass through it there."""
    first = end * torch.tensor([0.3, 0.7, 1.0, 1.0], dtype=F64)

    def condition(t: Tensor, y: Tensor) -> Tensor:
        to_first, to_end = first - t, end - t
        rows = (to_first * to_end)[:1], to_first[1:2].relu(), to_end[2:3] ** 2, to_end[3:]
        return torch.cat(rows)

    stepper = RungeKutta(lambda t, y: torch.ones_like(y), TSIT5)
    y0, ts = torch.zeros(4, 1, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    for sign in (1, -1):
        event = Event(lambda t, y: sign * condition(t, y), checks=checks)  # noqa: B023
        solution = solve(stepper, y0, ts, FixedStep(1.0), event=event)
        torch.testing.assert_close(solution.t_end, first, rtol=1e-7, atol=0)
        torch.testing.assert_close(solution.t_end[[0, 1, 3]], first[[0, 1, 3]], rtol=1e-12, atol=0)


@pytest.mark.parametrize(("level", "looks"), [(0.5, 0), (1.0, 1), (1.5, 0)])
def test_a_condition_is_looked_at_just_before_the_end_only_where_it_is_zero_there(level: float, looks: int) -> None:
    times: list[float] = []

    def condition(t: Tensor, y: Tensor) -> Tensor:
        times.append(float(t.detach()))
        return t - level

    stepper = RungeKutta(lambda t, y: torch.ones_like(y), TSIT5)
    y0, ts = torch.zeros(1, 1, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    t_end = solve(stepper, y0, ts, FixedStep(1.0), event=Event(condition)).t_end
    assert float(t_end) == pytest.approx(min(level, 1.0), abs=1e-12)
    assert sum(0.9 < t < 1 for t in times) == looks


def test_conditions_get_the_arguments_of_their_samples() -> None:
    level = torch.tensor([1.0, 4.0, 2.0], dtype=F64)
    stepper = RungeKutta(lambda t, y, level: torch.ones_like(y), TSIT5)
    event = Event(lambda t, y, level: y[:, 0] - level)
    y0, ts = torch.zeros(3, 1, dtype=F64), torch.tensor([0.0, 10.0], dtype=F64)
    solution = solve(stepper, y0, ts, PIDController(), event=event, args=(PerSample(level),))
    torch.testing.assert_close(solution.t_end, level, rtol=1e-12, atol=0)


def test_a_stepper_without_dense_output_is_stepped_again() -> None:
    def stepper(t: Tensor, dt: Tensor, y: Tensor) -> Step:
        return Step(y * torch.exp(dt)[:, None])

    y0, ts = torch.ones(2, 1, dtype=F64), torch.tensor([0.0, 3.0], dtype=F64)
    solution = solve(stepper, y0, ts, FixedStep(0.5), event=Event(lambda t, y: y[:, 0] - 5.0))
    torch.testing.assert_close(solution.t_end, torch.full((2,), 5.0, dtype=F64).log(), rtol=1e-9, atol=0)


def test_backwards_in_time() -> None:
    stepper = RungeKutta(lambda t, y: y, TSIT5)
    y0, ts = torch.ones(1, 1, dtype=F64), torch.tensor([0.0, -3.0], dtype=F64)
    solution = solve(stepper, y0, ts, TIGHT, event=Event(lambda t, y: y[:, 0] - 0.5, direction=-1))
    torch.testing.assert_close(solution.t_end, -torch.ones(1, dtype=F64) * torch.tensor(2.0, dtype=F64).log())


def test_unsound_events_are_refused() -> None:
    with pytest.raises(ValueError, match="terminal=False"):
        Event(lambda t, y: t, change=lambda t, y: y)
    with pytest.raises(ValueError, match="direction"):
        Event(lambda t, y: t, direction=2)
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        solve(fall(torch.tensor(1.0)), Y0, TS, TIGHT, event=Event(lambda t, y: y))
