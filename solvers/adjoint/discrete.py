"""Gradients of the steps themselves, taken again one by one in the backward pass."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..controller import StepSizeController
from ..event import Hit, Watch
from ..solution import Events, Solution
from ..state import State, map_state, where
from ..stepper import Stepper
from .function import Gradients, Rule, attach
from .parameters import closed_over, joined, parameters_of
from .protocol import Run, TakenStep
from .replay import Landing, Point, Recorded, Sweep
from .silent import Silent
from .vjp import inexact, inexact_leaves


@runtime_checkable
class History(Protocol):
    """What is kept of a solve.

    Attributes:
        name: of the adjoint, for messages.
        takes_events: whether steps that end on terminal events can be repeated.
        records: the steps, in order.
    """

    name: str
    takes_events: bool
    records: list[Recorded]

    def observe(self, taken: TakenStep, landing: Landing | None) -> None:
        """A step of the forward pass, and the events that it ends on."""
        ...

    def backwards(self) -> Iterator[tuple[Recorded, Point]]:
        """The steps from the last to the first, each with the point before it."""
        ...


def replayed(
    history: History, run: Run, stepper: Stepper, y0: State, ts: Tensor, controller: StepSizeController
) -> Solution:
    """Run the loop without a graph, and differentiate the solution by taking the steps of ``history`` again.

    Gradients are those of ``ys`` and ``y_end``, and of ``t_end`` and ``events`` where terminal events were met.

    Raises:
        ValueError: an event was met that is not terminal, or any that the history does not take.
    """
    wanted = parameters_of(stepper, ts[:, 0], y0)
    starts = inexact_leaves(y0)
    timed = torch.is_grad_enabled() and ts.requires_grad
    if not (wanted or timed or (torch.is_grad_enabled() and any(leaf.requires_grad for leaf in starts))):
        return run(stepper, y0, ts, controller)
    conditioning: list[Tensor] = []
    solution = _forward(history, run, stepper, y0, ts, controller, conditioning)
    wanted = joined(wanted, conditioning)
    t0, y_start = ts[:, 0], pytree.tree_map(torch.detach, y0)
    clocks = [value for record in history.records for value in record.clock.values()]
    events = () if solution.events is None or solution.t_end is None else (solution.t_end,)

    def pullback(gradients: tuple[Tensor, ...]) -> Gradients:
        outputs, end, times = gradients[: len(starts)], gradients[len(starts) : 2 * len(starts)], gradients[-1]
        sweep = Sweep(list(outputs), list(end), wanted, times if events else None)
        back = [sweep.back(record, point) for record, point in history.backwards()]
        first = sweep.back_over_start(stepper, t0, y_start)
        initial = [total + output[:, 0] for total, output in zip(sweep.y, outputs)]
        return (*initial, *sweep.parameters, first, *(value for values in reversed(back) for value in values))

    values = (*inexact_leaves((solution.ys, solution.y_end)), *events)
    return _with(solution, attach(Rule(values, pullback, history.name), (*starts, *wanted, t0, *clocks)))


def _forward(
    history: History,
    run: Run,
    stepper: Stepper,
    y0: State,
    ts: Tensor,
    controller: StepSizeController,
    conditioning: list[Tensor],
) -> Solution:
    """The solution without gradients, but for those of the clock; ``conditioning`` collects what events depend on."""
    span = (ts[:, -1] - ts[:, 0]).detach()

    def observe(taken: TakenStep) -> None:
        landing = None
        if taken.hit is not None and taken.watch is not None:
            _check_terminal(history, taken.hit, taken.watch)
            landing = Landing(taken.hit, taken.watch, span[taken.members])
            conditioning.extend(closed_over(partial(_conditions, taken, taken.watch)))
        history.observe(replace(taken, stepper=taken.stepper.stepper), landing)  # type: ignore[attr-defined]

    return run(Silent(stepper), pytree.tree_map(torch.detach, y0), ts, controller, observe=observe)


def _conditions(taken: TakenStep, watch: Watch) -> list[Tensor]:
    t, y = taken.t.detach(), map_state(torch.detach, taken.y)
    return [watch.condition(index, t, y) for index in range(len(watch.events))]


def _check_terminal(history: History, hit: Hit, watch: Watch) -> None:
    """Raise on events that cannot be differentiated."""
    if not history.takes_events:
        raise ValueError(
            f"{history.name} does not differentiate through events. Solve with adjoint=RecursiveCheckpoint() where all "
            "are terminal, else with adjoint=Direct()."
        )
    if not bool(watch.terminal(hit.which)[hit.mask].all()):
        raise ValueError(
            f"{history.name} differentiates through terminal events alone, and met one with terminal=False. "
            "Solve with adjoint=Direct()."
        )


def _with(solution: Solution, values: tuple[Tensor, ...]) -> Solution:
    """The solution with these inexact leaves of ``ys`` and ``y_end`` and, of one with events, this ``t_end``."""
    given = iter(values)
    ys, y_end = pytree.tree_map(lambda leaf: next(given) if inexact(leaf) else leaf, (solution.ys, solution.y_end))
    events = solution.events
    if events is None or solution.t_end is None or not events.which.shape[1]:
        return replace(solution, ys=ys, y_end=y_end)
    hit, time = events.which[:, 0] >= 0, next(given)  # terminal ones alone: at most one for each sample
    return replace(
        solution,
        ys=ys,
        y_end=y_end,
        t_end=torch.where(hit, time, solution.t_end),
        events=Events(
            t=torch.where(hit, time, events.t[:, 0])[:, None],
            y=map_state(lambda leaf: leaf[:, None], where(hit, y_end, map_state(lambda leaf: leaf[:, 0], events.y))),
            which=events.which,
        ),
    )
