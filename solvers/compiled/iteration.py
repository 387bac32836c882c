"""One step attempt for all samples as tensor operations alone: what is traced once and run many times.

The same rules as ``solvers.loop``, with masks where that one branches: a finished sample takes steps of length zero, a
rejected one stays. Outputs inside a step go through a window of a fixed number of slots; where a step passes more
output times than that, it is not left yet but taken again for the next ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..controller import Control, StepSizeController
from ..solution import Status
from ..state import State, map_state, where
from ..stepper import Step, Stepper

RUNNING = -1
"""The status of a sample that has not finished."""

NOTHING: tuple[()] = ()
"""Stands for None in what is carried: torch counts None among the leaves of a structure, but no empty tuple."""


class Carry(NamedTuple):
    """What one iteration hands to the next; every tensor has one row for each sample.

    Attributes:
        t, y, reuse: where each sample is, and what the next step may reuse, or ``NOTHING``.
        dt, history: the controller's proposal and memory, or ``NOTHING``.
        upcoming: index of the next output time.
        status: ``RUNNING`` or a ``Status``.
        accepted, attempts, evaluations: counts.
    """

    t: Tensor
    y: State
    reuse: Any
    dt: Tensor
    history: Any
    upcoming: Tensor
    status: Tensor
    accepted: Tensor
    attempts: Tensor
    evaluations: Tensor


@dataclass(frozen=True)
class Plan:
    """What stays the same during a solve.

    Attributes:
        ts, sign: output times (batch, time) and direction of time (batch,).
        limit: steps that a sample may attempt, a scalar tensor.
        window: output times that one iteration can serve.
        lands: steps land on the output times; otherwise they pass them.
        inside: outputs may lie inside a step, and are read off its dense output.
    """

    stepper: Stepper
    controller: StepSizeController
    ts: Tensor
    sign: Tensor
    limit: Tensor
    window: int
    lands: bool
    inside: bool


class Emission(NamedTuple):
    """Which outputs an iteration serves, each (batch, window).

    Attributes:
        theta: where in the step they lie; 1 is its end state, 0 where there is none.
        slots: their places among the output times; one past the last where there is none.
    """

    theta: Tensor
    slots: Tensor


class Moves(NamedTuple):
    """What an iteration does, apart from the states: enough to repeat it.

    Attributes:
        t, dt: start and length of the step; dt is 0 where the step was rejected.
        moved: samples that go to its end.
    """

    t: Tensor
    dt: Tensor
    moved: Tensor
    emission: Emission


def iterate(plan: Plan, carry: Carry) -> tuple[Carry, Moves, State]:
    """Attempt one step; also what was done, and the states (batch * window, ...) at the outputs it serves."""
    dt, target, lands = _propose(plan, carry)
    step = take(plan.stepper, carry.t, dt, carry.y, carry.reuse)
    before = Control(dt=carry.dt, accept=carry.status == RUNNING, ratio=None, history=carry.history)
    control = plan.controller(step, carry.y, dt, before)
    accept = control.accept & (carry.status == RUNNING)
    t_next = torch.where(lands, target, carry.t + dt)
    emission, waits = _serve(plan, carry, dt, t_next, accept)
    moves = Moves(carry.t, torch.where(accept, dt, torch.zeros_like(dt)), accept & ~waits, emission)
    values = emitted(step, emission.theta, plan.inside)
    return _move(plan, carry, step, control, moves, t_next, waits), moves, values


def take(stepper: Any, t: Tensor, dt: Tensor, y: State, reuse: Any) -> Step:
    """Call the stepper."""
    return stepper(t, dt, y) if is_nothing(reuse) else stepper(t, dt, y, reuse)


def is_nothing(value: Any) -> bool:
    """Whether a part of the carry is ``NOTHING``."""
    return isinstance(value, tuple) and len(value) == 0


def emitted(step: Step, theta: Tensor, inside: bool) -> State:
    """The states (batch * window, ...) at ``theta`` (batch, window) within a step, or at its end."""
    batch, window = theta.shape
    if not inside:
        return step.y
    if step.dense is None:
        raise ValueError("The stepper declares a dense_order but its Step has dense=None.")
    rows = torch.arange(batch, device=theta.device)[:, None].expand(batch, window).reshape(-1)
    between = step.dense(theta.reshape(-1), rows)
    return where(theta.reshape(-1) == 1, map_state(lambda leaf: leaf[rows], step.y), between)


def settle(step: Step, moved: Tensor, y: State, reuse: Any) -> tuple[State, Any]:
    """The state and what may be reused after the step, for the samples that moved; before it for the others."""
    return where(moved, step.y, y), NOTHING if is_nothing(reuse) else where(moved, step.reuse, reuse)


def _propose(plan: Plan, carry: Carry) -> tuple[Tensor, Tensor, Tensor]:
    """The length of the next step, the time it must not pass, and whether it reaches that."""
    last = plan.ts.shape[1] - 1
    column = carry.upcoming.clamp(max=last) if plan.lands else torch.full_like(carry.upcoming, last)
    target = plan.ts.gather(1, column[:, None])[:, 0]
    remaining = target - carry.t
    proposed = carry.dt
    left = remaining / proposed
    lands = left <= 1 + torch.finfo(left.dtype).eps ** 0.5
    if getattr(plan.controller, "adaptive", False):
        proposed = torch.where(left < 2, 0.5 * remaining, proposed)
    dt = torch.where(lands, remaining, proposed)
    return torch.where(carry.status == RUNNING, dt, torch.zeros_like(dt)), target, lands


def _serve(plan: Plan, carry: Carry, dt: Tensor, t_next: Tensor, accept: Tensor) -> tuple[Emission, Tensor]:
    """The outputs that the step passes, as many as the window holds, and the samples with more of them."""
    count = plan.ts.shape[1]
    slots = carry.upcoming[:, None] + torch.arange(plan.window + 1, device=dt.device)
    times = plan.ts.gather(1, slots.clamp(max=count - 1))
    passed = (t_next[:, None] - times) * plan.sign[:, None] >= 0
    passed = passed & accept[:, None] & (slots < count)
    slots, times, served = slots[:, :-1], times[:, :-1], passed[:, :-1]
    length = torch.where(accept, dt, torch.ones_like(dt))[:, None]
    theta = ((times - carry.t[:, None]) / length).clamp(0, 1)
    theta = torch.where(times == t_next[:, None], torch.ones_like(theta), theta)
    theta = torch.where(served, theta, torch.zeros_like(theta))
    return Emission(theta, torch.where(served, slots, torch.full_like(slots, count))), passed[:, -1]


def _move(plan: Plan, carry: Carry, step: Step, control: Control, moves: Moves, t_next: Tensor, waits: Tensor) -> Carry:
    """Go on, per sample; samples that wait for more outputs keep everything but their place among the output times."""
    running = carry.status == RUNNING
    served = (moves.emission.slots < plan.ts.shape[1]).sum(dim=1)
    upcoming = carry.upcoming + served
    t = torch.where(moves.moved, t_next, carry.t)
    y, reuse = settle(step, moves.moved, carry.y, carry.reuse)
    proposed = control.dt
    if plan.lands:
        cut = moves.moved & (moves.dt.abs() < carry.dt.abs()) & (proposed.abs() < carry.dt.abs())
        proposed = torch.where(cut, carry.dt, proposed)
    attempted = running & ~waits
    attempts = carry.attempts + attempted
    short = running & ~control.accept & (proposed.abs() <= _resolution(plan, t))
    status = torch.where(running & (attempts >= plan.limit), int(Status.MAX_STEPS), carry.status)
    status = torch.where(short, int(Status.STEP_UNDERFLOW), status)
    status = torch.where(running & (upcoming >= plan.ts.shape[1]), int(Status.SUCCESS), status)
    return Carry(
        t=t,
        y=y,
        reuse=reuse,
        dt=torch.where(waits, carry.dt, proposed),
        history=NOTHING if is_nothing(carry.history) else where(waits, carry.history, control.history),
        upcoming=upcoming,
        status=status,
        accepted=carry.accepted + moves.moved,
        attempts=attempts,
        evaluations=carry.evaluations + step.evaluations * attempted,
    )


def _resolution(plan: Plan, t: Tensor) -> Tensor:
    """The shortest step that still means something: t + dt must differ from t, also when t starts at zero."""
    eps = torch.finfo(t.dtype).eps
    span = (plan.ts[:, -1] - plan.ts[:, 0]).abs()
    return torch.maximum(4 * eps * t.abs(), eps**2 * span)
