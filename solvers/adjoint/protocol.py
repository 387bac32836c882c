"""What an adjoint is: it runs the time loop and returns a solution that can be differentiated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..controller import StepSizeController
from ..event import Hit, Watch
from ..solution import Solution
from ..state import State
from ..stepper import Step, Stepper


@dataclass(frozen=True, slots=True)
class TakenStep:
    """An attempted step that moved some sample, as the running loop sees it: one row for each sample that it holds.

    Attributes:
        stepper: the stepper for these samples.
        members: which samples of the batch the rows are, increasing.
        t, dt, t_next: start, signed length and end.
        accept: rows that moved.
        y, reuse: state at t, and what the stepper was handed from the step before.
        step: what it returned.
        rows, times, theta: the outputs that lie in this step: row, index of the output time, and how far inside;
            exactly 1 stands for the step's end state, anything less for its dense output.
        hit, watch: the events that the step ends on, and what watches for them; None where there are none. The step's
            state and t + dt are as the dense output located them: ``settle`` gives those of the event itself.
    """

    stepper: Stepper
    members: Int[Tensor, " rows"]
    t: Float[Tensor, " rows"]
    dt: Float[Tensor, " rows"]
    t_next: Float[Tensor, " rows"]
    accept: Bool[Tensor, " rows"]
    y: State
    reuse: Any
    step: Step
    rows: Int[Tensor, " outputs"]
    times: Int[Tensor, " outputs"]
    theta: Float[Tensor, " outputs"]
    hit: Hit | None = None
    watch: Watch | None = None


Observer = Callable[[TakenStep], None]


@runtime_checkable
class Run(Protocol):
    """The time loop with everything bound but the problem; it differentiates through whatever has gradients."""

    def __call__(
        self,
        stepper: Stepper,
        y0: State,
        ts: Float[Tensor, "batch time"],
        controller: StepSizeController,
        *,
        observe: Observer | None = None,
        backward: bool = False,
    ) -> Solution:
        """Solve.

        Args:
            observe: told of every step that moved some sample, in order.
            backward: this solve is part of a backward pass: it watches for no events, keeps and reports nothing.
        """
        ...


@runtime_checkable
class Adjoint(Protocol):
    """``(run, stepper, y0, ts, controller) -> Solution``, where gradients of ``ys`` reach y0, ts and all parameters."""

    def __call__(
        self, run: Run, stepper: Stepper, y0: State, ts: Float[Tensor, "batch time"], controller: StepSizeController
    ) -> Solution: ...
