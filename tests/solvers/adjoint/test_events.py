"""Gradients through terminal events from checkpoints: those of the direct adjoint."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers import TSIT5, FixedStep, PIDController, RungeKutta, Solution, Status, solve
from sciml.solvers.adjoint.backsolve import Backsolve
from sciml.solvers.adjoint.checkpoint import RecursiveCheckpoint
from sciml.solvers.adjoint.direct import Direct
from sciml.solvers.adjoint.reversible import ReversibleAdjoint
from sciml.solvers.arguments import PerSample
from sciml.solvers.event import Event
from sciml.solvers.implicit.runge_kutta import ImplicitRungeKutta
from sciml.solvers.implicit.tableaus.trbdf2 import TRBDF2
from sciml.solvers.reversible import AsynchronousLeapfrog
from tests.solvers.adjoint.cases import leaf

F64 = torch.float64
TIGHT = PIDController(1e-6, 1e-8)


class Fall:
    """Heights and speeds that fall with drag onto floors of their own; the last floor is too deep to be met.

    The floors' slope is shared by field and condition, and the field closes over a result made of it.
    """

    def __init__(self) -> None:
        self.y0 = torch.tensor([[1.0, 0.4], [3.0, -0.5], [2.0, 0.0]], dtype=F64).requires_grad_()
        self.ts = torch.tensor([0.0, 0.3, 0.5, 1.5], dtype=F64).requires_grad_()
        self.drag, self.floor = leaf(1), torch.tensor([0.1, -0.3, -40.0], dtype=F64).requires_grad_()
        self.wanted = (self.y0, self.ts, self.drag, self.floor)

    def field(self, t: Tensor, y: Tensor, floor: Tensor) -> Tensor:
        return torch.stack([y[:, 1], -9.81 - self.drag.square() * y[:, 1] + 0.1 * torch.sin(t)], dim=1)

    def condition(self, t: Tensor, y: Tensor, floor: Tensor) -> Tensor:
        return y[:, 0] - floor - 0.05 * self.drag * torch.cos(t)

    def solve(self, adjoint: Any, controller: Any = TIGHT, build: Any = None, **event: Any) -> Solution:
        watched = Event(self.condition, direction=-1, **event)
        stepper = (build or (lambda field: RungeKutta(field, TSIT5)))(self.field)
        args = (PerSample(self.floor),)
        return solve(stepper, self.y0, self.ts, controller, args=args, event=watched, adjoint=adjoint)


def everything(solution: Solution) -> Tensor:
    """A sum over all that a solution with events has gradients of."""
    assert solution.events is not None
    parts = (solution.ys.nan_to_num(0.0), solution.y_end, solution.t_end, solution.events.t, solution.events.y)
    return sum((1 + k) * part.nan_to_num(0.0).sin().sum() for k, part in enumerate(parts))


@pytest.mark.parametrize("controller", [TIGHT, FixedStep(0.07)], ids=["adaptive", "fixed"])
@pytest.mark.parametrize("checkpoints", [None, 1, 3])
@pytest.mark.parametrize("build", [None, lambda field: ImplicitRungeKutta(field, TRBDF2)], ids=["Tsit5", "TRBDF2"])
def test_all_gradients_are_those_of_the_direct_adjoint(controller: Any, checkpoints: int | None, build: Any) -> None:
    def gradients(adjoint: Any) -> tuple[Solution, tuple[Tensor, ...]]:
        problem = Fall()
        solution = problem.solve(adjoint, controller, build)
        return solution, torch.autograd.grad(everything(solution), problem.wanted)

    (solution, found), (direct, expected) = gradients(RecursiveCheckpoint(checkpoints)), gradients(Direct())
    assert solution.statistics.status.tolist() == [Status.EVENT, Status.EVENT, Status.SUCCESS]
    torch.testing.assert_close(solution.ys, direct.ys, rtol=0, atol=0, equal_nan=True)
    for name in ("t", "y", "which"):
        same = getattr(solution.events, name), getattr(direct.events, name)
        torch.testing.assert_close(*same, rtol=0, atol=0, equal_nan=True)
    for value, reference in zip(found, expected):
        torch.testing.assert_close(value, reference, rtol=1e-10, atol=1e-12)


def test_the_time_of_an_event_knows_its_own_condition() -> None:
    """dy/dt = -1 meets the floor at y0 - floor."""
    y0, floor = leaf(2, 1).detach().abs().requires_grad_(), torch.tensor([-0.5], dtype=F64).requires_grad_()
    stepper = RungeKutta(lambda t, y: -torch.ones_like(y), TSIT5)
    event = Event(lambda t, y: y[:, 0] - floor)
    ts = torch.tensor([0.0, 10.0], dtype=F64)
    solution = solve(stepper, y0, ts, FixedStep(0.3), event=event, adjoint=RecursiveCheckpoint())
    by_y0, by_floor = torch.autograd.grad(solution.events.t.sum(), (y0, floor))
    torch.testing.assert_close(by_y0, torch.ones_like(y0))
    torch.testing.assert_close(by_floor, torch.full_like(floor, -2.0))


def test_events_that_are_not_met_change_no_gradient() -> None:
    def gradient(condition: Any) -> Tensor:
        y0 = leaf(3, 2)
        event = () if condition is None else Event(condition)
        stepper, ts = RungeKutta(lambda t, y: y.sin(), TSIT5), torch.tensor([0.0, 0.4, 1.0], dtype=F64)
        solution = solve(stepper, y0, ts, TIGHT, event=event, adjoint=RecursiveCheckpoint(2))
        return torch.autograd.grad(solution.ys.square().sum() + solution.y_end.sum(), y0)[0]

    assert torch.equal(gradient(lambda t, y: 1.0 + t), gradient(None))


def test_other_events_and_adjoints_name_the_way_out() -> None:
    with pytest.raises(ValueError, match=r"terminal=False.*Direct\(\)"):
        Fall().solve(RecursiveCheckpoint(), terminal=False)
    with pytest.raises(ValueError, match=r"RecursiveCheckpoint\(\) where all are terminal, else .*Direct\(\)"):
        Fall().solve(ReversibleAdjoint(), build=AsynchronousLeapfrog)
    with pytest.raises(ValueError, match=r"RecursiveCheckpoint\(\) where all are terminal, else .*Direct\(\)"):
        Fall().solve(Backsolve())
