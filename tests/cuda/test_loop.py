"""What the time loop does around the steps: outputs, events, stops, controllers, failures, arguments."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers import (
    BOSH3,
    HEUN,
    KVAERNO3,
    RK4,
    TSIT5,
    VERN7,
    Event,
    FixedStep,
    ImplicitRungeKutta,
    PerSample,
    PIDController,
    RungeKutta,
    Solution,
    SolveError,
    Status,
    Stops,
    Symplectic,
    max_norm,
    solve,
)
from sciml.solvers.pid import H211PI, H312PID, INTEGRAL
from sciml.solvers.symplectic import YOSHIDA4
from tests.cuda.solver_comparison import (
    CPU,
    F64,
    assert_same,
    assert_same_gradients,
    assert_same_solution,
    moved,
    numbers,
    spans,
    wanted,
)

PID = PIDController(1e-5, 1e-7)
STEPPERS = {
    "Tsit5": lambda field: RungeKutta(field, TSIT5),
    "Vern7": lambda field: RungeKutta(field, VERN7),
    "Heun": lambda field: RungeKutta(field, HEUN),
    "Kvaerno3": lambda field: ImplicitRungeKutta(field, KVAERNO3),
}
every_stepper = pytest.mark.parametrize("name", STEPPERS)
both_controllers = pytest.mark.parametrize("controller", [PID, FixedStep(0.17)], ids=["adaptive", "fixed"])


def pendulum(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([y[:, 1], -torch.sin(y[:, 0]) * (1 + 0.3 * torch.cos(2 * t))], dim=1)


def fall(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([y[:, 1], -9.81 + 0.05 * torch.sin(3 * t) - 0.01 * y[:, 1]], dim=1)


def both(device: torch.device, stepper: Any, y0: Any, ts: Tensor, controller: Any, **options: Any) -> list[Solution]:
    """The solutions on the device and on the CPU."""
    return [solve(stepper, moved(y0, where), ts.to(where), controller, **options) for where in (device, CPU)]


@every_stepper
@both_controllers
@pytest.mark.parametrize("outputs", [1, 2, 40])
def test_output_times(name: str, controller: Any, outputs: int, device: torch.device) -> None:
    found, expected = both(device, STEPPERS[name](pendulum), numbers(4, 2), spans(outputs), controller)
    assert_same_solution(found, expected, device, rtol=1e-8, iterates=True)


@pytest.mark.parametrize("batch", [1, 3])
def test_shared_output_times_and_a_single_trajectory(batch: int, device: torch.device) -> None:
    ts = torch.linspace(2, -1, 30, dtype=F64)
    for controller in (PID, FixedStep(0.1)):
        assert_same_solution(
            *both(device, RungeKutta(pendulum, TSIT5), numbers(batch, 2), ts, controller), device, rtol=1e-8
        )


@every_stepper
def test_dense_output_and_its_derivative(name: str, device: torch.device) -> None:
    stepper = STEPPERS[name](pendulum)
    if getattr(stepper, "dense_order", None) is None:
        pytest.skip("has no dense output")
    found, expected = both(device, stepper, numbers(4, 2), spans(2), PID, keep_dense=True)
    times = spans(9) * 0.97
    assert_same(found.dense(times.to(device)), expected.dense(times), device, rtol=1e-8, atol=1e-10)
    slopes = found.dense.derivative(times.to(device)), expected.dense.derivative(times)
    assert_same(*slopes, device, rtol=1e-7, atol=1e-9)


def test_dense_output_of_a_splitting(device: torch.device) -> None:
    stepper = Symplectic(lambda t, y: (y[1], -torch.sin(y[0])), YOSHIDA4)
    y0 = numbers(4, 1), numbers(4, 1, seed=1)
    assert_same_solution(*both(device, stepper, y0, spans(40), FixedStep(0.3)), device)


@pytest.mark.parametrize("options", [{"keep_steps": True}, {"keep_steps": True, "keep_dense": True}])
def test_kept_steps(options: dict[str, bool], device: torch.device) -> None:
    found, expected = both(device, RungeKutta(pendulum, BOSH3), numbers(4, 2), spans(3), PID, **options)
    for name in ("t", "dt", "y", "accepted"):
        assert_same(getattr(found.steps, name), getattr(expected.steps, name), device, rtol=1e-8)
    assert_same(found.steps.ratio, expected.steps.ratio, device, rtol=1e-5, atol=1e-8)


@every_stepper
@both_controllers
def test_terminal_events(name: str, controller: Any, device: torch.device) -> None:
    """Balls that land at different times, and one that does not."""
    y0 = torch.tensor([[10.0, 0.0], [1.0, 1.0], [2.0, 30.0]], dtype=F64)
    ts = torch.linspace(0, 3, 7, dtype=F64)
    event = Event(lambda t, y: y[:, 0], direction=-1)
    found, expected = both(device, STEPPERS[name](fall), y0, ts, controller, event=event)
    assert expected.statistics.status.tolist() == [Status.EVENT, Status.EVENT, Status.SUCCESS]
    assert_same_solution(found, expected, device, rtol=1e-8, atol=1e-8, iterates=True)


@pytest.mark.parametrize("name", ["Tsit5", "Heun"])
def test_bounces_until_the_ball_has_gone_too_far(name: str, device: torch.device) -> None:
    """Two events, the first changes the state, the second ends the sample."""

    def bounced(t: Tensor, y: Tensor) -> Tensor:
        return torch.stack([y[:, 0], -0.8 * y[:, 1]], dim=1)

    bounce = Event(lambda t, y: y[:, 0], terminal=False, direction=-1, change=bounced, checks=2)
    late = Event(lambda t, y: t - 2.2 - 0.1 * y[:, 0])
    y0 = torch.tensor([[3.0, 0.0], [1.0, 1.0], [2.0, 12.0]], dtype=F64)
    ts, loose = torch.linspace(0, 3, 7, dtype=F64), PIDController(1e-4, 1e-4)
    found, expected = both(device, STEPPERS[name](fall), y0, ts, loose, event=(bounce, late), throw=False)
    assert int((expected.events.which == 0).sum()) > 3
    assert_same_solution(found, expected, device, rtol=1e-7, atol=1e-7, iterates=True)


@every_stepper
@both_controllers
def test_jumps_and_stops(name: str, controller: Any, device: torch.device) -> None:
    def switched(t: Tensor, y: Tensor) -> Tensor:
        return -y + torch.where(t < 0.5, 1.0, -2.0)[:, None]

    def stops(where: torch.device) -> Stops:
        return Stops(jumps=torch.tensor([0.5], dtype=F64, device=where), steps=(spans(3)[:, 1:2] + 0.01).to(where))

    found, expected = (
        solve(STEPPERS[name](switched), numbers(4, 2).to(w), spans(4).to(w), controller, stops=stops(w))
        for w in (device, CPU)
    )
    assert_same_solution(found, expected, device, rtol=1e-8, iterates=True)


CONTROLLERS = {
    "tolerances of channels": lambda w: PIDController(
        torch.tensor([1e-3, 1e-6], dtype=F64, device=w), torch.tensor([1e-6, 1e-8], dtype=F64, device=w)
    ),
    "tolerances of samples": lambda w: PIDController(
        1e-4, torch.tensor([[1e-3], [1e-5], [1e-6], [1e-8]], dtype=F64, device=w)
    ),
    "integral": lambda w: PIDController(1e-5, 1e-6, coefficients=INTEGRAL),
    "H211PI": lambda w: PIDController(1e-5, 1e-6, coefficients=H211PI),
    "H312PID, bounded": lambda w: PIDController(1e-4, 1e-6, coefficients=H312PID, dt0=0.1, dt_min=1e-3, dt_max=0.2),
    "largest error": lambda w: PIDController(1e-5, 1e-6, norm=max_norm),
    "lengths of samples": lambda w: FixedStep(torch.tensor([0.1, 0.2, 0.15, 0.3], dtype=F64, device=w)),
}


@pytest.mark.parametrize("name", ["Tsit5", "Kvaerno3"])
@pytest.mark.parametrize("control", CONTROLLERS)
def test_controllers(control: str, name: str, device: torch.device) -> None:
    found, expected = (
        solve(STEPPERS[name](pendulum), numbers(4, 2).to(w), spans(5).to(w), CONTROLLERS[control](w))
        for w in (device, CPU)
    )
    assert_same_solution(found, expected, device, rtol=1e-8, atol=1e-10, iterates=True)


@pytest.mark.parametrize("limit", [None, 6])
def test_failures(limit: int | None, device: torch.device) -> None:
    """A blow-up, a success and a NaN each have their status, and the error names the samples."""
    y0 = torch.tensor([[1.0], [0.1], [torch.nan], [-1.0]], dtype=F64)
    ts = torch.tensor([0.0, 0.5, 2.0], dtype=F64)
    stepper, loose = RungeKutta(lambda t, y: y * y, HEUN), PIDController(1e-2, 1e-3)
    found, expected = both(device, stepper, y0, ts, loose, throw=False, max_steps=limit)
    assert_same(found.statistics.status, expected.statistics.status, device, rtol=0, atol=0)
    assert_same_solution(*both(device, stepper, y0[[1, 3]], ts, loose, throw=False, max_steps=limit), device)
    with pytest.raises(SolveError, match="did not finish"):
        solve(stepper, y0.to(device), ts.to(device), loose, max_steps=limit)


def test_a_field_that_holds_the_whole_batch(device: torch.device) -> None:
    """It cannot follow when finished samples are dropped, and is then evaluated for all to the end."""
    rates = {where: numbers(4, 1).to(where) for where in (device, CPU)}
    stepper = RungeKutta(lambda t, y: rates[y.device] * y.sin(), RK4)
    found, expected = both(device, stepper, numbers(4, 2), spans(5), FixedStep(0.1))
    assert_same_solution(found, expected, device)


@every_stepper
def test_arguments_and_their_gradients(name: str, device: torch.device) -> None:
    """One of all samples and one of each; the samples end at different times."""
    gradients = []
    for where in (device, CPU):
        y0, ts, rate, drive = wanted(numbers(4, 2), spans(5), numbers(2, seed=1), numbers(4, 2, seed=2), device=where)
        stepper = STEPPERS[name](lambda t, y, rate, drive: rate * y.sin() + drive * torch.cos(t)[:, None])
        ys = solve(stepper, y0, ts, PIDController(1e-3, 1e-4), args=(rate, PerSample(drive))).ys
        gradients.append(torch.autograd.grad(ys.sin().sum(), (y0, ts, rate, drive)))
    assert_same_gradients(*gradients, device, rtol=1e-8)


def test_progress_and_times_given_on_the_host(device: torch.device) -> None:
    """Output times are taken to the state's device."""
    seen: list[float] = []
    stepper = RungeKutta(pendulum, TSIT5)
    found = solve(stepper, numbers(4, 2).to(device), spans(5), PID, progress=seen.append)
    assert_same_solution(found, solve(stepper, numbers(4, 2), spans(5), PID), device, rtol=1e-8)
    assert seen == sorted(seen) and seen[-1] == pytest.approx(1.0)
