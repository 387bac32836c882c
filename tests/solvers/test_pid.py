"""The controllers' laws, bounds and first steps, and the warning of stiffness."""

import warnings

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
from sciml.solvers.pid import H211PI, H312PID, INTEGRAL, PI33, PI34, PI42, Coefficients
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
