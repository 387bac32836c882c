"""Discretise, then optimise: differentiate through the loop itself."""

from __future__ import annotations

from jaxtyping import Float
from torch import Tensor

from ..controller import StepSizeController
from ..solution import Solution
from ..state import State
from ..stepper import Stepper
from .protocol import Run


class Direct:
    """Lets autograd record every step: the exact gradient of what was computed, at the memory of all steps.

    The only adjoint with second derivatives and with ``torch.func``. How the controller chose the lengths of the steps
    is not differentiated: they are constants, up to landing on ``ts``.
    """

    def __call__(
        self, run: Run, stepper: Stepper, y0: State, ts: Float[Tensor, "batch time"], controller: StepSizeController
    ) -> Solution:
        return run(stepper, y0, ts, controller)
