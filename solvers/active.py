"""The samples that a running solve still steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .arguments import select_rows
from .controller import Control
from .event import Watch
from .host import mapped
from .state import State, leaves, real_dtype, select
from .stepper import Stepper

_PER_ROW = (
    *("members", "ts", "forward_ts", "sign", "stops", "jumps", "t", "y", "index", "stop", "target", "output"),
    *("running", "accepted", "attempts", "evaluations", "status"),
)


@dataclass
class Active:
    """Clocks and states of the samples ``members`` of the batch; every tensor has one row for each of them.

    Attributes:
        ts, forward_ts, sign: output times, the same increasing (ts * sign), and direction of time.
        stops, jumps: times that no step crosses, and which of them are jumps of the vector field.
        index, stop: of the next output time and the next stop.
        target: time that the next step must not pass.
        output: the next output time.
        direction: 1 or -1 where all samples go the same way, else 0.
        coarsest: no less than the resolution of time of any sample, ever.
        running: samples that have not finished; the others take steps of length zero until they are dropped.
        accepted, attempts, evaluations, status: what is to be told of each sample, complete once it has finished.
    """

    stepper: Stepper
    members: Tensor
    ts: Tensor
    forward_ts: Tensor
    sign: Tensor
    stops: Tensor
    jumps: Tensor
    t: Tensor
    y: State
    reuse: Any
    control: Control
    index: Tensor
    stop: Tensor
    target: Tensor
    output: Tensor
    running: Tensor
    accepted: Tensor
    attempts: Tensor
    evaluations: Tensor
    status: Tensor
    watch: Watch | None
    lands_on_outputs: bool
    direction: int
    coarsest: float

    def select(self, rows: Tensor) -> Active:
        """These rows alone."""
        control = Control(self.control.dt[rows], self.control.accept[rows], None, select(self.control.history, rows))
        return replace(
            self,
            stepper=select_rows(self.stepper, rows),
            control=control,
            reuse=select(self.reuse, rows),
            watch=None if self.watch is None else self.watch.select(rows),
            **{name: select(getattr(self, name), rows) for name in _PER_ROW},
        )

    def aim(self) -> None:
        """Find the next output time and the time that the next step must not pass."""
        last = self.ts.shape[1] - 1
        self.output = self.ts.gather(1, self.index.clamp(max=last)[:, None])[:, 0]
        self.target = self.output if self.lands_on_outputs else self.ts[:, -1]
        if self.stops.shape[1] > 1:
            stop = self.stops.gather(1, self.stop[:, None])[:, 0]
            at_jump = self.jumps.gather(1, self.stop[:, None])[:, 0]
            before = torch.where(at_jump, stop - self.sign * self.margin(stop), stop)
            self.target = torch.where(self.passed(self.target, before), before, self.target)

    def next_index(self, t: Tensor, moved: Tensor) -> Tensor:
        """The index of each sample's next output time once those that ``moved`` are at ``t``."""
        forward = (t * self.sign)[:, None]
        if mapped():
            ahead = (self.forward_ts <= forward).sum(dim=1)
        else:
            ahead = torch.searchsorted(self.forward_ts, forward, right=True)[:, 0]
        return torch.where(moved, torch.maximum(ahead, self.index), self.index)

    def between(self, index: Tensor) -> tuple[Tensor, Tensor]:
        """The outputs from each sample's present index up to ``index``: their rows and their own indices."""
        if len(index) == 1:  # a single trajectory with many outputs takes the short way
            times = torch.arange(int(self.index), int(index), device=index.device)
            return torch.zeros_like(times), times
        count = index - self.index
        rows = torch.repeat_interleave(count)
        return rows, torch.arange(len(rows), device=rows.device) - (count.cumsum(0) - index)[rows]

    def passed(self, t: Tensor, mark: Tensor) -> Tensor:
        """Which times have come to their mark."""
        if self.direction == 0:
            return (t - mark) * self.sign >= 0
        return t >= mark if self.direction > 0 else t <= mark

    def margin(self, stop: Tensor) -> Tensor:
        """How far beside a jump one step ends and the next begins: a few roundings of t, as a field may see it."""
        coarsest = max(torch.finfo(dtype).eps for dtype in (self.t.dtype, *map(real_dtype, leaves(self.y))))
        scale = torch.maximum(torch.where(torch.isfinite(stop), stop.abs(), 0.0), self.ts[:, 0].abs())
        return 4 * coarsest * scale

    def resolution(self) -> Tensor:
        """The shortest step that still means something: t + dt must differ from t, also when t starts at zero."""
        eps = torch.finfo(self.t.dtype).eps
        span = (self.ts[:, -1] - self.ts[:, 0]).abs()
        return torch.maximum(4 * eps * self.t.abs(), eps**2 * span)
