"""Steps of a finished solve, taken again: forwards without gradients, backwards with them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from ..event import Hit, Watch, settle
from ..state import State, select, where
from ..stepper import Step, Stepper
from .protocol import TakenStep
from .vjp import filled, inexact_leaves, plus, tracked, vjp


@dataclass(frozen=True, slots=True)
class Point:
    """Where the samples ``members`` stand between two steps."""

    members: Tensor
    y: State
    reuse: Any

    def of(self, members: Tensor) -> Point:
        """These of its samples alone."""
        if len(members) == len(self.members):
            return self
        rows = torch.searchsorted(self.members, members)
        return Point(members, select(self.y, rows), None if self.reuse is None else select(self.reuse, rows))

    def detached(self) -> Point:
        """The same point, requiring gradients and without a history."""
        return Point(self.members, tracked(self.y), tracked(self.reuse))


@dataclass(frozen=True, slots=True)
class Clock:
    """The times of a step: where it starts, how long it is, and where in it the outputs lie."""

    t: Tensor
    dt: Tensor
    theta: Tensor

    def detached(self) -> Clock:
        """The same times without a history, requiring gradients where these do."""
        return Clock(*(value.detach().requires_grad_(value.requires_grad) for value in self.values()))

    def values(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.t, self.dt, self.theta


@dataclass(frozen=True, slots=True)
class Landing:
    """The events that a step ends on; ``span`` (rows,) is the signed time that the solve was asked for."""

    hit: Hit
    watch: Watch
    span: Tensor


@dataclass(frozen=True, slots=True)
class Recorded:
    """A taken step without its states; the attributes are those of ``TakenStep``, but for

    Attributes:
        restarted: rows that did not reuse what the step before had left (they crossed a jump); None for none.
        landing: the terminal events that the step ends on, None for none.
    """

    stepper: Stepper
    members: Tensor
    clock: Clock
    t_next: Tensor
    accept: Tensor
    rows: Tensor
    times: Tensor
    restarted: Tensor | None
    landing: Landing | None = None

    @classmethod
    def of(cls, taken: TakenStep, before: Recorded | None, landing: Landing | None = None) -> Recorded:
        """Keep of a step what it takes to repeat it; ``before`` is the step before."""
        restarted = None if before is None or taken.reuse is None else before.broken_off(taken)
        clock, outputs = Clock(taken.t, taken.dt, taken.theta), (taken.rows, taken.times)
        return cls(taken.stepper, taken.members, clock, taken.t_next, taken.accept, *outputs, restarted, landing)

    def broken_off(self, taken: TakenStep) -> Tensor | None:
        """The rows of the next step that do not start where this one ended."""
        ended = torch.where(self.accept, self.t_next, self.clock.t)[torch.searchsorted(self.members, taken.members)]
        apart = ended != taken.t
        return apart if bool(apart.any()) else None

    def repeat(self, before: Point, clock: Clock) -> tuple[Step, Point, Tensor]:
        """Take the step again from a point of the same samples; the step, the point after it, and when it ends."""
        reuse = before.reuse
        if self.restarted is not None:
            reuse = where(self.restarted, self.stepper.start(clock.t, before.y), reuse)  # type: ignore[attr-defined]
        step = call(self.stepper, clock.t, clock.dt, before.y, reuse)
        t_end = clock.t + clock.dt
        if self.landing is not None:
            hit, watch, span = self.landing.hit, self.landing.watch, self.landing.span
            t_end, y_end = settle(watch, hit, self.stepper, step, t_end, span)
            step = replace(step, y=where(hit.mask, y_end, step.y))
        if bool(self.accept.all()):
            return step, Point(self.members, step.y, step.reuse), t_end
        kept = None if reuse is None else where(self.accept, step.reuse, reuse)
        return step, Point(self.members, where(self.accept, step.y, before.y), kept), t_end

    def emitted(self, step: Step, theta: Tensor) -> State | None:
        """The outputs in this step, None without any."""
        if not len(self.rows):
            return None
        at_end = theta == 1
        ends = select(step.y, self.rows)
        if step.dense is None or bool(at_end.all()):
            return ends
        return where(at_end, ends, step.dense(theta, self.rows))


class Sweep:
    """Gradients carried backwards over recorded steps.

    Args:
        outputs: gradients with respect to the leaves of the outputs, (batch, time, ...).
        end: gradients with respect to the leaves of the end states, (batch, ...).
        wanted: the parameters whose gradients are summed up.
        times: gradients with respect to the times of events, (batch,); None without any.

    Attributes:
        y, reuse: gradients with respect to the leaves of the state and of what the next step reuses, at the point
            reached, for the whole batch.
        parameters: gradients with respect to ``wanted``, so far.
    """

    def __init__(
        self, outputs: list[Tensor], end: list[Tensor], wanted: tuple[Tensor, ...], times: Tensor | None = None
    ) -> None:
        self._outputs, self._wanted, self._times = outputs, wanted, times
        self.y = end
        self.reuse: list[Tensor] = []
        self.parameters: list[Tensor | None] = [None] * len(wanted)

    def back(self, recorded: Recorded, before: Point) -> tuple[Tensor | None, ...]:
        """Go back over a step from the point before it; the gradients with respect to its clock."""
        before, clock = before.detached(), recorded.clock.detached()
        with torch.enable_grad():
            step, after, t_end = recorded.repeat(before, clock)
            emitted = recorded.emitted(step, clock.theta)
        members = recorded.members
        cotangents = [*_rows(self.y, members), *self._of_reuse(after), *self._of_outputs(recorded)]
        outputs = inexact_leaves((after.y, after.reuse, emitted))
        if recorded.landing is not None and self._times is not None:
            outputs.append(t_end)
            cotangents.append(torch.where(recorded.landing.hit.mask, self._times[members], 0.0))
        return self._pull(outputs, cotangents, before, clock)

    def back_over_start(self, stepper: Stepper, t: Tensor, y: State) -> Tensor | None:
        """Go back over what the first step reuses; the gradient with respect to t."""
        if not self.reuse:
            return None
        before, clock = Point(torch.arange(len(t), device=t.device), tracked(y), None), Clock(t, t, t).detached()
        with torch.enable_grad():
            reuse = stepper.start(clock.t, before.y)  # type: ignore[attr-defined]
        cotangents, self.reuse = self.reuse, []
        passed = self.y
        gradient = self._pull(inexact_leaves(reuse), cotangents, before, clock)[0]
        self.y = [a + b for a, b in zip(passed, self.y)]
        return gradient

    def _pull(
        self, outputs: list[Tensor], cotangents: list[Tensor], before: Point, clock: Clock
    ) -> tuple[Tensor | None, ...]:
        ys, reuses = inexact_leaves(before.y), inexact_leaves(before.reuse)
        timed = [value for value in clock.values() if value.requires_grad]
        found = iter(vjp(outputs, cotangents, [*ys, *reuses, *timed, *self._wanted]))
        self.y = [_put(total, before.members, filled(next(found), leaf)) for total, leaf in zip(self.y, ys)]
        self.reuse = [_put(total, before.members, filled(next(found), leaf)) for total, leaf in zip(self.reuse, reuses)]
        times = tuple(next(found) if value.requires_grad else None for value in clock.values())
        self.parameters = [plus(total, next(found)) for total in self.parameters]
        return times

    def _of_reuse(self, after: Point) -> list[Tensor]:
        """Gradients with respect to what the step leaves to the next; none after the last."""
        left = inexact_leaves(after.reuse)
        if left and not self.reuse:
            batch = len(self.y[0])
            self.reuse = [leaf.new_zeros((batch, *leaf.shape[1:])) for leaf in left]
        return _rows(self.reuse, after.members)

    def _of_outputs(self, recorded: Recorded) -> list[Tensor]:
        if not len(recorded.rows):
            return []
        samples = recorded.members[recorded.rows]
        return [leaf[samples, recorded.times] for leaf in self._outputs]


def call(stepper: Any, t: Tensor, dt: Tensor, y: State, reuse: Any) -> Step:
    """A step, as the loop takes it."""
    return stepper(t, dt, y) if reuse is None else stepper(t, dt, y, reuse)


def _rows(tensors: list[Tensor], members: Tensor) -> list[Tensor]:
    return [tensor if len(members) == len(tensor) else tensor[members] for tensor in tensors]


def _put(total: Tensor, members: Tensor, value: Tensor) -> Tensor:
    return value if len(members) == len(total) else total.index_copy(0, members, value)
