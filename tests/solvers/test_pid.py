"""The controllers' laws, bounds and first steps, and the warning of stiffness."""

import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sciml.solvers import (
    TSIT5,
    Control,
    PIDController,
    RungeKutta,
    SolveError,
    Status,
    Step,
    StiffnessWarning,
    max_norm,
    solve,
)
from sciml.solvers.adjoint.backsolve import Backsolve
from sciml.solvers.adjoint.checkpoint import RecursiveCheckpoint
from sciml.solvers.adjoint.direct import Direct
from sciml.solvers.adjoint.interpolated import Interpolated
from sciml.solvers.adjoint.protocol import Adjoint
from sciml.solvers.implicit.runge_kutta import ImplicitRungeKutta
from sciml.solvers.implicit.tableaus.kvaerno3 import KVAERNO3
from sciml.solvers.pid import H211PI, H312PID, INTEGRAL, PI33, PI34, PI42, Coefficients
from sciml.solvers.regularization import global_error, local_error
from tests.problems import MODULATED

F64 = torch.float64
ORDER = 5


def step(error: float) -> Step:
    """A step from 0 to 0 whose scaled error is ``error`` at atol = 1."""
    return Step(torch.zeros(1, 1, dtype=F64), error=torch.full((1, 1), error, dtype=F64))


def first(controller: PIDController) -> Control:
    def stepper(t: Tensor, dt: Tensor, y: Tensor) -> Step:
        return step(0.0)

    stepper.error_order = ORDER  # type: ignore[attr-defined]
    t = torch.zeros(1, dtype=F64)
    return controller.start(stepper, t, torch.zeros(1, 1, dtype=F64), t + 1.0, None)


def lengths(controller: PIDController, errors: list[float]) -> list[float]:
    """The factors by which the length changes along a sequence of errors."""
    control, dt, factors = first(controller), torch.ones(1, dtype=F64), []
    for error in errors:
        control = controller(step(error), torch.zeros(1, 1, dtype=F64), dt, control)
        factors.append(float(control.dt / dt))
    return factors


@pytest.mark.parametrize("coefficients", [INTEGRAL, PI42, PI34, PI33, H211PI, H312PID], ids=str)
def test_the_law_of_the_literature(coefficients: Coefficients) -> None:
    """dt_(n+1) / dt_n = 0.9 r_n^-(b1) r_(n-1)^-(b2) r_(n-2)^-(b3), exponents over the order."""
    kp, ki, kd = coefficients
    one, two, three = 0.3, 0.6, 0.45
    expected = 0.9 * three ** (-(ki + kp + kd) / ORDER) * two ** ((kp + 2 * kd) / ORDER) * one ** (-kd / ORDER)
    found = lengths(PIDController(0.0, 1.0, coefficients=coefficients), [one, two, three])[-1]
    assert found == pytest.approx(expected, abs=6e-4)


def test_digital_filters_damp_an_oscillating_error() -> None:
    """The filters of Soderlind answer to a high-frequency error with a smoother sequence than the integral law."""
    errors = [0.2, 0.9] * 10
    roughness = {
        name: torch.tensor(lengths(PIDController(0.0, 1.0, coefficients=law), errors)[4:]).log().std()
        for name, law in (("integral", INTEGRAL), ("filter", H211PI), ("third", H312PID))
    }
    assert roughness["third"] < roughness["filter"] < 0.2 * roughness["integral"]


def test_rejection_leaves_the_memory_and_never_lengthens() -> None:
    controller = PIDController(0.0, 1.0, coefficients=H211PI)
    plain, rejected = lengths(controller, [1e-6, 0.5]), lengths(controller, [1e-6, 1.5, 0.5])
    assert rejected[1] <= 0.9
    assert rejected[2] == plain[1]


@pytest.mark.parametrize(("error", "factor"), [(0.0, 10.0), (float("nan"), 0.2), (float("inf"), 0.2), (1e30, 0.2)])
def test_errors_beyond_measure_keep_to_the_bounds(error: float, factor: float) -> None:
    assert lengths(PIDController(0.0, 1.0), [error]) == [pytest.approx(factor)]


