"""The global penalties: error and stiffness over all accepted steps of a solve.

Source: A. Pal, Y. Ma, V. Shah, C. Rackauckas, "Opening the Blackbox: Accelerating Neural Differential Equations by
Regularizing Internal Solver Heuristics", ICML 2021. There the solver estimates both for the whole batch at once; here
each sample has its own steps, and so its own value.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..arguments import select_rows
from ..solution import KeptSteps, Solution
from ..state import State, leaves, map_state
from ..stepper import Step, Stepper
from .measure import ErrorController, error_controller, fresh_step, stiffness_quotient

Reduction = Callable[[Float[Tensor, "batch steps"], Bool[Tensor, "batch steps"]], Float[Tensor, " batch"]]


def sum_of_steps(
    values: Float[Tensor, "batch steps"], accepted: Bool[Tensor, "batch steps"]
) -> Float[Tensor, " batch"]:
    """Sum over the accepted steps."""
    return torch.where(accepted, values, 0.0).sum(dim=1)


def mean_of_steps(
    values: Float[Tensor, "batch steps"], accepted: Bool[Tensor, "batch steps"]
) -> Float[Tensor, " batch"]:
    """Mean over the accepted steps."""
    return sum_of_steps(values, accepted) / accepted.sum(dim=1).clamp(min=1)


def max_of_steps(
    values: Float[Tensor, "batch steps"], accepted: Bool[Tensor, "batch steps"]
) -> Float[Tensor, " batch"]:
    """Largest of the accepted steps."""
    return torch.where(accepted, values, 0.0).amax(dim=1)


def global_error(
    stepper: Stepper,
    solution: Solution,
    *,
    reduce: Reduction = sum_of_steps,
    controller: ErrorController | None = None,
) -> Float[Tensor, " batch"]:
    """|h| times the scaled error, over the accepted steps of each sample.

    Where the solution was differentiated through the solver (the direct adjoint), the gradient is the full one, through
    the states of all steps. Under another adjoint every kept step is taken again, all in one batched call, with its
    start held constant: the gradient then reaches the parameters through the stages alone, as in the local penalty.
    The steps' lengths are constants in both.

    Args:
        stepper: the one that made the solution; it must estimate its error.
        solution: solved with ``keep_steps=True``.
        reduce: ``sum_of_steps``, ``mean_of_steps``, ``max_of_steps`` or any function of values and mask.
        controller: whose tolerances scale the error; by default the solution's. Needed only to take the steps again.

    Raises:
        ValueError: the solution kept no steps, or has no error estimate.
    """
    steps = _kept(solution)
    if steps.ratio.requires_grad or not torch.is_grad_enabled():
        return reduce(steps.ratio * steps.dt.abs(), steps.accepted)
    scale = error_controller(solution, controller)
    if hasattr(scale, "select"):
        scale = scale.select(map_state(lambda leaf: leaf[:, 0], steps.y), steps.accepted.nonzero(as_tuple=True)[0])

    def measure(step: Step, y: State) -> Tensor:
        if step.error is None:
            raise ValueError(f"{type(stepper).__name__} estimates no error. Wrap it: StepDoubling(stepper).")
        return scale.ratio(step, y)

    return reduce(_again(stepper, steps, measure) * steps.dt.abs(), steps.accepted)


def global_stiffness(
    stepper: Stepper, solution: Solution, *, reduce: Reduction = max_of_steps
) -> Float[Tensor, " batch"]:
    """The stiffness estimate over the stepper's stability size, over the accepted steps of each sample.

    All steps are taken again, in one batched call; the gradient is the full one where the kept states carry it.

    Args:
        stepper: the one that made the solution; it must estimate stiffness.
        solution: solved with ``keep_steps=True``.
        reduce: as in ``global_error``; the paper takes the largest for ODEs, the mean for SDEs.

    Raises:
        ValueError: the solution kept no steps, or the stepper estimates no stiffness.
    """
    steps = _kept(solution)
    return reduce(_again(stepper, steps, lambda step, y: stiffness_quotient(stepper, step)), steps.accepted)


def _kept(solution: Solution) -> KeptSteps:
    if solution.steps is None:
        raise ValueError("Expected a solution with its steps. Solve with keep_steps=True.")
    return solution.steps


def _again(
    stepper: Stepper, steps: KeptSteps, measure: Callable[[Step, State], Tensor]
) -> Float[Tensor, "batch steps"]:
    """Take every accepted step again and measure it; 0 in the places of the others."""
    place = steps.accepted.nonzero(as_tuple=True)
    t, dt = steps.t[place].detach(), steps.dt[place].detach()
    y = map_state(lambda leaf: leaf[place], steps.y)
    values = measure(fresh_step(select_rows(stepper, place[0]), t, dt, y), y)
    empty = torch.zeros(steps.t.shape, dtype=values.dtype, device=leaves(y)[0].device)
    return empty.index_put(place, values)
