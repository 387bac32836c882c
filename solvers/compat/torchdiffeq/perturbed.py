"""Steps that stay on one side of the discontinuities at their ends."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from sciml.solvers.stepper import Step

from .declared import declare_like
from .field import JointField


class Perturbed:
    """A stepper that evaluates its field strictly inside each step: at its ends, one unit in the last place further in.

    Args:
        stepper: the stepper.
        field: the vector field that it evaluates.
        sign: direction of time, 1 or -1.
    """

    def __init__(self, stepper: Any, field: JointField, sign: float) -> None:
        self.stepper, self.field, self.sign = stepper, field, sign
        declare_like(self, stepper)
        if hasattr(stepper, "start"):
            self.start = self._start

    def __call__(self, t: Tensor, dt: Tensor, y: Tensor, reuse: Any = None) -> Step:
        """One step of the stepper."""
        # A slope at the end of the last step is not that at the start of this one; a longer history is passed on.
        kept = () if reuse is None or isinstance(reuse, Tensor) else (reuse,)
        with self.field.inside(t, t + dt, y):
            return self.stepper(t, dt, y, *kept)

    def _start(self, t: Tensor, y: Tensor) -> Any:
        with self.field.inside(t, torch.full_like(t, self.sign * torch.inf), y):
            return self.stepper.start(t, y)