def test_bounds_of_the_step() -> None:
    ts = torch.tensor([0.0, 3.0], dtype=F64)
    stepper = RungeKutta(MODULATED.field, TSIT5)
    kept = solve(stepper, MODULATED.y0, ts, PIDController(1e-4, 1e-4, dt_max=0.05), keep_steps=True).steps
    assert float(kept.dt.max()) <= 0.05 * (1 + 1e-7)
    kept = solve(stepper, MODULATED.y0, ts, PIDController(1e-13, 1e-13, dt_min=0.1), keep_steps=True).steps
    assert float(kept.dt[:, :-2].min()) >= 0.1 - 1e-12
    assert bool(kept.accepted.all()) and float(kept.ratio.max()) > 1


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e3])
def test_the_first_step_stands_and_is_not_wasted(scale: float) -> None:
    """Hairer's choice on y' = -scale y: accepted, and no more than ten times too short."""
    stepper = RungeKutta(lambda t, y: -scale * y, TSIT5)
    y0, ts = torch.ones(1, 1, dtype=F64), torch.tensor([0.0, 3.0 / scale], dtype=F64)
    kept = solve(stepper, y0, ts, PIDController(1e-6, 1e-9), keep_steps=True).steps
    assert bool(kept.accepted[0, 0])
    assert float(kept.dt[0, 0]) > 0.1 * float(kept.dt[0].median())


def test_norms_decide_what_counts() -> None:
    """A norm of the first component alone lets the second, which is much faster, err."""
    stepper = RungeKutta(lambda t, y: torch.stack([-y[:, 0], 30 * torch.cos(30 * t)], dim=1), TSIT5)
    y0, ts = torch.tensor([[1.0, 0.0]], dtype=F64), torch.tensor([0.0, 3.0], dtype=F64)

    def steps(controller: PIDController) -> int:
        return int(solve(stepper, y0, ts, controller).statistics.accepted)

    assert steps(PIDController(1e-6, 1e-6, norm=lambda y: y[:, 0].abs())) < 0.3 * steps(PIDController(1e-6, 1e-6))
    assert steps(PIDController(1e-6, 1e-6, norm=max_norm)) >= steps(PIDController(1e-6, 1e-6))


def test_contradictory_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="dt_min <= dt_max"):
        PIDController(dt_min=1.0, dt_max=0.1)


STIFF = RungeKutta(lambda t, y: -1e4 * (y - torch.cos(t)[:, None]), TSIT5)


