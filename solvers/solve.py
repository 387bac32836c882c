"""The only time loop in the library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .controller import Control, StepSizeController
from .solution import KeptSteps, Solution, SolveError, Statistics, Status
from .state import State, all_finite, batch_of, leaves, map_state, select, where
from .stepper import Step, Stepper


def solve(
    stepper: Stepper,
    y0: State,
    ts: Tensor,
    controller: StepSizeController,
    *,
    max_steps: int | None = None,
    keep_steps: bool = False,
    throw: bool = True,
    progress: Callable[[float], None] | None = None,
) -> Solution:
    """Step ``y0`` from ``ts[0]`` to ``ts[-1]`` and return the states at ``ts``.

    Each sample keeps its own clock, step length and status, so that batching never changes a sample's result. Output
    times inside a step are read off the stepper's dense output where it has one; otherwise the steps land on them.
    Nothing is evaluated past a sample's last output time.

    Args:
        stepper: ``(t, dt, y) -> Step``: a numerical scheme, a learned operator or a wrapper of one.
        y0: the state at ``ts[0]``: a tensor of shape (batch, ...), or a tuple or dict of such tensors.
        ts: output times, strictly increasing or strictly decreasing, of shape (time,) or, per sample, (batch, time),
            in the stepper's unit of time. Their dtype is that of the loop's clock.
        controller: ``FixedStep(dt)`` or an adaptive one such as ``PIDController(rtol, atol)``.
        max_steps: attempted steps after which a sample stops, None for no bound.
        keep_steps: also return every attempted step.
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
    loop = _Loop.begin(stepper, y0, ts, controller, keep_steps)
    while bool(loop.active.any()):
        loop.advance(max_steps)
        if progress is not None:
            progress(loop.done_fraction())
    solution = loop.finish()
    unfinished = (solution.statistics.status == Status.MAX_STEPS) | (
        solution.statistics.status == Status.STEP_UNDERFLOW
    )
    if throw and bool(unfinished.any()):
        raise SolveError(solution)
    return solution


