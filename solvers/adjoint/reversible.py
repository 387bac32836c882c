"""Exact gradients in constant memory, for schemes whose steps can be undone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jaxtyping import Float
from torch import Tensor

from ..controller import StepSizeController
from ..solution import Solution
from ..state import State, map_state, where
from ..stepper import Stepper
from .discrete import replayed
from .protocol import Run, TakenStep
from .replay import Landing, Point, Recorded


class ReversibleAdjoint:
    """Steps back from the end states, undoing each step, and differentiates each step at the state so found.

    For steppers with ``reverse(t, dt, y_next, reuse_next) -> (y, reuse)``, such as the asynchronous leapfrog and
    reversible Heun. What is held does not grow with the number of steps (but for three numbers per sample and step).
    The gradient is that of ``Direct()`` up to the rounding that undoing accumulates. It is differentiable once.

    Sources: J. Zhuang, N. Dvornek, S. Tatikonda, J. Duncan, "MALI: a memory efficient and reverse accurate integrator
    for neural ODEs", ICLR 2021; P. Kidger, J. Foster, X. Li, T. Lyons, "Efficient and accurate gradients for neural
    SDEs", NeurIPS 2021, algorithm 2.

    Raises:
        ValueError: the stepper has no ``reverse``.
    """

    def __call__(
        self, run: Run, stepper: Stepper, y0: State, ts: Float[Tensor, "batch time"], controller: StepSizeController
    ) -> Solution:
        if not hasattr(stepper, "reverse"):
            raise ValueError(
                f"{type(stepper).__name__} cannot undo its steps (it has no reverse). "
                "Use a reversible stepper, or adjoint=RecursiveCheckpoint()."
            )
        return replayed(_Undone(), run, stepper, y0, ts, controller)


class _Undone:
    """The history of a solve that holds its end point alone."""

    name = "ReversibleAdjoint"
    takes_events = False

    def __init__(self) -> None:
        self.records: list[Recorded] = []
        self._last: TakenStep | None = None
        self._end: Point | None = None  # of the whole batch; of samples dropped from the loop, up to date
        self._left: dict[int, Any] = {}  # what step index left to reuse, where some sample then restarted

    def observe(self, taken: TakenStep, landing: Landing | None) -> None:
        record = Recorded.of(taken, self.records[-1] if self.records else None)
        if self._last is None:
            self._end = Point(taken.members, taken.y, taken.reuse)
        elif record.restarted is not None or len(taken.members) < len(self._last.members):
            self._end = self._reached()
            if record.restarted is not None:
                self._left[len(self.records)] = self._end.of(taken.members).reuse
        self._last = taken
        self.records.append(record)

    def backwards(self) -> Iterator[tuple[Recorded, Point]]:
        point = self._reached()
        for index in range(len(self.records) - 1, -1, -1):
            record = self.records[index]
            before = _undo(record, point.of(record.members))
            yield record, before
            if record.restarted is not None:
                reuse = where(record.restarted, self._left[index], before.reuse)
                before = Point(before.members, before.y, reuse)
            point = _merged(point, before)

    def _reached(self) -> Point:
        """Where the whole batch stands after the last step."""
        last = self._last
        if last is None or self._end is None:
            raise RuntimeError("No step has been observed.")
        y = where(last.accept, last.step.y, last.y)
        reuse = None if last.reuse is None else where(last.accept, last.step.reuse, last.reuse)
        return _merged(self._end, Point(last.members, y, reuse))


def _undo(record: Recorded, after: Point) -> Point:
    """The point before a step from the one after it."""
    t, dt = record.clock.t, record.clock.dt
    y, reuse = record.stepper.reverse(t, dt, after.y, after.reuse)  # type: ignore[attr-defined]
    reuse = None if reuse is None else where(record.accept, reuse, after.reuse)
    return Point(after.members, where(record.accept, y, after.y), reuse)


def _merged(whole: Point, part: Point) -> Point:
    """The point of all samples with those of ``part`` moved there."""
    if len(part.members) == len(whole.members):
        return part

    def put(total: Tensor, value: Tensor) -> Tensor:
        return total.index_copy(0, part.members, value)

    reuse = None if whole.reuse is None else map_state(put, whole.reuse, part.reuse)
    return Point(whole.members, map_state(put, whole.y, part.y), reuse)
