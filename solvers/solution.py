"""What ``solve`` returns."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from jaxtyping import Float, Int
from torch import Tensor

from .state import State


class Status(IntEnum):
    """How the integration of one sample ended."""

    SUCCESS = 0
    MAX_STEPS = 1
    STEP_UNDERFLOW = 2
    NOT_FINITE = 3

    @property
    def message(self) -> str:
        """One sentence that says what happened and what to do."""
        return _MESSAGES[self]


_MESSAGES = {
    Status.SUCCESS: "reached the last output time",
    Status.MAX_STEPS: "used up max_steps before the last output time. Raise max_steps, or loosen rtol and atol",
    Status.STEP_UNDERFLOW: "needed a step below the resolution of t (a stiff problem, a singularity, or NaN from the "
    "vector field). Loosen rtol and atol, use a stepper for stiff problems, or check the vector field",
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
class Solution:
    """States at the output times.

    Attributes:
        ts: output times, (batch, time).
        ys: states there, (batch, time, ...); NaN at times a failed sample did not reach.
        statistics: per-sample counts and status.
        steps: the kept steps, None unless asked for.
    """

    ts: Float[Tensor, "batch time"]
    ys: State
    statistics: Statistics
    steps: KeptSteps | None = None


class SolveError(RuntimeError):
    """Some sample did not reach its last output time; ``solution`` holds what was reached."""

    def __init__(self, solution: Solution) -> None:
        status = solution.statistics.status
        failed = status.nonzero().flatten().tolist()
        named = ", ".join(map(str, failed[:8])) + (", ..." if len(failed) > 8 else "")
        reasons = "; ".join(Status(code).message for code in sorted({int(status[i]) for i in failed}))
        super().__init__(
            f"{len(failed)} of {len(status)} samples did not finish (samples {named}): {reasons}. "
            "throw=False returns what was reached."
        )
        self.solution = solution