def test_an_explicit_scheme_says_that_a_problem_is_stiff_for_it() -> None:
    y0, ts = torch.zeros(1, 1, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    with pytest.warns(StiffnessWarning, match="implicit"):
        solve(STIFF, y0, ts, PIDController(1e-5, 1e-5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        solve(RungeKutta(MODULATED.field, TSIT5), MODULATED.y0, ts * 30, PIDController(1e-5, 1e-5))


def test_running_out_of_steps_on_a_stiff_problem_names_the_way_out() -> None:
    y0, ts = torch.zeros(1, 1, dtype=F64), torch.tensor([0.0, 1.0], dtype=F64)
    with pytest.raises(SolveError, match="stiff") as raised:
        solve(STIFF, y0, ts, PIDController(1e-5, 1e-5), max_steps=200)
    solution = raised.value.solution
    assert int(solution.statistics.status) == Status.MAX_STEPS
    assert 0 < float(solution.t_end) < 1
    torch.testing.assert_close(solution.y_end, torch.cos(solution.t_end)[:, None], rtol=0, atol=1e-3)


def two_speeds(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([-y[:, 0] * torch.sin(t), 3 * torch.cos(3 * t), y[:, 0] - y[:, 2]], dim=1)


SPEEDS = torch.tensor([[1.0, 0.5, -2.0], [0.3, -1.0, 0.7]], dtype=F64)
SPEED_TS = torch.tensor([[0.0, 1.0, 4.0], [0.0, 0.7, 1.0]], dtype=F64)  # one sample ends early, and is dropped


@pytest.mark.parametrize("build", [lambda f: RungeKutta(f, TSIT5), lambda f: ImplicitRungeKutta(f, KVAERNO3)])
@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (2, 3), (2, 1)])
def test_equal_entries_of_a_tolerance_are_the_number(build: Callable, shape: tuple[int, ...]) -> None:
    relative, absolute = torch.full(shape, 1e-5, dtype=F64), torch.full(shape, 1e-7, dtype=F64)
    expected = solve(build(two_speeds), SPEEDS, SPEED_TS, PIDController(1e-5, 1e-7))
    for controller in (PIDController(relative, 1e-7), PIDController(1e-5, absolute), PIDController(relative, absolute)):
        found = solve(build(two_speeds), SPEEDS, SPEED_TS, controller)
        assert torch.equal(found.statistics.accepted, expected.statistics.accepted)
        torch.testing.assert_close(found.ys, expected.ys, rtol=1e-12, atol=1e-12)


def test_a_loose_relative_tolerance_lets_a_component_err() -> None:
    def steps(rtol: Tensor | float) -> Tensor:
        stepper = RungeKutta(two_speeds, TSIT5)
        return solve(stepper, SPEEDS, SPEED_TS, PIDController(rtol, 1e-10)).statistics.accepted

    loose = steps(torch.tensor([1e-8, 1e8, 1e-8], dtype=F64))
    assert bool((loose < steps(1e-8)).all())
    assert bool((loose > steps(1e-4)).all())


def test_tolerances_of_each_sample_go_where_it_goes() -> None:
    rtol = torch.tensor([[1e-4], [1e-9]], dtype=F64)
    together = solve(RungeKutta(two_speeds, TSIT5), SPEEDS, SPEED_TS, PIDController(rtol, 1e-6 * rtol))
    for i in range(2):
        controller = PIDController(float(rtol[i]), 1e-6 * float(rtol[i]))
        alone = solve(RungeKutta(two_speeds, TSIT5), SPEEDS[i : i + 1], SPEED_TS[i : i + 1], controller)
        assert int(together.statistics.accepted[i]) == int(alone.statistics.accepted)
        torch.testing.assert_close(together.ys[i], alone.ys[0], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "adjoint",
    [Direct(), RecursiveCheckpoint(2), Backsolve(), Interpolated()],
    ids=lambda adjoint: type(adjoint).__name__,
)
@pytest.mark.parametrize("shape", [(3,), (2, 1)])
def test_every_adjoint_takes_tolerances_of_a_shape(adjoint: Adjoint, shape: tuple[int, ...]) -> None:
    def gradient(rtol: Tensor | float) -> Tensor:
        y0 = SPEEDS.clone().requires_grad_()
        ys = solve(RungeKutta(two_speeds, TSIT5), y0, SPEED_TS, PIDController(rtol, 1e-7), adjoint=adjoint).ys
        return torch.autograd.grad(ys.square().sum(), y0)[0]

    torch.testing.assert_close(gradient(torch.full(shape, 1e-5, dtype=F64)), gradient(1e-5), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("shape", [(3,), (2, 1)])
def test_penalties_measure_by_tolerances_of_a_shape(shape: tuple[int, ...]) -> None:
    stepper = RungeKutta(two_speeds, TSIT5)

    def penalties(rtol: Tensor | float) -> tuple[Tensor, Tensor]:
        controller, y0 = PIDController(rtol, 1e-7), SPEEDS.clone().requires_grad_()
        solution = solve(stepper, y0, SPEED_TS, controller, keep_steps=True, adjoint=RecursiveCheckpoint())
        local = local_error(stepper, solution, generator=torch.Generator().manual_seed(0))
        return local, global_error(stepper, solution)

    for found, expected in zip(penalties(torch.full(shape, 1e-5, dtype=F64)), penalties(1e-5)):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    ("rtol", "atol", "message"),
    [
        (torch.tensor([1e-3, -1e-3]), 1e-6, "rtol >= 0"),
        (torch.tensor([1e-3, 0.0]), 0.0, "not both zero"),
        (torch.tensor([1e-3, 0.0]), torch.tensor([0.0, 0.0]), "not both zero"),
        (1e-3, torch.tensor([torch.nan]), "atol >= 0"),
        (torch.ones(2), torch.ones(3), "broadcast"),
    ],
)
def test_tolerances_that_measure_nothing_are_refused(rtol: Tensor | float, atol: Tensor | float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PIDController(rtol, atol)


def test_either_tolerance_may_be_zero_where_the_other_is_not() -> None:
    PIDController(torch.tensor([1e-3, 0.0]), torch.tensor([0.0, 1e-6]))
