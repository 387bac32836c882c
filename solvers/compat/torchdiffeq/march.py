"""Explicit and Adams methods on a grid of times known beforehand: nothing is decided on the way, so steps suffice.

Everything in the state takes the same steps, so that the scheme works on the state as it is, without a batch axis, and
``solve``, which keeps a clock for each sample, is not needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from sciml.solvers.adams import Adams, weights_at
from sciml.solvers.tableau import ButcherTableau

from .field import JointField
from .problem import Problem
from .run import Outcome

_SLIVER = torch.finfo(torch.float64).eps ** 0.5  # of a step: what is left is no step of its own
_FEW = 4  # terms of a sum


class Clock(NamedTuple):
    """A step's start, length and end, and start and end also as Python's numbers, which grow from step to step."""

    t: Tensor
    dt: Tensor
    t_end: Tensor
    start: float
    end: float


class Scheme(Protocol):
    """Takes a state over one step after another."""

    def __call__(self, field: JointField, clock: Clock, y: Tensor) -> Tensor: ...


def even_grid(ts: Tensor, length: float) -> Tensor:
    """Times from ts[0] to ts[-1], ``length`` apart but for the last, which may be closer."""
    start, end = ts[0], ts[-1]
    span = float((end - start).detach())
    count = max(-int(-(abs(span) / length - _SLIVER) // 1), 1)
    steps = torch.arange(count, dtype=ts.dtype, device=ts.device) * (length if span > 0 else -length)
    return torch.cat([start + steps, end[None]])


def march(scheme: Scheme, problem: Problem, grid: Tensor, kind: str, callback: Callable[..., Any] | None) -> Outcome:
    """The states at the problem's output times after steps from each of ``grid`` to the next.

    Args:
        scheme: new, where it looks back on earlier steps.
        problem: without an event.
        grid: from the first output time to the last, in the clock's precision.
        kind: ``"linear"`` or ``"cubic"``, for output times inside a step.
        callback: called before each step as ``(t0, y0, dt)``.
    """
    field, real, ts, sign = problem.field, problem.field.real, problem.clock(), problem.sign
    ends, marks = ([sign * t for t in times.tolist()] for times in (grid, ts))
    due = [bisect_left(ends, mark) for mark in marks]  # the grid time at or after each output time
    times, lengths = grid.to(real).unbind(), grid.diff().to(real).unbind()
    y, ys, output = problem.y0, [problem.y0], 1
    for index, (t, dt) in enumerate(zip(times, lengths), start=1):
        if callback is not None:
            callback(t, problem.packing.unpack(y), dt.abs())
        end = scheme(field, Clock(t, dt, times[index], ends[index - 1], ends[index]), y)
        while output < len(due) and due[output] == index:
            if ends[index] == marks[output]:
                ys.append(end)
            else:
                theta = ((ts[output] - grid[index - 1]) / (grid[index] - grid[index - 1])).to(real)
                ys.append(_inside(field, kind, theta, (t, dt, y), (times[index], end)))
            output += 1
        y = end
    return Outcome(torch.stack(ys))


class OneStep:
    """An explicit Runge-Kutta scheme."""

    def __init__(self, tableau: ButcherTableau) -> None:
        self.tableau = tableau

    def __call__(self, field: JointField, clock: Clock, y: Tensor, first: Tensor | None = None) -> Tensor:
        """The state after a step; ``first`` is the slope at its start, where known."""
        t, dt, t_end = clock[:3]
        slopes: list[Tensor] = [] if first is None else [first]
        for node, row in list(zip(self.tableau.c, self.tableau.a))[len(slopes) :]:
            time = t if node == 0 else t_end if node == 1 else torch.add(t, dt, alpha=node)
            slopes.append(field.packed(time, _advance(y, dt, row, slopes)))
        return _advance(y, dt, self.tableau.b, slopes)


class MultiStep:
    """An Adams scheme. Its weights are numbers, since the times are known: the classical ones for equal steps."""

    def __init__(self, adams: Adams) -> None:
        self.first, self.corrections = OneStep(adams.first.tableau), adams.corrections
        self.slopes: deque[Tensor] = deque(maxlen=adams.memory)
        self.times: deque[float] = deque(maxlen=adams.memory)

    def __call__(self, field: JointField, clock: Clock, y: Tensor) -> Tensor:
        """The state after a step."""
        slope = field.packed(clock.t, y)
        self.slopes.appendleft(slope)
        self.times.appendleft(clock.start)
        if len(self.slopes) < self.slopes.maxlen:  # type: ignore[operator]
            return self.first(field, clock, y, slope)
        nodes = [(time - clock.start) / (clock.end - clock.start) for time in self.times]
        end = _advance(y, clock.dt, weights_at(nodes)[0], self.slopes)
        if self.corrections:
            own, *others = weights_at([1.0, *nodes])[0]
            known = _advance(y, clock.dt, others, self.slopes)
            for _ in range(self.corrections):
                end = torch.addcmul(known, clock.dt, field.packed(clock.t_end, end), value=own)
        return end


def _advance(y: Tensor, dt: Tensor, weights: Sequence[float], slopes: Iterable[Tensor]) -> Tensor:
    """y + dt * sum_i weights_i slopes_i; long sums first: weights of high orders are large, of either sign."""
    terms = [(weight, slope) for weight, slope in zip(weights, slopes) if weight]
    if len(terms) > _FEW:
        total = terms[0][1] * terms[0][0]
        for weight, slope in terms[1:]:
            total = torch.add(total, slope, alpha=weight)
        return torch.addcmul(y, dt, total)
    for weight, slope in terms:
        y = torch.addcmul(y, dt, slope, value=weight)
    return y


def _inside(field: JointField, kind: str, theta: Tensor, start: tuple[Tensor, ...], end: tuple[Tensor, ...]) -> Tensor:
    """The state at t + theta dt, on the straight line or on Hermite's cubic between a step's ends."""
    t, dt, y = start
    change = end[1] - y
    if kind == "linear":
        return y + theta * change
    first, last = field.packed(t, y), field.packed(*end)
    bend = (1 - 2 * theta) * change + dt * ((theta - 1) * first + theta * last)
    return y + theta * change + theta * (theta - 1) * bend
