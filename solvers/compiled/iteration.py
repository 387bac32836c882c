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
        last, span: the last output time, and how far it is from the first, (batch,).
        limit: steps that a sample may attempt, a scalar tensor.
        window: output times that one iteration can serve; 0 where the last is the only one, which is the end of a step
            and read off the state when all is done.
        lands: steps land on the output times; otherwise they pass them.
        inside: outputs may lie inside a step, and are read off its dense output.
    """

    stepper: Stepper
    controller: StepSizeController
    ts: Tensor
    sign: Tensor
    last: Tensor
    span: Tensor
    limit: Tensor
    window: int
    lands: bool
    inside: bool


class Attempt(NamedTuple):
    """A step that was tried.

    Attributes:
        step, control: what the stepper and the controller said.
        dt, t_next: its length and its end, (batch,).
        accept: running samples whose step stands.
    """

    step: Step
    control: Control
    dt: Tensor
    t_next: Tensor
    accept: Tensor


class Emission(NamedTuple):
    """Which outputs an iteration serves.

    Attributes:
        theta: where in the step they lie, (batch, window); 1 is its end state, 0 where there is none.
        slots: their places among the output times, (batch, window); one past the last where there is none.
        number: how many there are, (batch,).
        more: samples whose step passes more than the window holds, (batch,).
        last: samples whose last output is among them, (batch,).
    """

    theta: Tensor
    slots: Tensor
    number: Tensor
    more: Tensor
    last: Tensor


class Moves(NamedTuple):
    """What an iteration does, apart from the states: enough to repeat it.

    Attributes:
        t, dt: start and length of the step; dt is 0 where the step was rejected.
        moved: samples that go to its end.
        theta, slots: as in ``Emission``.
    """

    t: Tensor
    dt: Tensor
    moved: Tensor
    theta: Tensor
    slots: Tensor


def iterate(plan: Plan, carry: Carry) -> tuple[Carry, Moves, State]:
    """Attempt one step; also what was done, and the states (batch * window, ...) at the outputs it serves."""
    tried = attempt(plan, carry, _target(plan, carry))
    emission = _serve(plan, carry, tried) if plan.window else _only_the_end(plan, tried)
    length = torch.where(tried.accept, tried.dt, torch.zeros_like(tried.dt))
    moves = Moves(carry.t, length, tried.accept & ~emission.more, emission.theta, emission.slots)
    return conclude(plan, carry, tried, emission), moves, emitted(tried.step, emission.theta, plan.inside)


def attempt(plan: Plan, carry: Carry, target: Tensor) -> Attempt:
    """Try a step that does not pass ``target`` (batch,)."""
    dt, lands = _propose(plan, carry, target)
    step = take(plan.stepper, carry.t, dt, carry.y, carry.reuse)
    before = Control(dt=carry.dt, accept=carry.status == RUNNING, ratio=None, history=carry.history)
    control = plan.controller(step, carry.y, dt, before)
    t_next = torch.where(lands, target, carry.t + dt)
    return Attempt(step, control, dt, t_next, control.accept & (carry.status == RUNNING))


def take(stepper: Any, t: Tensor, dt: Tensor, y: State, reuse: Any) -> Step:
    """Call the stepper."""
    return stepper(t, dt, y) if is_nothing(reuse) else stepper(t, dt, y, reuse)


def is_nothing(value: Any) -> bool:
    """Whether a part of the carry is ``NOTHING``."""
    return isinstance(value, tuple) and len(value) == 0


def emitted(step: Step, theta: Tensor, inside: bool) -> State:
    """The states (batch * window, ...) at ``theta`` (batch, window) within a step, or at its end."""
    batch, window = theta.shape
    if window == 0:
        return NOTHING
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


def conclude(plan: Plan, carry: Carry, tried: Attempt, emission: Emission) -> Carry:
    """Go on, per sample; samples that wait for more outputs keep everything but their place among the output times."""
    running, waits, control = carry.status == RUNNING, emission.more, tried.control
    moved = tried.accept & ~waits
    t = torch.where(moved, tried.t_next, carry.t)
    y, reuse = settle(tried.step, moved, carry.y, carry.reuse)
    proposed = control.dt
    if plan.lands:
        cut = moved & (tried.dt.abs() < carry.dt.abs()) & (proposed.abs() < carry.dt.abs())
        proposed = torch.where(cut, carry.dt, proposed)
    attempted = running & ~waits
    attempts = carry.attempts + attempted
    short = running & ~control.accept & (proposed.abs() <= _resolution(plan, t))
    status = torch.where(running & (attempts >= plan.limit), int(Status.MAX_STEPS), carry.status)
    status = torch.where(short, int(Status.STEP_UNDERFLOW), status)
    status = torch.where(emission.last, int(Status.SUCCESS), status)
    return Carry(
        t=t,
        y=y,
        reuse=reuse,
        dt=torch.where(waits, carry.dt, proposed),
        history=NOTHING if is_nothing(carry.history) else where(waits, carry.history, control.history),
        upcoming=carry.upcoming + emission.number,
        status=status,
        accepted=carry.accepted + moved,
        attempts=attempts,
        evaluations=carry.evaluations + tried.step.evaluations * attempted,
    )


def _target(plan: Plan, carry: Carry) -> Tensor:
    """The time that each sample's next step must not pass."""
    if not plan.lands or plan.window == 0:
        return plan.last
    return plan.ts.gather(1, carry.upcoming.clamp(max=plan.ts.shape[1] - 1)[:, None])[:, 0]


