"""Checkpointing: how much is stored, how often steps are repeated."""

from __future__ import annotations

import math
import weakref
from typing import Any

import pytest
import torch
from torch import Tensor

from sciml.solvers import TSIT5, FixedStep, PIDController, RungeKutta, Step, solve
from sciml.solvers.adjoint.checkpoint import Checkpoints, RecursiveCheckpoint
from sciml.solvers.adjoint.direct import Direct
from sciml.solvers.adjoint.replay import Point
from sciml.solvers.stops import Stops
from tests.solvers.adjoint.cases import leaf


def point(index: int) -> Point:
    return Point(torch.zeros(1, dtype=torch.int64), torch.tensor([float(index)]), None)


def reverse(steps: int, slots: int | None) -> tuple[list[int], int]:
    """Reverse that many steps; how often each was repeated, and the most points held at a time."""
    checkpoints, repeats, most = Checkpoints(slots), [0] * steps, 0
    for index in range(steps):
        checkpoints.add(index, point(index))
        most = max(most, len(checkpoints.held))
    for index in reversed(range(steps)):
        at, found = checkpoints.rewind(index)
        assert float(found.y) == at <= index
        while at < index:
            repeats[at] += 1
            at += 1
            checkpoints.add(at, point(at))
            most = max(most, len(checkpoints.held))
    return repeats, most


def fewest_repeats(steps: int, slots: int) -> int:
    """Griewank and Walther: r repetitions reverse up to C(slots + r, r) steps, and no schedule does with less."""
    return next(r for r in range(steps + 1) if math.comb(slots + r, r) >= steps)


@pytest.mark.parametrize("slots", [1, 2, 3, 5, 9])
@pytest.mark.parametrize("steps", [1, 2, 7, 31, 100, 257])
def test_no_step_is_repeated_more_often_than_the_theorem_says(steps: int, slots: int) -> None:
    repeats, most = reverse(steps, slots)
    assert most <= slots + 1
    assert max(repeats) <= fewest_repeats(steps, slots)


@pytest.mark.parametrize("steps", [3, 30, 300, 1000])
def test_by_default_two_repetitions_take_memory_like_the_root(steps: int) -> None:
    repeats, most = reverse(steps, None)
    assert max(repeats) <= 2
    assert most <= 2 + math.sqrt(2 * steps)


class Counted:
    """Explicit Euler steps of y' = sin y, that count themselves and the states that are alive."""

    order = 1

    def __init__(self) -> None:
        self.calls = 0
        self.states: weakref.WeakSet[Tensor] = weakref.WeakSet()
        self.most = 0

    def __call__(self, t: Tensor, dt: Tensor, y: Tensor) -> Step:
        self.calls += 1
        state = y + dt[:, None] * y.sin()
        self.states.add(state)
        self.most = max(self.most, len(self.states))
        return Step(state)


def memory_and_calls(adjoint: Any, steps: int) -> tuple[int, int]:
    stepper, y0 = Counted(), leaf(2, 3)
    ts = torch.tensor([0.0, float(steps)], dtype=torch.float64)
    solve(stepper, y0, ts, FixedStep(1.0), adjoint=adjoint).ys.sum().backward()
    return stepper.most, stepper.calls


def test_states_alive_are_the_checkpoints() -> None:
    """Counted by weak references to every state that was made."""
    assert memory_and_calls(Direct(), 200)[0] >= 200
    at_hand = 5  # the current state, those around the step that is differentiated, the result
    assert memory_and_calls(RecursiveCheckpoint(3), 200)[0] <= 3 + at_hand
    assert memory_and_calls(RecursiveCheckpoint(3), 50)[0] <= 3 + at_hand
    assert memory_and_calls(RecursiveCheckpoint(), 200)[0] <= 1 + math.sqrt(400) + at_hand


def test_evaluations_follow_the_theorem() -> None:
    """One look at what the steps depend on; one forward pass; one with gradients; at most r repetitions."""
    steps, slots = 120, 4
    assert memory_and_calls(Direct(), steps)[1] == steps
    assert memory_and_calls(RecursiveCheckpoint(steps), steps)[1] == 1 + 2 * steps
    calls = memory_and_calls(RecursiveCheckpoint(slots), steps)[1]
    assert 1 + 2 * steps < calls <= 1 + (2 + fewest_repeats(steps, slots)) * steps


def test_the_backward_pass_may_come_twice() -> None:
    y0 = leaf(2, 2)
    ys = solve(
        RungeKutta(lambda t, y: y.sin(), TSIT5),
        y0,
        torch.linspace(0, 2, 5),
        FixedStep(0.1),
        adjoint=RecursiveCheckpoint(2),
    ).ys
    first, second = (torch.autograd.grad(ys.sum(), y0, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


@pytest.mark.parametrize("adjoint", [RecursiveCheckpoint(), RecursiveCheckpoint(1)], ids=["root", "one"])
def test_jumps_of_the_field_are_repeated_as_they_were(adjoint: Any) -> None:
    """After a jump the slope is computed afresh: what the step before left is neither reused nor differentiated."""
    rate, y0, ts = leaf(2), leaf(3, 2, seed=1), torch.linspace(0, 1, 4, dtype=torch.float64)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return rate * y.sin() * torch.where(t < 0.4, 1.0, -2.0)[:, None]

    def gradient(adjoint: Any) -> tuple[Tensor, ...]:
        stops, controller = Stops(jumps=torch.tensor([0.4], dtype=torch.float64)), PIDController(1e-4, 1e-4)
        ys = solve(RungeKutta(field, TSIT5), y0, ts, controller, stops=stops, adjoint=adjoint).ys
        return torch.autograd.grad(ys.square().sum(), (y0, rate))

    for found, expected in zip(gradient(adjoint), gradient(Direct())):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-14)


def test_unreached_outputs_give_no_gradient() -> None:
    """A solve that ran out of steps differentiates as far as it came."""

    def gradient(adjoint: Any) -> Tensor:
        y0 = leaf(2, 2)
        stepper, ts = RungeKutta(lambda t, y: y.sin(), TSIT5), torch.linspace(0, 2, 5)
        solution = solve(stepper, y0, ts, FixedStep(0.1), max_steps=8, throw=False, adjoint=adjoint)
        assert bool(solution.ys[:, -1].isnan().all())
        (found,) = torch.autograd.grad(solution.ys[:, :2].sum() + solution.y_end.sum(), y0)
        return found

    torch.testing.assert_close(gradient(RecursiveCheckpoint(2)), gradient(Direct()), rtol=1e-12, atol=0)


def test_no_checkpoints_are_refused() -> None:
    with pytest.raises(ValueError, match="checkpoints >= 1"):
        RecursiveCheckpoint(0)
