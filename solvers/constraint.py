"""Hard constraints on states, and the stepper that keeps them."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from .arguments import select_rows
from .state import State
from .stepper import Step, Stepper


@runtime_checkable
class Constraint(Protocol):
    """What a state has to obey."""

    def residual(self, y: State) -> Tensor:
        """By how much it does not, (batch, ...); 0 where it does."""
        ...

    def project(self, y: State) -> State:
        """The nearest state that does, differentiable in y."""
        ...


class Constrained(nn.Module):
    """Projects what a stepper returns: any scheme or learned operator then obeys the constraint after each step.

    ::

        solve(Constrained(model, DivergenceFree(spacing=1 / 64)), u0, ts, FixedStep(0.01))

    For a field whose exact flow keeps the constraint, projecting each step leaves a scheme its order (Hairer, Lubich,
    Wanner, "Geometric Numerical Integration", 2006, section IV.4). Nothing of the step before is reused, as that was
    not projected, and there is no dense output.

    Args:
        stepper: of any kind.
        constraint: of the states.
    """

    def __init__(self, stepper: Stepper, constraint: Constraint) -> None:
        super().__init__()
        self.stepper, self.constraint = stepper, constraint
        self.order: int | None = getattr(stepper, "order", None)
        self.error_order: int | None = getattr(stepper, "error_order", None)

    def select(self, rows: Tensor) -> Constrained:
        """The same for these samples alone."""
        chosen: Any = select_rows(self.stepper, rows)
        return Constrained(chosen, self.constraint)

    def forward(self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State) -> Step:
        """The stepper's step, projected."""
        step = self.stepper(t, dt, y)
        return Step(
            y=self.constraint.project(step.y),
            error=step.error,
            evaluations=step.evaluations,
            stiffness=step.stiffness,
        )
