"""Steps whose outputs are read later: those of many steps at once cost little more than those of one."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .active import Active
from .host import mapped, plain
from .outputs import Outputs
from .state import State, leaves, map_state
from .stepper import Interpolant

_MOST_STEPS, _MOST_NUMBERS = 128, 2**16  # that are kept, and of each of their slopes
_FEWEST_STEPS = 4  # states of which fewer fit are read at once


class _Passed(NamedTuple):
    """An attempted step of all active samples; those that ``moved`` went on to ``y`` at ``t_next``."""

    t: Tensor
    dt: Tensor
    t_next: Tensor
    moved: Tensor
    y: State
    dense: Interpolant


class _Asked(NamedTuple):
    """Outputs: row, number of the output time and of the step that it lies in, and how far inside."""

    rows: Tensor
    times: Tensor
    steps: Tensor
    theta: Tensor

    def where(self, mask: Tensor) -> _Asked:
        return _Asked(*(column[mask] for column in self))


@dataclass
class Trail:
    """The last steps of the active samples, which stay the same ones from one reading to the next.

    A sample's last output is not read: it is the state that the sample ends with.

    Attributes:
        room: how many steps are kept before they have to be read; none where no sample has an output on its way.
    """

    room: int
    steps: list[_Passed] = field(default_factory=list)

    @classmethod
    def of(cls, active: Active) -> Trail | None:
        """A trail where outputs may be read later than their steps are taken.

        The stepper has to be able to ``join`` its steps, itself: one that it wraps does not count.
        """
        fitting = _MOST_NUMBERS // max(1, *(leaf.numel() for leaf in leaves(active.y)))
        free = active.watch is None and active.stops.shape[1] == 1 and not active.lands_on_outputs
        outputs = active.ts.shape[1] - 1
        if mapped() or not free or fitting < _FEWEST_STEPS or not outputs or not hasattr(type(active.stepper), "join"):
            return None
        return cls(min(fitting, _MOST_STEPS) if outputs > 1 else 0)

    def add(self, active: Active, dt: Tensor, t_next: Tensor, moved: Tensor, y: State, dense: Any) -> bool:
        """Keep the step that the samples are about to go; whether it is time to read."""
        if self.room:
            self.steps.append(_Passed(active.t, dt, t_next, moved, y, dense))
        return len(self.steps) == self.room > 0

    def read(self, active: Active, outputs: Outputs) -> None:
        """Store the outputs that lie in the steps kept, and forget the steps."""
        steps, self.steps = self.steps, []
        if not steps:
            return
        asked = _outputs_of(active, steps)
        inside = asked.theta < 1
        at_end, asked = asked.where(~inside), asked.where(inside)
        if len(at_end.rows):
            _store(outputs, active, at_end, _at_ends(steps, at_end))
        if len(asked.rows):
            _store(outputs, active, asked, _within(active, steps, asked))


def _outputs_of(active: Active, steps: list[_Passed]) -> _Asked:
    """The outputs but the last that these steps pass; the samples' indices move on past them."""
    many, last = len(steps), active.ts.shape[1] - 1
    ends = torch.stack([step.t_next for step in steps], dim=1)
    moved = torch.stack([step.moved for step in steps], dim=1)
    forward = ends.detach() * active.sign[:, None]
    ahead = torch.searchsorted(active.forward_ts, forward, right=True).clamp(max=last)
    index = torch.cat([active.index[:, None], torch.where(moved, ahead, 0)], dim=1).cummax(dim=1).values
    active.index = index[:, -1]
    count = index.diff(dim=1).flatten()
    cells = torch.repeat_interleave(count)
    times = torch.arange(len(cells), device=cells.device) - (count.cumsum(0) - index[:, 1:].flatten())[cells]
    rows, numbers = cells // many, cells % many
    t = torch.stack([step.t for step in steps], dim=1)[rows, numbers]
    dt = torch.stack([step.dt for step in steps], dim=1)[rows, numbers]
    wanted = active.ts[rows, times]
    theta = torch.where(wanted == ends[rows, numbers], 1.0, ((wanted - t) / dt).clamp(0, 1))
    return _Asked(rows, times, numbers, theta)


def _at_ends(steps: list[_Passed], asked: _Asked) -> State:
    """The end states of the steps asked for."""
    used, rows = _used(steps, asked)
    return map_state(lambda *ends: torch.cat(ends).index_select(0, rows), *(step.y for step in used))


def _within(active: Active, steps: list[_Passed], asked: _Asked) -> State:
    """Dense output of the steps asked for, what it evaluates counted to the samples that ask for it."""
    used, rows = _used(steps, asked)
    dense = active.stepper.join([step.dense for step in used])  # type: ignore[attr-defined]
    state = dense(asked.theta, rows)
    spent = getattr(dense, "evaluations", 0)
    if spent:
        cells = asked.rows * len(steps) + asked.steps
        once = active.evaluations.new_zeros(len(active.t) * len(steps)).index_fill(0, cells, spent)
        active.evaluations = active.evaluations + once.reshape(-1, len(steps)).sum(dim=1)
    return state


def _used(steps: list[_Passed], asked: _Asked) -> tuple[list[_Passed], Tensor]:
    """The steps that are asked for, and the rows asked for of all of them, one step's rows after the other's."""
    count = torch.bincount(plain(asked.steps), minlength=len(steps))
    used = [step for step, wanted in zip(steps, count.tolist()) if wanted]
    place = (count > 0).cumsum(0) - 1
    return used, place[asked.steps] * len(steps[0].t) + asked.rows


def _store(outputs: Outputs, active: Active, asked: _Asked, state: State) -> None:
    outputs.add(active.members[asked.rows], asked.times, state)
