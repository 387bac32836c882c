"""An error estimate for any stepper, by the semigroup property."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .arguments import select_rows
from .state import State, map_state
from .stepper import Step, Stepper


class StepDoubling(nn.Module):
    """Takes each step once whole and once as two halves; their difference estimates the local error.

    An exact flow satisfies the semigroup property y(t + dt) = y over dt/2, twice. By how much a stepper breaks it is an
    error estimate that needs nothing of the stepper: a neural operator that takes dt (its lead time) can be rolled out
    adaptively like a Runge-Kutta pair. The halves' result is carried on. For a scheme of order p the difference is
    2^p - 1 times the error of the halves (L. F. Richardson, 1911; Hairer, Norsett, Wanner I, section II.4) and is
    divided by it; for a learned stepper, which has no order, the difference itself is reported.

    Args:
        stepper: the stepper to wrap. Its own error estimate and dense output are not used.
    """

    def __init__(self, stepper: Stepper) -> None:
        super().__init__()
        self.stepper = stepper
        self.order: int | None = getattr(stepper, "order", None)
        self.error_order = 2 if self.order is None else self.order + 1

    @property
    def vector_field(self) -> Any:
        """The wrapped stepper's vector field, where it has one."""
        return self.stepper.vector_field  # type: ignore[attr-defined]

    def over(self, vector_field: Any) -> StepDoubling:
        """The same over another vector field."""
        return StepDoubling(self.stepper.over(vector_field))  # type: ignore[attr-defined]

    def select(self, rows: Tensor) -> StepDoubling:
        """The stepper for these samples alone."""
        return StepDoubling(select_rows(self.stepper, rows))

    def forward(self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State) -> Step:
        """One step of dt and two of dt/2."""
        half = 0.5 * dt
        whole = self.stepper(t, dt, y)
        middle = self.stepper(t, half, y)
        end = self.stepper(t + half, half, middle.y)
        scale = 1.0 if self.order is None else 1.0 / (2**self.order - 1)
        return Step(
            y=end.y,
            error=map_state(lambda fine, coarse: torch.mul(fine - coarse, scale), end.y, whole.y),
            evaluations=whole.evaluations + middle.evaluations + end.evaluations,
        )
