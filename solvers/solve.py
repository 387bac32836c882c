"""The only time loop in the library."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from .active import Active
from .adjoint.protocol import Adjoint, Observer
from .arguments import bind
from .controller import StepSizeController
from .dense import DenseSolution
from .event import Event, Watch
from .host import all_of, any_of, mapped, plain
from .loop import Loop
from .outputs import MappedOutputs, Outputs
from .solution import Events, KeptSteps, Solution, SolveError, Statistics, Status
from .state import State, all_finite, batch_of, leaves, map_state, select
from .stepper import Stepper
from .stiffness import STIFF_HINT
from .stops import Stops


def solve(
    stepper: Stepper,
    y0: State,
    ts: Tensor,
    controller: StepSizeController,
    *,
    args: tuple[Any, ...] = (),
    event: Event | Sequence[Event] = (),
    stops: Stops | None = None,
    adjoint: Adjoint | None = None,
    max_steps: int | None = None,
    keep_steps: bool = False,
    keep_dense: bool = False,
    compiled: bool = False,
    throw: bool = True,
    progress: Callable[[float], None] | None = None,
) -> Solution:
    """Step ``y0`` from ``ts[0]`` to ``ts[-1]`` and return the states at ``ts``.

    Each sample keeps its own clock, step length and status, so that batching never changes a sample's result. Output
    times inside a step are read off the stepper's dense output where it has one; otherwise the steps land on them.
    Nothing is evaluated past a sample's last output time, and a sample that has finished is dropped from the
    computation. (A vector field that holds a tensor with one entry per sample cannot follow that, and is then evaluated
    for the whole batch to the end: hand it over as ``args=(PerSample(tensor),)``.)

    Args:
        stepper: ``(t, dt, y) -> Step``: a numerical scheme, a learned operator or a wrapper of one.
        y0: the state at ``ts[0]``: a tensor of shape (batch, ...), or a tuple or dict of such tensors.
        ts: output times, strictly increasing or strictly decreasing, of shape (time,) or, per sample, (batch, time),
            in the stepper's unit of time. Their dtype is that of the loop's clock.
        controller: ``FixedStep(dt)`` or an adaptive one such as ``PIDController(rtol, atol)``.
        args: extra arguments of the stepper's vector field, ``field(t, y, *args)``; ``PerSample(tensor)`` for one that
            has an entry for each sample.
        event: what ends a sample or changes its state where a condition passes through zero; the first one counts.
        stops: times that steps land on, such as the jumps of the vector field.
        adjoint: how gradients are computed, by default by differentiating every step (``Direct()``).
        max_steps: attempted steps after which a sample stops, None for no bound.
        keep_steps: also return every attempted step.
        keep_dense: also return the continuous solution, ``solution.dense(times)``.
        compiled: carry out the whole solve as one compiled program: the same steps and results up to rounding, without
            the overhead of each. The first call of its kind takes a second or two for a small system, else some ten
            seconds or more.
        throw: raise if a sample fails to reach its last time; False returns what was reached and its status.
        progress: called after every step with the done fraction of the whole time span.

    Returns:
        The states (batch, time, ...) with per-sample statistics. A sample whose states are not finite has the
        status ``NOT_FINITE``; that alone raises nothing, since a diverged rollout is a result.

    Raises:
        ValueError: y0, ts or the combination of stepper and controller is unsound; nothing has been computed then.
        SolveError: a sample did not reach its last time (with ``throw``); its ``solution`` holds what was reached.
    """
    batch = batch_of(y0)
    ts = _output_times(ts, batch, leaves(y0)[0].device)
    options = _Options(event, stops, args, max_steps, keep_steps, keep_dense, throw, progress)
    stepper = _within(bind(stepper, args, batch), controller)
    if mapped() and (event or stops or keep_dense):
        raise ValueError(
            "Under torch.func.vmap solve has no event, stops or keep_dense. Put the mapped axis in the batch."
        )
    if keep_dense and getattr(stepper, "dense_order", None) is None:
        raise ValueError(f"{type(stepper).__name__} has no dense output to keep. Ask for more output times instead.")
    if compiled:
        _refuse_with_compiled(event=event, stops=stops, adjoint=adjoint, keep_steps=keep_steps, keep_dense=keep_dense)
        from .compiled import solve_compiled  # the compiler is imported by those who use it

        return solve_compiled(stepper, y0, ts, controller, max_steps=max_steps, throw=throw)
    run = partial(_integrate, options)
    return run(stepper, y0, ts, controller) if adjoint is None else adjoint(run, stepper, y0, ts, controller)


@dataclass(frozen=True)
class _Options:
    """What the caller of ``solve`` asked for."""

    event: Event | Sequence[Event]
    stops: Stops | None
    args: tuple[Any, ...]
    max_steps: int | None
    keep_steps: bool
    keep_dense: bool
    throw: bool
    progress: Callable[[float], None] | None


def _integrate(
    options: _Options,
    stepper: Stepper,
    y0: State,
    ts: Tensor,
    controller: StepSizeController,
    *,
    observe: Observer | None = None,
    backward: bool = False,
) -> Solution:
    """The plain loop; in a ``backward`` pass it only computes."""
    if backward:
        options = replace(options, event=(), keep_steps=False, keep_dense=False, progress=None)
    loop = Loop(
        active=_begin(options, stepper, y0, ts, controller),
        controller=controller,
        batch=len(ts),
        keep_steps=options.keep_steps,
        keep_dense=options.keep_dense,
        observe=observe,
    )
    while loop.alive:
        if options.max_steps is not None and loop.attempts >= options.max_steps:
            loop.stop(Status.MAX_STEPS)
            break
        loop.advance()
        if options.progress is not None:
            options.progress(loop.done_fraction())
    solution = _collect(loop, y0, ts)
    if options.throw and _any_failed(solution.statistics.status):
        raise SolveError(solution, f"For {type(stepper).__name__}, {STIFF_HINT} " if loop.stiffness.suspicions else "")
    return solution


def _within(stepper: Stepper, controller: StepSizeController) -> Stepper:
    """The stepper with its inner iterations stopped where the controller's tolerance makes more of them pointless."""
    within = getattr(stepper, "within", None)
    rtol, atol = getattr(controller, "rtol", None), getattr(controller, "atol", None)
    return stepper if within is None or rtol is None or atol is None else within(rtol, atol)


