"""A whole solve as one compiled program."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from ..controller import Control, StepSizeController
from ..solution import Solution, SolveError, Statistics, Status
from ..state import State, all_finite, batch_of, leaves, map_state, where
from ..stepper import Stepper
from .gradient import march_recorded
from .iteration import NOTHING, RUNNING, Carry, Plan, is_nothing, take
from .native import solve_native
from .program import contiguous, run_march

_NARROW = 16  # numbers per sample under which a vector field is likely to cost no more than the dense output
_NO_LIMIT = torch.iinfo(torch.int64).max


def solve_compiled(
    stepper: Stepper,
    y0: State,
    ts: Tensor,
    controller: StepSizeController,
    *,
    max_steps: int | None = None,
    throw: bool = True,
    backend: str = "inductor",
) -> Solution:
    """``solve`` as one compiled program: the same steps and results up to rounding, without the overhead of each.

    A small system that asks for no gradients becomes a native function, within a second or two; anything else one
    loop of the torch compiler, in ten seconds or more, about twice that with gradients. Later calls and new values of
    parameters compile nothing. What the stepper and the controller hold as Python numbers is compiled in, and compiled
    again when it has changed.

    Gradients reach y0 and every tensor that the stepper or its vector field holds or closes over. They are those of
    the eager loop with ``Direct()``; second derivatives and gradients of ``ts`` are not available.

    Args:
        stepper, y0, ts, controller, max_steps, throw: as for ``solve``; ts of shape (time,) or (batch, time).
        backend: of ``torch.compile``; another one than "inductor" makes no native functions.

    Raises:
        ValueError: the stepper, its vector field or the controller branches on the values of tensors or does otherwise
            what cannot be compiled; or gradients of ``ts`` or of the controller's steps are asked for.
        SolveError: as for ``solve``.
        RuntimeError: the loop is needed and torch older than 2.13, whose compiled loops may not write into buffers.
    """
    batch = batch_of(y0)
    ts = torch.as_tensor(ts, device=leaves(y0)[0].device)
    ts = (ts.expand(batch, -1) if ts.dim() == 1 else ts).contiguous()
    if hasattr(stepper, "without_branches"):
        stepper = stepper.without_branches(ts, controller)
    plan = _plan(stepper, y0, ts, controller, max_steps)
    carry = _begin(plan, y0)
    _check_constants(ts, carry)
    carry, ys = _march(plan, y0, carry, backend)
    solution = _collect(plan, carry, ys)
    if throw and any(Status(code).failed for code in solution.statistics.status.unique().tolist()):
        raise SolveError(solution)
    return solution


def _march(plan: Plan, y0: State, carry: Carry, backend: str) -> tuple[Carry, State]:
    """Iterate to the end: the last carry, and the states at the output times."""
    gradients = torch.is_grad_enabled() and _asks_gradients(plan.stepper, carry)
    running = bool((carry.status == RUNNING).any())
    if running and not gradients and backend == "inductor":
        ys = map_state(lambda leaf: _room(leaf, plan.ts.shape[1]), y0)
        ended = solve_native(plan, carry, ys)
        if ended is not None:
            return ended, ys
    if torch.__version__ < "2.13":  # compares versions, not letters
        raise RuntimeError(
            f"This compiled solve needs torch 2.13 or newer, here is {torch.__version__}. Use compiled=False."
        )
    outputs = map_state(lambda leaf: _room(leaf, plan.ts.shape[1] + 1), y0) if plan.window else NOTHING
    if gradients:
        carry, outputs = march_recorded(plan, carry, outputs, backend)
    elif running:
        carry, _ = run_march(plan, carry, outputs, None, backend)
    return carry, _outputs(plan, y0, carry, outputs)


def _plan(stepper: Stepper, y0: State, ts: Tensor, controller: StepSizeController, max_steps: int | None) -> Plan:
    backwards = ts[:, -1] < ts[:, 0]
    lands = getattr(stepper, "dense_order", None) is None
    only_the_end = ts.shape[1] <= 2
    inside = not lands and not only_the_end  # the last time is always the end of a step
    return Plan(
        stepper=stepper,
        controller=controller,
        ts=ts,
        sign=torch.where(backwards, -1.0, 1.0).to(ts.dtype),
        last=ts[:, -1].clone(),
        span=(ts[:, -1] - ts[:, 0]).abs(),
        limit=torch.tensor(_NO_LIMIT if max_steps is None else max_steps, device=ts.device),
        window=0 if only_the_end else _window(y0, ts.shape[1]) if inside else 1,
        lands=lands,
        inside=inside,
    )


def _window(y0: State, count: int) -> int:
    """How many output times one iteration serves.

    Every slot costs an evaluation of the dense output in every iteration, and a step that passes more output times
    than there are slots costs an iteration for each further window.
    """
    narrow = sum(leaf.shape[1:].numel() for leaf in leaves(y0)) < _NARROW
    return min(max(count // 32, 1), 8) if narrow else min(count - 1, 16)


def _begin(plan: Plan, y0: State) -> Carry:
    """All samples at their first time."""
    t = contiguous(plan.ts[:, 0])
    start: Any = getattr(plan.stepper, "start", None)
    reuse = None if start is None else start(t, y0)
    control: Control = plan.controller.start(plan.stepper, t, y0, plan.ts[:, -1] - plan.ts[:, 0], reuse)
    counts = torch.zeros_like(t, dtype=torch.int64)
    status = torch.where(plan.limit <= 0, int(Status.MAX_STEPS), torch.full_like(counts, RUNNING))
    return Carry(
        t=t,
        y=map_state(contiguous, y0),
        reuse=NOTHING if reuse is None else map_state(contiguous, reuse),
        dt=contiguous(control.dt),
        history=NOTHING if control.history is None else pytree.tree_map(contiguous, control.history),
        upcoming=counts + 1,
        status=status if plan.ts.shape[1] > 1 else counts.clone(),
        accepted=counts.clone(),
        attempts=counts.clone(),
        evaluations=counts + (reuse is not None),
    )


def _check_constants(ts: Tensor, carry: Carry) -> None:
    """Raise if gradients are asked for that a compiled solve does not compute."""
    if not torch.is_grad_enabled():
        return
    for name, asked in (("ts", ts.requires_grad), ("the controller's dt", carry.dt.requires_grad)):
        if asked:
            raise ValueError(
                f"Expected {name} without gradients in a compiled solve. Detach it, or use compiled=False."
            )


def _asks_gradients(stepper: Any, carry: Carry) -> bool:
    """Whether a step taken from ``carry`` depends on a tensor that requires gradients."""
    given = [*leaves(carry.y), *leaves(carry.reuse)]
    declared = stepper.parameters() if isinstance(stepper, torch.nn.Module) else ()
    if any(tensor.requires_grad for tensor in (*declared, *given)):
        return True
    if not is_nothing(carry.reuse):  # made by the same field
        return False
    return any(leaf.requires_grad for leaf in leaves(take(stepper, carry.t, carry.dt, carry.y, carry.reuse).y))


def _hole(leaf: Tensor) -> float:
    """What stands where nothing was reached."""
    return torch.nan if leaf.is_floating_point() or leaf.is_complex() else 0


def _room(leaf: Tensor, count: int) -> Tensor:
    """NaN in ``count`` places, (batch, count, ...), the initial state in the first."""
    room = leaf.new_full((leaf.shape[0], count, *leaf.shape[1:]), _hole(leaf))
    room[:, 0] = leaf.detach()
    return room


def _collect(plan: Plan, carry: Carry, ys: State) -> Solution:
    broken = (carry.status == Status.SUCCESS) & ~all_finite(ys)
    status = torch.where(broken, int(Status.NOT_FINITE), carry.status)
    counts = carry.accepted, carry.attempts - carry.accepted, carry.evaluations
    return Solution(
        ts=plan.ts,
        ys=ys,
        statistics=Statistics(*counts, status),
        t_end=carry.t,
        y_end=carry.y,
        controller=plan.controller,
    )


def _outputs(plan: Plan, y0: State, carry: Carry, outputs: State) -> State:
    """The states at the output times."""
    if plan.window:
        return map_state(lambda first, leaf: torch.cat([first[:, None], leaf[:, 1:-1]], dim=1), y0, outputs)
    if plan.ts.shape[1] == 1:
        return map_state(lambda first: first[:, None], y0)
    missed = map_state(lambda leaf: torch.full_like(leaf, _hole(leaf)), carry.y)
    end = where(carry.status == Status.SUCCESS, carry.y, missed)
    return map_state(lambda *ends: torch.stack(ends, dim=1), y0, end)