def _propose(plan: Plan, carry: Carry, target: Tensor) -> tuple[Tensor, Tensor]:
    """The length of the next step, and whether it reaches the target."""
    remaining = target - carry.t
    proposed = carry.dt
    left = remaining / proposed
    lands = left <= 1 + torch.finfo(left.dtype).eps ** 0.5
    if getattr(plan.controller, "adaptive", False):
        proposed = torch.where(left < 2, 0.5 * remaining, proposed)
    dt = torch.where(lands, remaining, proposed)
    return torch.where(carry.status == RUNNING, dt, torch.zeros_like(dt)), lands


def _serve(plan: Plan, carry: Carry, tried: Attempt) -> Emission:
    """The outputs that the step passes, as many as the window holds."""
    count, accept, t_next = plan.ts.shape[1], tried.accept, tried.t_next
    slots = carry.upcoming[:, None] + torch.arange(plan.window + 1, device=accept.device)
    times = plan.ts.gather(1, slots.clamp(max=count - 1))
    passed = (t_next[:, None] - times) * plan.sign[:, None] >= 0
    passed = passed & accept[:, None] & (slots < count)
    slots, times, served = slots[:, :-1], times[:, :-1], passed[:, :-1]
    length = torch.where(accept, tried.dt, torch.ones_like(tried.dt))[:, None]
    theta = ((times - carry.t[:, None]) / length).clamp(0, 1)
    theta = torch.where(times == t_next[:, None], torch.ones_like(theta), theta)
    theta = torch.where(served, theta, torch.zeros_like(theta))
    slots, number = torch.where(served, slots, torch.full_like(slots, count)), served.sum(dim=1)
    last = (carry.status == RUNNING) & (carry.upcoming + number >= count)
    return Emission(theta, slots, number, passed[:, -1], last)


def _only_the_end(plan: Plan, tried: Attempt) -> Emission:
    """The last time counts as served once a step has reached it."""
    none = tried.t_next[:, None][:, :0]
    last = tried.accept & (tried.t_next == plan.last)
    return Emission(none, none.to(torch.int64), last.to(torch.int64), torch.zeros_like(last), last)


def _resolution(plan: Plan, t: Tensor) -> Tensor:
    """The shortest step that still means something: t + dt must differ from t, also when t starts at zero."""
    eps = torch.finfo(t.dtype).eps
    return torch.maximum(4 * eps * t.abs(), eps**2 * plan.span)
