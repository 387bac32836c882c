"""Exact gradients in bounded memory: some states are stored, the steps between them are taken again.

Sources: A. Griewank, A. Walther, "Algorithm 799: revolve", ACM Trans. Math. Softw. 26 (2000): with s checkpoints and at
most r repetitions of each step, C(s + r, s) steps can be reversed; Q. Wang, P. Moin, G. Iaccarino, "Minimal repetition
dynamic checkpointing algorithm for unsteady adjoint calculation", SIAM J. Sci. Comput. 31 (2009), algorithms 1 and 2:
the same repetitions when the number of steps is not known beforehand, as in adaptive stepping.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from ..controller import StepSizeController
from ..solution import Solution
from ..state import State
from ..stepper import Stepper
from .discrete import replayed
from .protocol import Run, TakenStep
from .replay import Landing, Point, Recorded


class RecursiveCheckpoint:
    """The gradient of ``Direct()``, to rounding, in memory for a chosen number of states.

    The forward pass keeps no graph. The backward pass takes every step once more with gradients, and before that up to
    r times without, where the number of steps is at most C(checkpoints + r, r). It is differentiable once. The vector
    field must give the same result each time it is called with the same arguments (no dropout). Terminal events are
    differentiated too: their times and states in ``t_end``, ``y_end`` and ``events``.

    Args:
        checkpoints: states held at a time beside the current one, at least 1. None lets their number grow as the square
            root of twice the number of steps, so that no step is taken more than twice again without gradients.

    Raises:
        ValueError: checkpoints < 1.
    """

    def __init__(self, checkpoints: int | None = None) -> None:
        if checkpoints is not None and checkpoints < 1:
            raise ValueError(f"Expected checkpoints >= 1 or None, got {checkpoints}.")
        self.checkpoints = checkpoints

    def __call__(
        self, run: Run, stepper: Stepper, y0: State, ts: Float[Tensor, "batch time"], controller: StepSizeController
    ) -> Solution:
        return replayed(_Tape(Checkpoints(self.checkpoints)), run, stepper, y0, ts, controller)


class _Tape:
    """The history of a solve, with the points before some of its steps."""

    name = "RecursiveCheckpoint"
    takes_events = True

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.records: list[Recorded] = []
        self.checkpoints = checkpoints

    def observe(self, taken: TakenStep, landing: Landing | None) -> None:
        self.checkpoints.add(len(self.records), Point(taken.members, taken.y, taken.reuse))
        self.records.append(Recorded.of(taken, self.records[-1] if self.records else None, landing))

    def backwards(self) -> Iterator[tuple[Recorded, Point]]:
        checkpoints = self.checkpoints  # used up but for the first: a second backward pass starts from that
        for index in range(len(self.records) - 1, -1, -1):
            at, point = checkpoints.rewind(index)
            while at < index:
                _, point, _ = self.records[at].repeat(point.of(self.records[at].members), self.records[at].clock)
                at += 1
                checkpoints.add(at, point)
            yield self.records[index], point.of(self.records[index].members)


@dataclass(frozen=True)
class _Held:
    index: int
    level: int
    point: Point


class Checkpoints:
    """The points before some of the steps 0, 1, 2, ..., chosen as they come.

    Each has a level and is dispensable once a later one has a higher level. While none is dispensable, a new point
    takes the place of the last one, one level higher.

    Args:
        slots: how many are held beside the last, None for a number that grows as the square root of twice the steps.

    Attributes:
        held: in order; the first is never given up.
    """

    def __init__(self, slots: int | None) -> None:
        self.slots = slots
        self.held: list[_Held] = []
        self._steps = 0

    def add(self, index: int, point: Point) -> None:
        """Hold the point before step ``index``, later than all held ones, and give up another if there is no room."""
        self._steps = max(self._steps, index + 1)
        level = 0
        if len(self.held) >= self._room():
            dispensable = self._dispensable()
            if dispensable is None:
                level = self.held.pop().level + 1
            else:
                del self.held[dispensable]
        self.held.append(_Held(index, level, point))

    def rewind(self, index: int) -> tuple[int, Point]:
        """Forget the points after ``index``; the last one left, and its index."""
        while self.held[-1].index > index:
            self.held.pop()
        return self.held[-1].index, self.held[-1].point

    def _room(self) -> int:
        return 1 + (self.slots or 1 + math.isqrt(2 * self._steps))

    def _dispensable(self) -> int | None:
        highest = -1
        for position in range(len(self.held) - 1, 0, -1):
            if self.held[position].level < highest:
                return position
            highest = max(highest, self.held[position].level)
        return None
