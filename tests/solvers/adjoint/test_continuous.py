"""The equations of the gradient: accuracy, stability, scale, and what they cost."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers import RK4, TSIT5, FixedStep, PIDController, RungeKutta, SolveError, solve
from sciml.solvers.adjoint.backsolve import Backsolve
from sciml.solvers.adjoint.direct import Direct
from sciml.solvers.adjoint.interpolated import Interpolated
from sciml.solvers.implicit.runge_kutta import ImplicitRungeKutta
from sciml.solvers.implicit.tableaus.kvaerno3 import KVAERNO3
from sciml.solvers.stops import Stops
from sciml.solvers.tableaus.dopri5 import DOPRI5
from tests.solvers.adjoint.cases import leaf

adjoint_sweep = pytest.mark.parametrize("adjoint", [Backsolve, Interpolated])


def logistic(rate: Tensor) -> Any:
    return lambda t, y: rate * y * (1 - y)


def error_of_gradients(adjoint: Any, tableau: Any, dt: float) -> float:
    """Of dy(1)/dy0 and dy(1)/drate of the logistic equation, whose solution is known."""
    y0, rate, ts = leaf(1, 1).detach() * 0 + 0.2, torch.tensor(1.3, dtype=torch.float64), torch.tensor([0.0, 1.0])
    inputs = y0.requires_grad_(), rate.requires_grad_()
    stepper = RungeKutta(logistic(rate), tableau)
    ys = solve(stepper, y0, ts.double(), FixedStep(dt), adjoint=adjoint()).ys[:, -1]
    exact = y0 / (y0 + (1 - y0) * torch.exp(-rate))
    found, expected = torch.autograd.grad(ys.sum(), inputs), torch.autograd.grad(exact.sum(), inputs)
    return max(float((f - e).abs().max()) for f, e in zip(found, expected))


@adjoint_sweep
@pytest.mark.parametrize("tableau", [RK4, TSIT5], ids=["RK4", "Tsit5"])
def test_the_gradient_is_of_the_schemes_order(adjoint: Any, tableau: Any) -> None:
    """Parameters too: the quadrature loses no order, whether over the scheme's dense output or over a cubic."""
    slope = math.log2(error_of_gradients(adjoint, tableau, 0.2) / error_of_gradients(adjoint, tableau, 0.1))
    assert slope > tableau.order - 0.4


@adjoint_sweep
def test_the_factor_of_the_loss_changes_no_step(adjoint: Any) -> None:
    """The gradient is linear in the loss to rounding, also where the loss is far below atol."""
    rate, y0 = leaf(2), leaf(3, 2, seed=1)
    controller, ts = PIDController(1e-5, 1e-5), torch.linspace(0, 2, 4, dtype=torch.float64)

    def gradient(factor: float) -> Tensor:
        ys = solve(RungeKutta(lambda t, y: rate * y.sin(), TSIT5), y0, ts, controller, adjoint=adjoint()).ys
        (found,) = torch.autograd.grad(factor * ys.sum(), rate)
        return found / factor

    torch.testing.assert_close(gradient(1e-9), gradient(1.0), rtol=1e-9, atol=0)


class Counting(nn.Module):
    """A field with many parameters that hardly matter, and a count of its evaluations."""

    def __init__(self, idle: int) -> None:
        super().__init__()
        self.rate = nn.Parameter(torch.tensor([0.8, -1.1], dtype=torch.float64))
        self.idle = nn.Parameter(torch.ones(idle, dtype=torch.float64))
        self.calls = 0

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        self.calls += 1
        return self.rate * y + 1e3 * (self.idle - self.idle.detach()).sum() * torch.sin(40 * t)[:, None]


@adjoint_sweep
def test_parameters_have_no_say_in_the_steps(adjoint: Any) -> None:
    """Their gradients, huge and fast here, are neither state nor error: calls do not depend on them."""
    calls = []
    for idle in (1, 5000):
        field = Counting(idle)
        y0, ts = leaf(4, 2), torch.linspace(0, 1, 3, dtype=torch.float64)
        solve(RungeKutta(field, TSIT5), y0, ts, PIDController(1e-4, 1e-4), adjoint=adjoint()).ys.sum().backward()
        calls.append(field.calls)
        assert field.idle.grad is not None and field.idle.grad.shape == (idle,)
    assert calls[0] == calls[1]


