"""What lies inside a step on a prescribed grid."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from sciml.solvers.hermite import Hermite
from sciml.solvers.stepper import Interpolant, Step, Stepper

from .declared import declare_like

ORDERS = {"linear": 1, "cubic": 3}


class Landing:
    """A stepper without dense output: ``solve`` then steps from one output time to the next."""

    def __init__(self, stepper: Stepper) -> None:
        self.stepper = stepper
        declare_like(self, stepper)
        self.dense_order = None

    def __call__(self, t: Tensor, dt: Tensor, y: Tensor, *reuse: Any) -> Step:
        """One step of the stepper."""
        return self.stepper(t, dt, y, *reuse)


class Interpolated:
    """A stepper whose states inside a step are read off a straight line or Hermite's cubic, whatever its own order.

    Args:
        stepper: the stepper; it declares ``slope``.
        kind: ``"linear"``, or ``"cubic"``, which evaluates the slopes at both ends where output times lie inside.
    """

    def __init__(self, stepper: Stepper, kind: str) -> None:
        self.stepper, self.kind = stepper, kind
        declare_like(self, stepper)
        self.dense_order = ORDERS[kind]

    def __call__(self, t: Tensor, dt: Tensor, y: Tensor, *reuse: Any) -> Step:
        """One step of the stepper."""
        step = self.stepper(t, dt, y, *reuse)
        return Step(step.y, reuse=step.reuse, dense=self._between(t, dt, y, step.y), evaluations=step.evaluations)

    def _between(self, t: Tensor, dt: Tensor, y: Tensor, end: Tensor) -> Interpolant:
        def state(theta: Tensor, rows: Tensor) -> Tensor:
            if self.kind == "linear":
                slopes = [(end - y) / dt] * 2
            else:
                slopes = [self.stepper.slope(t, y), self.stepper.slope(t + dt, end)]  # type: ignore[attr-defined]
            return Hermite(dt, y, end, *slopes)(theta, rows)

        return state