def _any_failed(status: Tensor) -> bool:
    return any(any_of(status == code) for code in Status if code.failed)


def _refuse_with_compiled(**asked: Any) -> None:
    """What a compiled solve does not do.

    Raises:
        ValueError: it is asked for.
    """
    wanted = [name for name, value in asked.items() if value]
    if wanted:
        raise ValueError(f"A compiled solve has no {', '.join(wanted)}. Leave them out, or take compiled=False.")


def _begin(options: _Options, stepper: Stepper, y0: State, ts: Tensor, controller: StepSizeController) -> Active:
    """All samples at their first time."""
    t, span = ts[:, 0], ts[:, -1] - ts[:, 0]
    sign = _sign(ts)
    stops, jumps = (options.stops or Stops()).table(t, ts[:, -1], sign)
    start = getattr(stepper, "start", None)
    reuse = None if start is None else start(t, y0)
    counts = torch.zeros_like(t, dtype=torch.int64)
    events = (options.event,) if isinstance(options.event, Event) else tuple(options.event)
    active = Active(
        stepper=stepper,
        members=torch.arange(len(t), device=t.device),
        ts=ts,
        forward_ts=(ts.detach() * sign[:, None]).contiguous(),
        sign=sign,
        stops=stops,
        jumps=jumps,
        t=t,
        y=y0,
        reuse=reuse,
        control=controller.start(stepper, t, y0, span, reuse),
        index=torch.ones_like(counts),
        stop=((stops - t[:, None]) * sign[:, None] <= 0).sum(dim=1),
        target=t,
        output=t,
        running=torch.ones_like(t, dtype=torch.bool),
        accepted=counts,
        attempts=counts,
        status=counts,
        evaluations=counts + (reuse is not None),
        watch=Watch.begin(events, options.args, t, y0) if events else None,
        lands_on_outputs=getattr(stepper, "dense_order", None) is None,
        direction=1 if all_of(sign > 0) else -1 if all_of(sign < 0) else 0,
        coarsest=5 * torch.finfo(ts.dtype).eps * float(plain(ts.detach()).abs().max()),
    )
    active.aim()
    return active


def _collect(loop: Loop, y0: State, ts: Tensor) -> Solution:
    """What the finished loop has gathered, in the order of the batch."""
    loop.read_trail()
    ended = _together([*loop.ended, loop.active])
    if loop.trail is not None:
        _add_ends(loop.outputs, ended, ts.shape[1] - 1)
    ys = loop.outputs.gather(y0, ts.shape)
    broken = (ended["status"] == Status.SUCCESS) & ~all_finite(ys)
    status = torch.where(broken, int(Status.NOT_FINITE), ended["status"])
    rejected = ended["attempts"] - ended["accepted"]
    return Solution(
        ts=ts,
        ys=ys,
        statistics=Statistics(ended["accepted"], rejected, ended["evaluations"], status),
        t_end=ended["t"],
        y_end=ended["y"],
        events=_events(loop, y0) if loop.active.watch is not None else None,
        dense=DenseSolution(loop.pieces, ts[:, 0], _sign(ts)) if loop.keep_dense else None,
        steps=_kept_steps(loop),
        controller=loop.controller,
    )


