"""Outputs that are read later are those that are read at once."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, PIDController, RungeKutta, Solution, Status, solve
from sciml.solvers.tableau import ButcherTableau
from sciml.solvers.tableaus import BOSH3, DOPRI5, TSIT5, VERN7
from sciml.solvers.trail import Trail

F64 = torch.float64
sweep = pytest.mark.parametrize("tableau", [BOSH3, TSIT5, DOPRI5, VERN7], ids=lambda tableau: tableau.name)
CONTROLLER = PIDController(1e-5, 1e-7)


def oscillators(t: Tensor, y: Tensor) -> Tensor:
    x, v = y.unbind(1)
    return torch.stack([v, 3 * (1 - x**2) * v - x + 0.1 * torch.cos(t)], dim=1)


def starts(batch: int) -> Tensor:
    return torch.randn(batch, 2, dtype=F64, generator=torch.Generator().manual_seed(batch))


def at_once(monkeypatch: pytest.MonkeyPatch, *args: object, **options: object) -> Solution:
    with monkeypatch.context() as patch:
        patch.setattr(Trail, "of", classmethod(lambda cls, active: None))
        return solve(*args, **options)  # type: ignore[arg-type]


def assert_same(one: Solution, other: Solution) -> None:
    assert torch.equal(one.ys.nan_to_num(7.0), other.ys.nan_to_num(7.0))
    for name in ("accepted", "rejected", "evaluations", "status"):
        assert torch.equal(getattr(one.statistics, name), getattr(other.statistics, name)), name


@sweep
@pytest.mark.parametrize("outputs", [2, 3, 7, 300])
@pytest.mark.parametrize("batch", [1, 9])
def test_the_same_bits_and_counts(
    tableau: ButcherTableau, outputs: int, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    stepper, y0, ts = RungeKutta(oscillators, tableau), starts(batch), torch.linspace(0, 6, outputs, dtype=F64)
    assert_same(solve(stepper, y0, ts, CONTROLLER), at_once(monkeypatch, stepper, y0, ts, CONTROLLER))


@sweep
def test_times_and_directions_of_each_sample(tableau: ButcherTableau, monkeypatch: pytest.MonkeyPatch) -> None:
    stepper, span = RungeKutta(oscillators, tableau), torch.linspace(0, 1, 40, dtype=F64)
    ts = torch.tensor([4.0, -0.1, 0.3, 7.0], dtype=F64)[:, None] * span**2 + 0.2
    assert_same(solve(stepper, starts(4), ts, CONTROLLER), at_once(monkeypatch, stepper, starts(4), ts, CONTROLLER))


def test_outputs_that_steps_end_on(monkeypatch: pytest.MonkeyPatch) -> None:
    stepper, ts, fixed = RungeKutta(oscillators, TSIT5), torch.linspace(0, 2, 9, dtype=F64), FixedStep(0.125)
    assert_same(solve(stepper, starts(5), ts, fixed), at_once(monkeypatch, stepper, starts(5), ts, fixed))


def test_structured_states(monkeypatch: pytest.MonkeyPatch) -> None:
    def field(t: Tensor, y: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"x": y["v"], "v": -y["x"] * torch.cos(t)[:, None]}

    y0, ts = {"x": starts(3), "v": starts(3).flip(1)}, torch.linspace(0, 4, 33, dtype=F64)
    for tableau in (TSIT5, VERN7):
        stepper = RungeKutta(field, tableau)
        one, other = solve(stepper, y0, ts, CONTROLLER), at_once(monkeypatch, stepper, y0, ts, CONTROLLER)
        assert all(torch.equal(one.ys[name], other.ys[name]) for name in y0)


def test_what_was_reached_where_samples_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    stepper, ts = RungeKutta(lambda t, y: y**2, TSIT5), torch.linspace(0, 2, 21, dtype=F64)
    y0, options = torch.tensor([[0.1], [1.0], [0.3]], dtype=F64), {"throw": False}
    one, other = (
        solve(stepper, y0, ts, CONTROLLER, throw=False),
        at_once(monkeypatch, stepper, y0, ts, CONTROLLER, **options),
    )
    assert one.statistics.status.tolist() == [Status.SUCCESS, Status.STEP_UNDERFLOW, Status.SUCCESS]
    assert_same(one, other)
    few = {"throw": False, "max_steps": 7}
    limited = solve(stepper, y0, ts, CONTROLLER, throw=False, max_steps=7)
    assert_same(limited, at_once(monkeypatch, stepper, y0, ts, CONTROLLER, **few))


@sweep
def test_gradients(tableau: ButcherTableau, monkeypatch: pytest.MonkeyPatch) -> None:
    stepper, ts = RungeKutta(oscillators, tableau), torch.linspace(0, 3, 25, dtype=F64, requires_grad=True)
    y0 = starts(4).requires_grad_()
    solutions = solve(stepper, y0, ts, CONTROLLER), at_once(monkeypatch, stepper, y0, ts, CONTROLLER)
    one, other = (torch.autograd.grad(solution.ys.sin().sum(), (y0, ts)) for solution in solutions)
    for found, expected in zip(one, other):
        torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-11)


@sweep
@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_sums_in_place_are_to_the_bit_those_with_gradients(tableau: ButcherTableau, dtype: torch.dtype) -> None:
    stepper, y = RungeKutta(oscillators, tableau), starts(37).to(dtype)
    t, dt = torch.linspace(0, 2, 37, dtype=F64), torch.linspace(0.01, 0.1, 37, dtype=F64)
    theta, rows = torch.linspace(0.1, 0.9, 37, dtype=F64), torch.arange(37)
    with torch.no_grad():
        fast = stepper(t, dt, y)
        inside = fast.dense(theta, rows)  # type: ignore[misc]
    slow = stepper(t, dt, y)
    assert torch.equal(fast.y, slow.y) and torch.equal(fast.error, slow.error)
    assert torch.equal(inside, slow.dense(theta, rows))  # type: ignore[misc]
