"""Gradients of the steps themselves, taken again one by one in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..controller import StepSizeController
from ..solution import Solution
from ..state import State
from ..stepper import Stepper
from .function import Gradients, Rule, attach
from .parameters import parameters_of
from .protocol import Run, TakenStep
from .replay import Point, Recorded, Sweep
from .silent import Silent
from .vjp import inexact, inexact_leaves


@runtime_checkable
class History(Protocol):
    """What is kept of a solve.

    Attributes:
        name: of the adjoint, for messages.
        records: the steps, in order.
    """

    name: str
    records: list[Recorded]

    def observe(self, taken: TakenStep) -> None:
        """A step of the forward pass."""
        ...

    def backwards(self) -> Iterator[tuple[Recorded, Point]]:
        """The steps from the last to the first, each with the point before it."""
        ...


def replayed(
    history: History, run: Run, stepper: Stepper, y0: State, ts: Tensor, controller: StepSizeController
) -> Solution:
    """Run the loop without a graph, and differentiate ``ys`` and ``y_end`` by taking the steps of ``history`` again.

    Raises:
        ValueError: the solve watches for events.
    """
    wanted = parameters_of(stepper, ts[:, 0], y0)
    starts = inexact_leaves(y0)
    timed = torch.is_grad_enabled() and ts.requires_grad
    if not (wanted or timed or (torch.is_grad_enabled() and any(leaf.requires_grad for leaf in starts))):
        return run(stepper, y0, ts, controller)
    solution = _forward(history, run, stepper, y0, ts, controller)
    if solution.events is not None:
        raise ValueError(f"{history.name} does not differentiate through events. Solve with adjoint=Direct().")
    t0, y_start = ts[:, 0], pytree.tree_map(torch.detach, y0)
    clocks = [value for record in history.records for value in record.clock.values()]

    def pullback(gradients: tuple[Tensor, ...]) -> Gradients:
        outputs, end = list(gradients[: len(starts)]), list(gradients[len(starts) :])
        sweep = Sweep(outputs, end, wanted)
        times = [sweep.back(record, point) for record, point in history.backwards()]
        first = sweep.back_over_start(stepper, t0, y_start)
        initial = [total + output[:, 0] for total, output in zip(sweep.y, outputs)]
        return (*initial, *sweep.parameters, first, *(value for values in reversed(times) for value in values))

    values = inexact_leaves((solution.ys, solution.y_end))
    rule = Rule(tuple(values), pullback, history.name)
    return _with(solution, attach(rule, (*starts, *wanted, t0, *clocks)))


def _forward(
    history: History, run: Run, stepper: Stepper, y0: State, ts: Tensor, controller: StepSizeController
) -> Solution:
    """The solution without gradients, but for those of the clock where ts has any."""

    def observe(taken: TakenStep) -> None:
        history.observe(replace(taken, stepper=taken.stepper.stepper))  # type: ignore[attr-defined]

    return run(Silent(stepper), pytree.tree_map(torch.detach, y0), ts, controller, observe=observe)


def _with(solution: Solution, values: tuple[Tensor, ...]) -> Solution:
    """The solution with these inexact leaves of ``ys`` and ``y_end``."""
    given = iter(values)
    ys, y_end = pytree.tree_map(lambda leaf: next(given) if inexact(leaf) else leaf, (solution.ys, solution.y_end))
    return replace(solution, ys=ys, y_end=y_end)
