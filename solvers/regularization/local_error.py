"""The local penalty: the error, or the stiffness, of one fresh step at a random time of the solution.

Source: A. Pal, A. Edelman, C. Rackauckas, "Locally Regularized Neural Differential Equations: Some Black Boxes Were
Meant to Remain Closed!", ICML 2023. A random time takes the place of the sum over all steps, so that nothing of the
solver need be differentiated: any adjoint will do, and the cost is that of one step.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from ..solution import Solution
from ..stepper import Step, Stepper
from .measure import ErrorController, error_controller, fresh_step, stiffness_quotient
from .points import Point, accepted_point, detached, point_at, uniform_time


def local_error(
    stepper: Stepper,
    solution: Solution,
    *,
    controller: ErrorController | None = None,
    biased: bool = False,
    kept_length: bool | None = None,
    detach: bool = True,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " batch"]:
    """|h| times the scaled error of one step of the automatic first length h, from the state at a random time.

    ``loss = mse(solution.ys, target) + 1e2 * local_error(stepper, solution).mean()``

    Args:
        stepper: the one that made the solution, or another over the same vector field; it must estimate its error.
        solution: where the state at the random time is found: part of a step, if it was solved with
            ``keep_steps=True``; the dense output with ``keep_dense=True``; else a solve from the output before.
        controller: whose tolerances scale the error and choose h; by default the solution's.
        biased: draw the time from the starts of the accepted steps (they must be kept), so that places where steps are
            short are drawn more often, instead of uniformly over the span.
        kept_length: False for the automatic first length, as the paper has it; True for the length of the kept step
            that covered the time, which makes the mean of the penalty that of the global one. None takes the kept one
            only where the stepper has no slope to choose the automatic one from (SDE steppers).
        detach: hold the state at the random time constant, as the paper does; the gradient reaches the parameters
            through the stages of the one step alone. False also lets it through the kept steps or outputs. The time
            and h are constants always.
        generator: of the random time.

    Returns:
        One value for each sample, NaN for those that did not reach the random time.

    Raises:
        ValueError: the solution lacks what is needed, or the stepper estimates no error.
    """
    controller = error_controller(solution, controller)
    point = _draw(stepper, solution, controller, biased, detach, generator)
    dt, step = _step_from(stepper, point, solution.ts[:, -1], controller, kept_length)
    if step.error is None:
        raise ValueError(f"{type(stepper).__name__} estimates no error. Wrap it: StepDoubling(stepper).")
    return controller.ratio(step, point.y) * dt.abs()


def local_stiffness(
    stepper: Stepper,
    solution: Solution,
    *,
    controller: ErrorController | None = None,
    biased: bool = False,
    kept_length: bool | None = None,
    detach: bool = True,
    generator: torch.Generator | None = None,
) -> Float[Tensor, " batch"]:
    """The stiffness estimate, over the stepper's stability size, of one step as in ``local_error``.

    Args:
        stepper: as in ``local_error``; it must estimate stiffness.
        solution, controller, biased, detach, generator: as in ``local_error``.

    Returns:
        One value for each sample: about |lambda| / stability, lambda the Jacobian's dominant eigenvalue.

    Raises:
        ValueError: the solution lacks what is needed, or the stepper estimates no stiffness.
    """
    controller = error_controller(solution, controller)
    point = _draw(stepper, solution, controller, biased, detach, generator)
    _, step = _step_from(stepper, point, solution.ts[:, -1], controller, kept_length)
    return stiffness_quotient(stepper, step)


def _draw(
    stepper: Stepper,
    solution: Solution,
    controller: ErrorController,
    biased: bool,
    detach: bool,
    generator: torch.Generator | None,
) -> Point:
    with torch.set_grad_enabled(torch.is_grad_enabled() and not detach):
        if biased:
            point = accepted_point(solution.steps, generator)
        else:
            point = point_at(stepper, solution, uniform_time(solution, generator), controller)
    return Point(point.t.detach(), detached(point.y) if detach else point.y, point.dt)


def _step_from(
    stepper: Stepper, point: Point, last: Tensor, controller: ErrorController, kept_length: bool | None
) -> tuple[Tensor, Step]:
    """A step from ``point`` and its length: of the kept step there, or what a solve from ``point`` would try first."""
    span = last - point.t
    if kept_length is False or (kept_length is None and hasattr(stepper, "slope")):
        with torch.no_grad():
            dt = controller.start(stepper, point.t, point.y, span, None).dt
    elif point.dt is None:
        raise ValueError("Expected a solution with its steps, for the kept length. Solve with keep_steps=True.")
    else:
        dt = torch.sign(span) * torch.minimum(point.dt.detach().abs(), span.abs())
    return dt, fresh_step(stepper, point.t, dt, point.y)