def test_along_the_stored_solution_what_decays_stays_stable() -> None:
    """A mode that decays as exp(-40 t) grows by exp(40) when solved backwards; its dL/dy0 is next to nothing."""
    y0, ts = leaf(2, 1), torch.tensor([0.0, 1.0], dtype=torch.float64)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return -40 * (y - torch.cos(t)[:, None]) - 0.1 * y**3

    def gradient(adjoint: Any) -> Tensor:
        ys = solve(RungeKutta(field, TSIT5), y0, ts, PIDController(1e-6, 1e-6), adjoint=adjoint, max_steps=3000).ys
        (found,) = torch.autograd.grad(ys[:, -1].square().sum(), y0)
        return found

    assert float(gradient(Interpolated()).abs().max()) < 1e-5
    with pytest.raises(SolveError):
        gradient(Backsolve())


@adjoint_sweep
def test_another_scheme_and_controller_may_go_back(adjoint: Any) -> None:
    """An implicit one here: its Jacobians are those of the equations of the gradient."""
    rate, y0 = leaf(2), leaf(3, 2, seed=1)
    field = lambda t, y: rate * y.sin()  # noqa: E731
    ts = torch.linspace(0, 1, 3, dtype=torch.float64)

    def gradient(stepper: Any, controller: Any) -> Tensor:
        way = adjoint(stepper, controller)
        ys = solve(RungeKutta(field, TSIT5), y0, ts, PIDController(1e-7, 1e-7), adjoint=way).ys
        (found,) = torch.autograd.grad(ys.square().sum(), rate)
        return found

    expected = gradient(None, None)
    torch.testing.assert_close(gradient(RungeKutta(field, DOPRI5), None), expected, rtol=1e-5, atol=0)
    implicit = gradient(ImplicitRungeKutta(field, KVAERNO3), PIDController(1e-6, 1e-6))
    torch.testing.assert_close(implicit, expected, rtol=1e-4, atol=0)


def test_resynchronised_at_outputs_the_state_is_the_stored_one() -> None:
    """Backwards through 12 outputs of a growing error: far closer to the truth than without looking at them."""
    y0, ts = torch.full((1, 1), 0.5, dtype=torch.float64, requires_grad=True), torch.linspace(0, 3, 13).double()
    rate = torch.tensor(1.0, dtype=torch.float64, requires_grad=True)

    def gradient(adjoint: Any, tolerance: float) -> Tensor:
        field = lambda t, y: -3 * y + rate * torch.sin(y + t[:, None])  # noqa: E731
        ys = solve(RungeKutta(field, TSIT5), y0, ts, PIDController(tolerance, tolerance), adjoint=adjoint).ys
        (found,) = torch.autograd.grad(ys.square().sum(), rate)
        return found

    truth = gradient(Interpolated(), 1e-8)
    synchronised = (gradient(Backsolve(), 1e-4) - truth).abs()
    free = (gradient(Backsolve(resynchronise=False), 1e-4) - truth).abs()
    assert float(synchronised) < 0.1 * float(free)


@adjoint_sweep
def test_the_way_back_lands_on_the_jumps_of_the_field(adjoint: Any) -> None:
    """With steps of fixed length: one across the jump would be of order one, in the steps and in the quadrature."""
    rate, y0, ts = leaf(2), leaf(3, 2, seed=1), torch.linspace(0, 1, 4, dtype=torch.float64)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return rate * y.sin() * torch.where(t < 0.4, 1.0, -2.0)[:, None]

    def gradient(adjoint: Any) -> tuple[Tensor, ...]:
        stops = Stops(jumps=torch.tensor([0.4], dtype=torch.float64))
        ys = solve(RungeKutta(field, TSIT5), y0, ts, FixedStep(0.07), stops=stops, adjoint=adjoint).ys
        return torch.autograd.grad(ys.square().sum(), (y0, rate))

    for found, expected in zip(gradient(adjoint()), gradient(Direct())):
        torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)


@adjoint_sweep
def test_a_sample_that_did_not_arrive_is_named(adjoint: Any) -> None:
    stepper, y0 = RungeKutta(lambda t, y: y.sin(), TSIT5), leaf(2, 1)
    solution = solve(stepper, y0, torch.linspace(0, 1, 3), FixedStep(0.1), max_steps=3, throw=False, adjoint=adjoint())
    with pytest.raises(RuntimeError, match=r"samples \[0, 1\] did not reach"):
        solution.y_end.sum().backward()