@dataclass
class _Loop:
    """The state of a running solve; every tensor is per sample."""

    stepper: Stepper
    controller: StepSizeController
    ts: Tensor
    t: Tensor
    y: State
    reuse: Any
    control: Control
    active: Tensor
    index: Tensor  # of the next output time
    status: Tensor
    accepted: Tensor
    rejected: Tensor
    evaluations: Tensor
    outputs: _Outputs
    dense: bool  # outputs are interpolated; otherwise the steps land on them
    kept: list[tuple[Tensor, Tensor, State, Tensor, Tensor]] | None

    @classmethod
    def begin(cls, stepper: Stepper, y0: State, ts: Tensor, controller: StepSizeController, keep_steps: bool) -> _Loop:
        t, span = ts[:, 0], ts[:, -1] - ts[:, 0]
        start = getattr(stepper, "start", None)
        reuse = None if start is None else start(t, y0)
        counts = torch.zeros_like(t, dtype=torch.int64)
        outputs = _Outputs()
        outputs.add(torch.arange(len(t), device=t.device), torch.zeros_like(counts), y0)
        return cls(
            stepper=stepper,
            controller=controller,
            ts=ts,
            t=t,
            y=y0,
            reuse=reuse,
            control=controller.start(stepper, t, y0, span, reuse),
            active=torch.full_like(counts, ts.shape[1] > 1, dtype=torch.bool),
            index=torch.ones_like(counts),
            status=counts.clone(),
            accepted=counts.clone(),
            rejected=counts.clone(),
            evaluations=counts.clone() + (reuse is not None),
            outputs=outputs,
            dense=getattr(stepper, "dense_order", None) is not None,
            kept=[] if keep_steps else None,
        )

    def advance(self, max_steps: int | None) -> None:
        """Attempt one step for every active sample."""
        if max_steps is not None:
            self._stop(self.active & (self.accepted + self.rejected >= max_steps), Status.MAX_STEPS)
            if not bool(self.active.any()):
                return
        dt, target, lands = self._choose_step()
        step = self._attempt(dt)
        control = self.controller(step, self.y, dt, self.control)
        accept = self.active & control.accept
        self._record(step, dt, control)
        t_next = torch.where(lands, target, self.t + dt)
        self._emit(step, dt, t_next, accept, lands)
        self._move(step, dt, t_next, accept, control)

    def done_fraction(self) -> float:
        """How much of the time span lies behind the mean sample."""
        span = self.ts[:, -1] - self.ts[:, 0]
        return float(((self.t - self.ts[:, 0]) / span).mean())

    def finish(self) -> Solution:
        ys = self.outputs.gather(self.y, self.ts.shape)
        finite = all_finite(ys)
        status = torch.where((self.status == 0) & ~finite, int(Status.NOT_FINITE), self.status)
        statistics = Statistics(self.accepted, self.rejected, self.evaluations, status)
        return Solution(ts=self.ts, ys=ys, statistics=statistics, steps=self._kept_steps())

    def _choose_step(self) -> tuple[Tensor, Tensor, Tensor]:
        """The step to attempt, the time it must not pass, and whether it reaches it."""
        last = self.ts.shape[1] - 1
        index = torch.full_like(self.index, last) if self.dense else self.index.clamp(max=last)
        target = self.ts.gather(1, index[:, None])[:, 0]
        remaining = target - self.t
        # A step that would leave a sliver is stretched over it, and rounding in t never adds one.
        slack = 1 + torch.finfo(self.t.dtype).eps ** 0.5
        proposed = self.control.dt
        lands = remaining.abs() <= proposed.abs() * slack
        if getattr(self.controller, "adaptive", False):
            # Two equal steps to the next output instead of a whole one and a sliver, which costs as much.
            proposed = torch.where(remaining.abs() < 2 * proposed.abs(), 0.5 * remaining, proposed)
        dt = torch.where(lands, remaining, proposed)
        return torch.where(self.active, dt, torch.zeros_like(dt)), target, lands

    def _attempt(self, dt: Tensor) -> Step:
        if self.reuse is None:
            return self.stepper(self.t, dt, self.y)
        return self.stepper(self.t, dt, self.y, self.reuse)  # type: ignore[call-arg]

    def _emit(self, step: Step, dt: Tensor, t_next: Tensor, accept: Tensor, lands: Tensor) -> None:
        """Store the states at the output times that this step reached."""
        if not self.dense:
            rows = (accept & lands).nonzero().flatten()
            self.outputs.add(rows, self.index[rows], step.y if len(rows) == len(dt) else select(step.y, rows))
            self.index = self.index + (accept & lands)
            return
        forward = torch.sign(dt)[:, None]
        reached = accept[:, None] & ((t_next[:, None] - self.ts) * forward >= 0)
        column = torch.arange(self.ts.shape[1], device=dt.device)
        reached &= column >= self.index[:, None]
        rows, times = reached.nonzero(as_tuple=True)
        if len(rows):
            theta = ((self.ts[rows, times] - self.t[rows]) / dt[rows]).clamp(0, 1)
            at_end = self.ts[rows, times] == t_next[rows]
            if step.dense is None:
                raise ValueError(f"{type(self.stepper).__name__} declares a dense_order but its Step has dense=None.")
            inside = step.dense(theta, rows)
            self.outputs.add(rows, times, where(at_end, select(step.y, rows), inside))
        self.index = self.index + reached.sum(dim=1)

    def _move(self, step: Step, dt: Tensor, t_next: Tensor, accept: Tensor, control: Control) -> None:
        """Accept or reject, per sample, and choose the next length."""
        if bool(accept.all()):
            self.t, self.y, self.reuse = t_next, step.y, step.reuse
        else:
            self.t = torch.where(accept, t_next, self.t)
            self.y = where(accept, step.y, self.y)
            if self.reuse is not None:
                self.reuse = where(accept, step.reuse, self.reuse)
        self.evaluations += step.evaluations * self.active
        self.accepted += accept
        self.rejected += self.active & ~accept
        # A step cut short to land says nothing against the longer one that had been proposed.
        cut = accept & (dt.abs() < self.control.dt.abs()) & (control.dt.abs() < self.control.dt.abs())
        proposed = torch.where(cut, self.control.dt, control.dt)
        self.control = Control(dt=proposed, accept=control.accept, ratio=control.ratio, history=control.history)
        self._stop(self.active & (self.index >= self.ts.shape[1]), Status.SUCCESS)
        self._stop(self.active & ~accept & (proposed.abs() <= self._resolution()), Status.STEP_UNDERFLOW)

    def _resolution(self) -> Tensor:
        """The shortest step that still means something: t + dt must differ from t, also when t starts at zero."""
        eps = torch.finfo(self.t.dtype).eps
        span = (self.ts[:, -1] - self.ts[:, 0]).abs()
        return torch.maximum(4 * eps * self.t.abs(), eps**2 * span)

    def _stop(self, which: Tensor, status: Status) -> None:
        self.status = torch.where(which, int(status), self.status)
        self.active = self.active & ~which

    def _record(self, step: Step, dt: Tensor, control: Control) -> None:
        if self.kept is not None:
            ratio = torch.full_like(dt, torch.nan) if control.ratio is None else control.ratio
            self.kept.append((self.t, dt, self.y, ratio, control.accept & self.active))

    def _kept_steps(self) -> KeptSteps | None:
        if not self.kept:
            return None
        columns = zip(*self.kept, strict=True)
        t, dt, y, ratio, accepted = (map_state(lambda *parts: torch.stack(parts, dim=1), *column) for column in columns)
        return KeptSteps(t=t, dt=dt, y=y, ratio=ratio, accepted=accepted)


@dataclass
class _Outputs:
    """Collected (sample, time, state) entries; scattered into place once, at the end."""

    rows: list[Tensor] = field(default_factory=list)
    times: list[Tensor] = field(default_factory=list)
    states: list[State] = field(default_factory=list)

    def add(self, rows: Tensor, times: Tensor, state: State) -> None:
        if len(rows):
            self.rows.append(rows)
            self.times.append(times)
            self.states.append(state)

    def gather(self, like: State, shape: torch.Size) -> State:
        """The states (batch, time, ...), NaN where nothing was stored."""
        if self._in_step(shape):
            return map_state(lambda *parts: torch.stack(parts, dim=1), *self.states)
        index = torch.cat(self.rows), torch.cat(self.times)

        def scatter(leaf: Tensor, *parts: Tensor) -> Tensor:
            hole = torch.nan if leaf.is_floating_point() or leaf.is_complex() else 0
            empty = torch.full((*shape, *leaf.shape[1:]), hole, dtype=parts[0].dtype, device=leaf.device)
            return empty.index_put(index, torch.cat(parts))

        return map_state(scatter, like, *self.states)

    def _in_step(self, shape: torch.Size) -> bool:
        """Whether every entry holds all samples at the next output time."""
        whole = len(self.rows) == shape[1] and all(len(rows) == shape[0] for rows in self.rows)
        return whole and all(bool((times == k).all()) for k, times in enumerate(self.times))


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
    if not bool(torch.isfinite(ts).all()):
        raise ValueError("Expected finite ts, got NaN or infinity.")
    gaps = ts.diff(dim=1)
    if not bool(((gaps > 0).all(dim=1) | (gaps < 0).all(dim=1)).all()):
        raise ValueError("Expected ts strictly increasing or strictly decreasing, got repeated or unordered times.")
    return ts
