"""What a penalty measures on one step: the scaled local error, or the stiffness quotient."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor

from ..controller import Control
from ..solution import Solution
from ..state import State
from ..stepper import Step, Stepper


@runtime_checkable
class ErrorController(Protocol):
    """A step size controller that can say how large a step's error is against its tolerances."""

    def start(self, stepper: Stepper, t: Tensor, y: State, span: Tensor, reuse: Any) -> Control: ...

    def __call__(self, step: Step, y: State, dt: Tensor, control: Control) -> Control: ...

    def ratio(self, step: Step, y: State) -> Float[Tensor, " batch"]: ...


def error_controller(solution: Solution, given: ErrorController | None) -> ErrorController:
    """The controller whose tolerances scale the error.

    Raises:
        ValueError: neither given nor known from the solution, or one without tolerances.
    """
    controller = solution.controller if given is None else given
    if not isinstance(controller, ErrorController):
        raise ValueError(
            f"Expected a controller with tolerances, got {type(controller).__name__}. Solve with PIDController(rtol, "
            "atol), or pass the one whose tolerances are meant: controller=PIDController(rtol, atol)."
        )
    return controller


def fresh_step(stepper: Stepper, t: Tensor, dt: Tensor, y: State) -> Step:
    """One step that reuses nothing: its first slope, too, is differentiable."""
    start = getattr(stepper, "start", None)
    reuse = None if start is None else start(t, y)
    return stepper(t, dt, y) if reuse is None else stepper(t, dt, y, reuse)  # type: ignore[call-arg]


def stiffness_quotient(stepper: Stepper, step: Step) -> Float[Tensor, " batch"]:
    """The step's estimate of the dominant eigenvalue over the stepper's stability size (1 where that is unknown).

    Raises:
        ValueError: the stepper gives no estimate.
    """
    if step.stiffness is None:
        raise ValueError(
            f"{type(stepper).__name__} estimates no stiffness (its Step.stiffness is None). "
            "Use a Runge-Kutta pair such as RungeKutta(vector_field, TSIT5), or the error penalty."
        )
    return step.stiffness() / (getattr(stepper, "stability", None) or 1.0)