def _add_ends(outputs: Outputs | MappedOutputs, ended: dict[str, Any], last: int) -> None:
    """Each finished sample's last output: the state that it ended with."""
    done = ended["status"] == Status.SUCCESS
    if isinstance(outputs, Outputs):
        rows = torch.arange(len(done), device=done.device) if all_of(done) else done.nonzero().flatten()
        state = ended["y"] if len(rows) == len(done) else select(ended["y"], rows)
        outputs.add(rows, torch.full_like(rows, last), state)


def _together(parts: list[Active]) -> dict[str, Any]:
    """What is to be told of the samples, in the order of the batch."""
    names = ("t", "y", "accepted", "attempts", "evaluations", "status")
    if len(parts) == 1:
        return {name: getattr(parts[0], name) for name in names}
    order = torch.cat([part.members for part in parts]).argsort()
    columns = {name: [getattr(part, name) for part in parts] for name in names}
    return {name: map_state(lambda *leaf: torch.cat(leaf)[order], *column) for name, column in columns.items()}


def _sign(ts: Tensor) -> Tensor:
    return torch.where(ts[:, -1] < ts[:, 0], -torch.ones_like(ts[:, 0]), torch.ones_like(ts[:, 0])).detach()


def _events(loop: Loop, y0: State) -> Events:
    """The hits of each sample side by side."""
    count = torch.zeros(loop.batch, dtype=torch.int64, device=leaves(y0)[0].device)
    slots = []
    for members, *_ in loop.hits:
        slots.append(count[members])
        count = count.index_add(0, members, torch.ones_like(members))
    states, times, which = Outputs(), Outputs(), Outputs()
    for (members, t, y, number), slot in zip(loop.hits, slots):
        for collected, value in ((times, t), (states, y), (which, number + 1)):
            collected.add(members, slot, value)
    shape = torch.Size((loop.batch, int(count.max())))
    if not loop.hits:
        empty = map_state(lambda leaf: leaf.new_empty(loop.batch, 0, *leaf.shape[1:]), y0)
        return Events(loop.active.t.new_empty(shape), empty, count.new_empty(shape))
    example = loop.hits[0]
    return Events(times.gather(example[1], shape), states.gather(y0, shape), which.gather(example[3], shape) - 1)


def _kept_steps(loop: Loop) -> KeptSteps | None:
    """The attempted steps (batch, steps, ...); samples that were no longer computed rest where they ended."""
    if not loop.kept:
        return None
    names = ("t", "dt", "y", "ratio", "accepted")
    columns: dict[str, list[Any]] = {name: [] for name in names}
    for kept in loop.kept:
        for name in names:
            value, before = getattr(kept, name), columns[name]
            if len(kept.members) < loop.batch:
                resting = before[-1] if name in ("t", "y") else map_state(torch.zeros_like, before[-1])
                value = map_state(lambda rest, new, at=kept.members: rest.index_put((at,), new), resting, value)
            before.append(value)
    return KeptSteps(**{name: map_state(lambda *p: torch.stack(p, dim=1), *columns[name]) for name in names})


def _output_times(ts: Tensor, batch: int, device: torch.device) -> Tensor:
    """The output times as (batch, time), checked."""
    ts = torch.as_tensor(ts, device=device)
    if not ts.is_floating_point():
        ts = ts.to(torch.get_default_dtype())
    if ts.dim() not in (1, 2) or ts.shape[-1] < 1 or (ts.dim() == 2 and ts.shape[0] != batch):
        raise ValueError(
            f"Expected ts of shape (time,) or ({batch}, time) for y0 of batch {batch}, got {tuple(ts.shape)}."
        )
    ts = ts.expand(batch, -1) if ts.dim() == 1 else ts
    if not all_of(torch.isfinite(ts)):
        raise ValueError("Expected finite ts, got NaN or infinity.")
    gaps = ts.diff(dim=1)
    if not all_of((gaps > 0).all(dim=1) | (gaps < 0).all(dim=1)):
        raise ValueError("Expected ts strictly increasing or strictly decreasing, got repeated or unordered times.")
    return ts
