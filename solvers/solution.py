"""What ``solve`` returns."""

from __future__ import annotations

import copyreg
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from jaxtyping import Float, Int
from torch import Tensor

from .controller import StepSizeController
from .dense import DenseSolution
from .state import State


class Status(IntEnum):
    """How the integration of one sample ended."""

    SUCCESS = 0
    MAX_STEPS = 1
    STEP_UNDERFLOW = 2
    NOT_FINITE = 3
    EVENT = 4

    @property
    def failed(self) -> bool:
        """Whether ``solve`` raises."""
        return self in (Status.MAX_STEPS, Status.STEP_UNDERFLOW)

    @property
    def message(self) -> str:
        """One sentence that says what happened and what to do."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.SUCCESS: "reached the last output time",
    Status.MAX_STEPS: "used up max_steps before the last output time. Raise max_steps, or loosen rtol and atol",
    Status.STEP_UNDERFLOW: "needed a step below the resolution of t (a stiff problem, a singularity, or NaN from the "
    "vector field). Loosen rtol and atol, use a stepper for stiff problems, or check the vector field",
    Status.EVENT: "ended at a terminal event",
    Status.NOT_FINITE: "holds NaN or infinity. Take a smaller dt, or check the stepper and y0",
}


@dataclass(frozen=True, slots=True)
class Statistics:
    """Per-sample counts, each of shape (batch,)."""

    accepted: Int[Tensor, " batch"]
    rejected: Int[Tensor, " batch"]
    evaluations: Int[Tensor, " batch"]
    status: Int[Tensor, " batch"]


@dataclass(frozen=True, slots=True)
class KeptSteps:
    """Every attempted step of a solve, where ``keep_steps=True``; dt is 0 for samples that had finished.

    Attributes:
        t, dt: start and signed length of each step.
        y: state at the start of each step, batch first: (batch, steps, ...).
        ratio: scaled error of each step (accepted where <= 1), NaN without an estimate.
        accepted: whether the sample moved.
    """

    t: Float[Tensor, "batch steps"]
    dt: Float[Tensor, "batch steps"]
    y: State
    ratio: Float[Tensor, "batch steps"]
    accepted: Tensor


@dataclass(frozen=True, slots=True)
class Events:
    """The events that each sample met, in order, padded.

    Attributes:
        t: their times (batch, events), NaN where there is none.
        y: the states there, before any change, (batch, events, ...).
        which: the event's number in the list given to ``solve``, -1 where there is none.
    """

    t: Float[Tensor, "batch events"]
    y: State
    which: Int[Tensor, "batch events"]


@dataclass(frozen=True, slots=True)
class Solution:
    """States at the output times.

    Attributes:
        ts: output times, (batch, time).
        ys: states there, (batch, time, ...); NaN at times a sample did not reach.
        statistics: per-sample counts and status.
        t_end, y_end: where each sample stopped, (batch,) and (batch, ...): at its last time, at a terminal event, or as
            far as it came.
        events: what events were met, None without any to watch for.
        dense: the continuous solution, None unless asked for.
        steps: the kept steps, None unless asked for.
        controller: what chose the steps.
    """

    ts: Float[Tensor, "batch time"]
    ys: State
    statistics: Statistics
    t_end: Float[Tensor, " batch"] | None = None
    y_end: State | None = None
    events: Events | None = None
    dense: DenseSolution | None = None
    steps: KeptSteps | None = None
    controller: StepSizeController | None = None


class SolveError(RuntimeError):
    """Some sample did not reach its last output time; ``solution`` holds what was reached."""

    def __init__(self, solution: Solution, hint: str = "") -> None:
        status = solution.statistics.status
        failed = [i for i, code in enumerate(status.tolist()) if Status(code).failed]
        named = ", ".join(map(str, failed[:8])) + (", ..." if len(failed) > 8 else "")
        reasons = "; ".join(Status(code).message for code in sorted({int(status[i]) for i in failed}))
        super().__init__(
            f"{len(failed)} of {len(status)} samples did not finish (samples {named}): {reasons}. "
            f"{hint}throw=False returns what was reached."
        )
        self.solution = solution

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]
