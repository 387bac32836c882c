"""Undoing steps: constant memory, jumps, dropped samples."""

from __future__ import annotations

import weakref
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers import FixedStep, Step, solve
from sciml.solvers.adjoint.checkpoint import RecursiveCheckpoint
from sciml.solvers.adjoint.direct import Direct
from sciml.solvers.adjoint.reversible import ReversibleAdjoint
from sciml.solvers.reversible import AsynchronousLeapfrog
from sciml.solvers.stops import Stops
from tests.solvers.adjoint.cases import leaf


class Watched(nn.Module):
    """A reversible scheme that counts the states that are alive."""

    order, dense_order = 2, None

    def __init__(self, field: Any) -> None:
        super().__init__()
        self.scheme = AsynchronousLeapfrog(field)
        self.start, self.reverse = self.scheme.start, self.scheme.reverse
        self.states: weakref.WeakSet[Tensor] = weakref.WeakSet()
        self.most = 0

    def forward(self, t: Tensor, dt: Tensor, y: Tensor, reuse: Tensor) -> Step:
        step = self.scheme(t, dt, y, reuse)
        self.states.update((step.y, step.reuse))
        self.most = max(self.most, len(self.states))
        return Step(step.y, reuse=step.reuse)


def most_alive(adjoint: Any, steps: int) -> int:
    stepper, y0 = Watched(lambda t, y: y.sin()), leaf(2, 3)
    solve(stepper, y0, torch.tensor([0.0, steps / 100]), FixedStep(0.01), adjoint=adjoint).ys.sum().backward()
    return stepper.most


def test_memory_does_not_grow_with_the_steps() -> None:
    assert most_alive(ReversibleAdjoint(), 100) == most_alive(ReversibleAdjoint(), 20) < 12
    assert most_alive(RecursiveCheckpoint(100), 100) >= 100


@pytest.mark.parametrize("ends", [(1.0, 1.0, 1.0), (1.0, 0.6, 0.2)], ids=["together", "dropped"])
def test_what_a_jump_forgets_is_remembered(ends: tuple[float, ...]) -> None:
    """The velocity before a jump cannot be had from the one after it."""
    rate, y0 = leaf(2), leaf(3, 2, seed=1)
    ts = torch.tensor(ends, dtype=torch.float64)[:, None] * torch.linspace(0, 1, 4, dtype=torch.float64)

    def gradient(adjoint: Any) -> tuple[Tensor, ...]:
        def field(t: Tensor, y: Tensor) -> Tensor:
            return rate * y.sin() * torch.where(t < 0.4, 1.0, -2.0)[:, None]

        stops = Stops(jumps=torch.tensor([0.4], dtype=torch.float64))
        ys = solve(AsynchronousLeapfrog(field), y0, ts, FixedStep(0.07), stops=stops, adjoint=adjoint).ys
        return torch.autograd.grad(ys.square().sum(), (y0, rate))

    for found, expected in zip(gradient(ReversibleAdjoint()), gradient(Direct())):
        torch.testing.assert_close(found, expected, rtol=1e-11, atol=1e-13)
