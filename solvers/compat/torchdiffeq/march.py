"""Explicit methods on a grid of times known beforehand: nothing is decided on the way, so steps are all it takes.

Everything in the state takes the same steps, so that the scheme works on the state as it is, without a batch axis, and
``solve``, which keeps a clock for each sample, is not needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from sciml.solvers.tableau import ButcherTableau

from .field import JointField
from .problem import Problem
from .run import Outcome

_SLIVER = torch.finfo(torch.float64).eps ** 0.5  # of a step: what is left is no step of its own


def even_grid(ts: Tensor, length: float) -> Tensor:
    """Times from ts[0] to ts[-1], ``length`` apart but for the last, which may be closer."""
    start, end = ts[0], ts[-1]
    span = float((end - start).detach())
    count = max(-int(-(abs(span) / length - _SLIVER) // 1), 1)
    steps = torch.arange(count, dtype=ts.dtype, device=ts.device) * (length if span > 0 else -length)
    return torch.cat([start + steps, end[None]])


def march(
    tableau: ButcherTableau, problem: Problem, grid: Tensor, kind: str, callback: Callable[..., Any] | None
) -> Outcome:
    """The states at the problem's output times after steps from each of ``grid`` to the next.

    Args:
        tableau: of the scheme.
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
        end = _step(tableau, field, (t, dt, times[index]), y)
        while output < len(due) and due[output] == index:
            if ends[index] == marks[output]:
                ys.append(end)
            else:
                theta = ((ts[output] - grid[index - 1]) / (grid[index] - grid[index - 1])).to(real)
                ys.append(_inside(field, kind, theta, (t, dt, y), (times[index], end)))
            output += 1
        y = end
    return Outcome(torch.stack(ys))


def _step(tableau: ButcherTableau, field: JointField, clock: tuple[Tensor, Tensor, Tensor], y: Tensor) -> Tensor:
    """The state after a step; ``clock`` is its start, length and end."""
    t, dt, t_end = clock
    slopes: list[Tensor] = []
    for node, row in zip(tableau.c, tableau.a):
        time = t if node == 0 else t_end if node == 1 else torch.add(t, dt, alpha=node)
        slopes.append(field.packed(time, _advance(y, dt, row, slopes)))
    return _advance(y, dt, tableau.b, slopes)


def _advance(y: Tensor, dt: Tensor, weights: Sequence[float], slopes: list[Tensor]) -> Tensor:
    """y + dt * sum_i weights_i slopes_i."""
    for weight, slope in zip(weights, slopes):
        if weight:
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
