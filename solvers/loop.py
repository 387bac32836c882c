"""A running solve: every active sample attempts one step, until none is left."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor

from .active import Active
from .adjoint.protocol import Observer, TakenStep
from .controller import Control, StepSizeController
from .dense import Piece
from .event import Hit, settle
from .host import all_of, any_of, count_of, least_of, mapped, plain
from .outputs import MappedOutputs, Outputs
from .solution import Status
from .state import State, leaves, select, where
from .stepper import Step
from .stiffness import StiffnessWatch
from .trail import Trail

_COMPACT_BELOW = 0.75  # of the rows still running, the others are dropped from the computation


@dataclass(frozen=True)
class Kept:
    """An attempted step that the caller asked to keep."""

    members: Tensor
    t: Tensor
    dt: Tensor
    y: State
    ratio: Tensor
    accepted: Tensor


class Landed(NamedTuple):
    """Where an attempted step ends; ``moved`` samples go there, ``lands`` are those that come to a target."""

    step: Step
    dt: Tensor
    t: Tensor
    y: State
    moved: Tensor
    hit: Hit | None
    lands: Tensor | None


@dataclass
class Loop:
    """A running solve.

    Attributes:
        active: the samples that are stepped.
        batch: how many there are in all.
        keep_steps, keep_dense: what to keep beside the outputs.
        observe: told of every step that moves some sample.
        compact: drop finished samples from the computation.
        attempts: steps attempted so far by each sample that still runs.
        spent: evaluations of each of them, where they do not differ.
        left: how many active samples still run.
        mixed, astray: whether some do not, and whether some of these ended before their target.
        trail: the steps whose outputs are still to be read, None where they are read at once.
        ended: samples that have been dropped from the computation.
    """

    active: Active
    controller: StepSizeController
    batch: int
    keep_steps: bool = False
    keep_dense: bool = False
    observe: Observer | None = None
    compact: bool = True
    attempts: int = 0
    spent: int = 0
    left: int = 1
    mixed: bool = False
    astray: bool = False
    outputs: Outputs | MappedOutputs = field(default_factory=Outputs)
    trail: Trail | None = None
    ended: list[Active] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    pieces: list[Piece] = field(default_factory=list)
    hits: list[tuple[Tensor, Tensor, State, Tensor]] = field(default_factory=list)
    stiffness: StiffnessWatch = field(default_factory=StiffnessWatch)
    _whole: Active | None = None  # what to go back to if the vector field refuses a part of the batch

    def __post_init__(self) -> None:
        active = self.active
        self.left = len(active.t)
        if mapped():
            self.outputs, self.compact = MappedOutputs(), False
            self.outputs.put(0, active.running, active.y)
        elif isinstance(self.outputs, Outputs):
            self.outputs.add(active.members, torch.zeros_like(active.members), active.y)
            self.trail = None if self.observe or self.keep_dense else Trail.of(active)
        if active.ts.shape[1] == 1:
            self._finish(active.running, Status.SUCCESS)

    def advance(self) -> None:
        """Attempt one step for every active sample."""
        dt, lands, step = self._attempt()
        active = self.active
        control = self.controller(step, active.y, dt, active.control)
        landed = self._land(step, dt, lands, control)
        self._keep(landed, control)
        emitted = self._emit(landed)
        self._move(landed, control)
        if landed.hit is not None:
            self._pass_events(landed)
        if self.trail is not None:
            self._pass_ends(landed)
        elif emitted or active.stops.shape[1] > 1:
            self._pass_targets(landed)
        if self.stiffness.is_due(self.attempts) and len(landed.moved) == len(self.active.t):
            self.stiffness.look(self.active.stepper, step, landed.dt, landed.moved)
        self._drop_finished()

    def read_trail(self) -> None:
        """Store the outputs of the steps whose outputs have not been read."""
        if self.trail is not None and isinstance(self.outputs, Outputs):
            self.trail.read(self.active, self.outputs)

    def stop(self, status: Status) -> None:
        """End all samples where they are."""
        self._part()
        self._finish(self.active.running, status)

    @property
    def alive(self) -> bool:
        """Whether any sample still runs."""
        return self.left > 0

    def done_fraction(self) -> float:
        """How much of the time span lies behind the mean sample."""
        active = self.active
        behind = (active.t - active.ts[:, 0]) / (active.ts[:, -1] - active.ts[:, 0])
        behind = torch.where(active.running, behind, torch.ones_like(behind))
        return (float(behind.sum()) + self.batch - len(behind)) / self.batch

    def _attempt(self) -> tuple[Tensor, Tensor | None, Step]:
        """A step of every active sample: its length, whether it reaches the target, and the step."""
        dt, lands = self._choose_step()
        if self._whole is None:
            return dt, lands, _call(self.active, dt)
        try:
            step = _call(self.active, dt)
            _check_rows(step.y, len(dt))
        except (RuntimeError, ValueError, IndexError):
            # The field or the stepper holds a tensor with one entry per sample of the whole batch. If that is not the
            # reason, the whole batch fails alike, and says so.
            self.active, self._whole, self.compact, self.mixed = self._whole, None, False, True
            dt, lands = self._choose_step()
            return dt, lands, _call(self.active, dt)
        self._part()
        return dt, lands, step

    def _choose_step(self) -> tuple[Tensor, Tensor | None]:
        """The step to attempt, and whether it reaches the target; None where that is far for all samples."""
        active = self.active
        remaining = active.target - active.t
        proposed = active.control.dt
        left = remaining / proposed
        if self.trail is not None and not self.mixed and least_of(left) >= 2:
            return proposed, None
        # A step that would leave a sliver is stretched over it, and rounding in t never adds one.
        lands = left <= 1 + torch.finfo(left.dtype).eps ** 0.5
        if self._adaptive:
            # Two equal steps to the target instead of a whole one and a sliver, which costs as much.
            proposed = torch.where(left < 2, 0.5 * remaining, proposed)
        dt = torch.where(lands, remaining, proposed)
        # Samples that rest on their target have a step of length zero already.
        if self.mixed and (self.astray or self.trail is None):
            dt = torch.where(active.running, dt, torch.zeros_like(dt))
        return dt, lands

    def _land(self, step: Step, dt: Tensor, lands: Tensor | None, control: Control) -> Landed:
        """Where the step ends: at t + dt, or at an event inside."""
        active = self.active
        self.attempts += 1
        self._count(step)
        moved = control.accept if not self.mixed else control.accept & active.running
        t_next = active.t + dt if lands is None else torch.where(lands, active.target, active.t + dt)
        watch = active.watch
        hit = None if watch is None else watch.search(self._along(step, dt), active.t, dt, moved)
        if watch is None or hit is None:
            return Landed(step, dt, t_next, step.y, moved, None, lands)
        # The step is taken again with its end on the event: of full order there, and differentiable.
        dt = torch.where(hit.mask, hit.theta * dt, dt)
        step = _call(active, dt)
        self._count(step)
        span = active.ts[:, -1] - active.ts[:, 0]
        t_hit, y_hit = settle(watch, hit, active.stepper, step, active.t + dt, span)
        return Landed(step, dt, torch.where(hit.mask, t_hit, t_next), where(hit.mask, y_hit, step.y), moved, hit, lands)

    def _along(self, step: Step, dt: Tensor) -> Callable[[Tensor], State]:
        """The state at t + theta dt within the step: dense output, or the step taken again."""
        rows = torch.arange(len(dt), device=dt.device)
        if step.dense is not None:
            return lambda theta: step.dense(theta, rows)  # type: ignore[misc]
        return lambda theta: _call(self.active, theta * dt).y

    def _count(self, step: Step) -> None:
        if isinstance(step.evaluations, int):
            self.spent += step.evaluations
        else:
            self.active.evaluations = self.active.evaluations + step.evaluations

    def _count_dense(self, step: Step, rows: Tensor) -> None:
        """Add what dense output evaluated, where it has stages of its own, to the samples that asked for it."""
        spent = getattr(step.dense, "evaluations", 0)
        if spent:
            asked = torch.zeros_like(self.active.evaluations).index_fill(0, rows, spent)
            self.active.evaluations = self.active.evaluations + asked

    def _emit(self, landed: Landed) -> bool:
        """Store the states at the output times that this step reached; whether there were any."""
        active = self.active
        if self.trail is not None:
            if self.trail.add(active, landed.dt, landed.t, landed.moved, landed.y, landed.step.dense):
                self.read_trail()
            return False
        passed = active.passed(landed.t, active.output)
        if not any_of(passed) or not any_of(passed & landed.moved):
            self._tell(landed, active.members[:0], active.members[:0], landed.dt[:0])
            return False
        in_step = all_of(landed.moved & (landed.t == active.output))
        index = active.index + 1 if in_step else active.next_index(landed.t, landed.moved)
        if isinstance(self.outputs, MappedOutputs):
            self._emit_mapped(self.outputs, landed, index)
        elif in_step:  # every sample ends on its next output, as fixed steps on common times do
            self.outputs.add(active.members, active.index, landed.y)
            if self.observe is not None:
                rows = torch.arange(len(index), device=index.device)
                self._tell(landed, rows, active.index, torch.ones_like(landed.t))
        else:
            rows, times = active.between(index)
            state, theta = self._inside(landed, active.ts[rows, times], rows)
            self._count_dense(landed.step, rows[theta < 1])
            self.outputs.add(active.members[rows], times, state)
            self._tell(landed, rows, times, theta)
        active.index = index
        return True

    def _emit_mapped(self, outputs: MappedOutputs, landed: Landed, index: Tensor) -> None:
        active = self.active
        for time in range(int(plain(active.index).min()), int(plain(index).max())):
            state, _ = self._inside(landed, active.ts[:, time], torch.arange(len(index), device=index.device))
            outputs.put(time, (active.index <= time) & (time < index), state)

    def _inside(self, landed: Landed, ts: Tensor, rows: Tensor) -> tuple[State, Tensor]:
        """The states of ``rows`` at times ``ts`` within the step, and where in the step they are."""
        active = self.active
        at_end = ts == landed.t[rows]
        # The divisor is never zero where it counts, and a zero elsewhere would spoil gradients.
        dt = torch.where(landed.dt == 0, 1.0, landed.dt)[rows] if self.mixed else landed.dt[rows]
        theta = torch.where(at_end, 1.0, ((ts - active.t[rows]) / dt).clamp(0, 1))
        if all_of(at_end):
            return landed.y if len(rows) == len(landed.dt) else select(landed.y, rows), theta
        if landed.step.dense is None:
            if not mapped():
                name = type(active.stepper).__name__
                raise ValueError(f"{name} declares a dense_order but its Step has dense=None.")
            return landed.y, theta
        return where(at_end, select(landed.y, rows), landed.step.dense(theta, rows)), theta

    def _move(self, landed: Landed, control: Control) -> None:
        """Go on from where the step ended, per sample, with the next length."""
        active, step, moved = self.active, landed.step, landed.moved
        proposed = control.dt
        if active.lands_on_outputs or active.stops.shape[1] > 1:
            # A step cut short to land says nothing against the longer one that had been proposed.
            cut = moved & (landed.dt.abs() < active.control.dt.abs()) & (proposed.abs() < active.control.dt.abs())
            proposed = torch.where(cut, active.control.dt, proposed)
        active.control = Control(proposed, control.accept, control.ratio, control.history)
        if active.watch is not None:
            active.watch = active.watch.moved(landed.t, landed.y, moved, landed.hit)
        active.accepted = active.accepted + moved
        if not self.mixed and all_of(moved):
            active.t, active.y, active.reuse = landed.t, landed.y, step.reuse
            return
        active.t = torch.where(moved, landed.t, active.t)
        active.y = where(moved, landed.y, active.y)
        active.reuse = None if active.reuse is None else where(moved, step.reuse, active.reuse)
        short = (active.running ^ moved) & (proposed.abs() <= active.coarsest)
        if any_of(short) and any_of(short := short & (proposed.abs() <= active.resolution())):
            self._finish(short, Status.STEP_UNDERFLOW)

    def _pass_ends(self, landed: Landed) -> None:
        """Finish the samples at their last time, where that is the only target there is."""
        if landed.lands is not None and any_of(done := landed.moved & landed.lands):
            self._finish(done, Status.SUCCESS)

    def _pass_targets(self, landed: Landed) -> None:
        """Finish the samples at their last time, restart those at a jump, and aim the others at what comes next."""
        active = self.active
        done = active.running & (active.index >= active.ts.shape[1])
        if any_of(done):
            self._finish(done, Status.SUCCESS)
        while active.stops.shape[1] > 1:
            stop = active.stops.gather(1, active.stop[:, None])[:, 0]
            jump = active.jumps.gather(1, active.stop[:, None])[:, 0]
            margin = active.margin(stop)
            there = landed.moved & active.passed(active.t, torch.where(jump, stop - active.sign * margin, stop))
            if not any_of(there):
                break
            active.stop = active.stop + there
            active.t = torch.where(there & jump, stop + active.sign * margin, active.t)
            self._restart(there & jump)
        active.aim()

    def _pass_events(self, landed: Landed) -> None:
        """Record the events of this step; end the samples whose event is terminal, change the states of the others."""
        active, hit = self.active, landed.hit
        if hit is None or active.watch is None:
            return
        rows = hit.mask.nonzero().flatten()
        self.hits.append((active.members[rows], landed.t[rows], select(landed.y, rows), hit.which[rows]))
        terminal = active.watch.terminal(hit.which)
        if any_of(terminal):
            self._finish(terminal & active.running, Status.EVENT)
        going = hit.mask & ~terminal
        if any_of(going):
            active.y = active.watch.change(torch.where(going, hit.which, -1), active.t, active.y)
            active.watch = active.watch.restarted(going, active.t, active.y)
            self._restart(going)

    def _restart(self, mask: Tensor) -> None:
        """Forget what earlier steps left to reuse, for these samples."""
        active = self.active
        if active.reuse is not None and any_of(mask):
            active.reuse = where(mask, active.stepper.start(active.t, active.y), active.reuse)  # type: ignore[attr-defined]
            active.evaluations = active.evaluations + mask

    def _finish(self, mask: Tensor, status: Status) -> None:
        """End these samples, which all run, where they are."""
        active = self.active
        if status != Status.SUCCESS:  # which is what they have
            active.status, self.astray = torch.where(mask, int(status), active.status), True
        active.attempts = torch.add(active.attempts, mask, alpha=self.attempts)
        active.evaluations = torch.add(active.evaluations, mask, alpha=self.spent)
        active.running = active.running ^ mask
        self.left = count_of(active.running)
        self.mixed = self.left < plain(active.running).numel()

    def _drop_finished(self) -> None:
        """Go on with the running samples alone, where enough of the others have gathered."""
        active = self.active
        if self.compact and 0 < self.left <= _COMPACT_BELOW * len(active.t):
            self.read_trail()
            self._whole = active
            self.active = active.select(active.running.nonzero().flatten())
            self.mixed = False

    def _part(self) -> None:
        """Let those go that were dropped: the others have been seen to do without them."""
        if self._whole is not None:
            self.ended.append(self._whole.select((~self._whole.running).nonzero().flatten()))
            self._whole = None

    def _keep(self, landed: Landed, control: Control) -> None:
        active = self.active
        if self.keep_steps:
            ratio = torch.full_like(landed.dt, torch.nan) if control.ratio is None else control.ratio
            self.kept.append(Kept(active.members, active.t, landed.dt, active.y, ratio, landed.moved))
        if self.keep_dense:
            interpolant = landed.step.dense
            if interpolant is None:
                raise ValueError(f"{type(active.stepper).__name__} has no dense output to keep.")
            self.pieces.append(Piece(active.members, active.t, landed.dt, landed.t, landed.moved, interpolant))

    def _tell(self, landed: Landed, rows: Tensor, times: Tensor, theta: Tensor) -> None:
        """Tell the observer of a step that moved some sample."""
        if self.observe is not None and any_of(landed.moved):
            a, (step, dt, t_next, _, moved, hit, _) = self.active, landed
            clock, events = (a.t, dt, t_next, moved), (hit, None if hit is None else a.watch)
            self.observe(TakenStep(a.stepper, a.members, *clock, a.y, a.reuse, step, rows, times, theta, *events))

    @property
    def _adaptive(self) -> bool:
        return getattr(self.controller, "adaptive", False)


def _call(active: Active, dt: Tensor) -> Step:
    if active.reuse is None:
        return active.stepper(active.t, dt, active.y)
    return active.stepper(active.t, dt, active.y, active.reuse)  # type: ignore[call-arg]


def _check_rows(state: State, rows: int) -> None:
    """Raise unless every tensor of a state has that many rows."""
    if any(leaf.shape[0] != rows for leaf in leaves(state)):
        raise ValueError(f"Expected {rows} rows.")
