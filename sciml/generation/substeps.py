"""Several equal steps as one."""

from __future__ import annotations

import math
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from sciml.solvers.state import State
from sciml.solvers.stepper import Step, Stepper


class Substeps(nn.Module):
    """A stepper that covers dt in ``count`` steps of dt / count.

    All of one length to the last bit, where a loop that lands on output times would cut its last one by a rounding: a
    solver that keeps tables for its dt computes them once.

    Args:
        stepper: takes the steps.
        count: how many, >= 1.
    """

    def __init__(self, stepper: Stepper, count: int) -> None:
        super().__init__()
        self.stepper, self.count = stepper, count
        self.order: int | None = getattr(stepper, "order", None)

    def forward(self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State) -> Step:
        """``count`` steps."""
        short = dt / self.count
        evaluations: int | Tensor = 0
        start = getattr(self.stepper, "start", None)
        reuse: Any = None if start is None else start(t, y)
        for k in range(self.count):
            more = () if reuse is None else (reuse,)
            step = self.stepper(t + k * short, short, y, *more)
            y, reuse, evaluations = step.y, step.reuse, evaluations + step.evaluations
        return Step(y=y, evaluations=evaluations)


def steps_for(dt: float, longest: float) -> int:
    """The least number of equal steps over dt that are no longer than ``longest``, but for rounding."""
    return max(1, math.ceil(dt / longest * (1 - 1e-9)))
