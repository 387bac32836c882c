"""Random points on a computed solution, where a local penalty is taken."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..solution import KeptSteps, Solution
from ..solve import solve
from ..state import State, map_state
from ..stepper import Stepper
from .measure import ErrorController, fresh_step


@dataclass(frozen=True, slots=True)
class Point:
    """A time (batch,) within the solution's span, the state there, and the length of the step that covered it."""

    t: Float[Tensor, " batch"]
    y: State
    dt: Float[Tensor, " batch"] | None = None


def uniform_time(solution: Solution, generator: torch.Generator | None) -> Float[Tensor, " batch"]:
    """A time drawn uniformly between each sample's first and last output time."""
    first, last = solution.ts[:, 0], solution.ts[:, -1]
    uniform = _uniform(first, generator)
    t = first + uniform * (last - first)
    return torch.where(t == first, torch.nextafter(first, last), t)  # a solve from the first time must have a length


def accepted_point(steps: KeptSteps | None, generator: torch.Generator | None) -> Point:
    """The start of one of the accepted steps, each as likely as another: short steps draw the point to them.

    Raises:
        ValueError: the solution kept no steps.
    """
    if steps is None:
        raise ValueError("Expected a solution with its steps for biased=True. Solve with keep_steps=True.")
    first = steps.t[:, 0]
    uniform = _uniform(first, generator)
    count = steps.accepted.sum(dim=1)
    nth = (uniform * count).long().clamp(max=count - 1)
    # The column of the nth accepted step is the number of columns with at most nth accepted ones up to and with them.
    column = (steps.accepted.cumsum(dim=1) <= nth[:, None]).sum(dim=1).clamp(max=steps.t.shape[1] - 1)
    return _start_of(steps, column)


def point_at(stepper: Stepper, solution: Solution, t: Tensor, controller: ErrorController) -> Point:
    """The state at t: by part of the kept step that covers t, by dense output, or by a solve from the output before."""
    if solution.steps is not None:
        return _within_step(stepper, solution.steps, t)
    if solution.dense is not None:
        return Point(t, map_state(lambda leaf: leaf[:, 0], solution.dense(t[:, None])))
    forward = torch.sign(solution.ts[:, -1] - solution.ts[:, 0])[:, None]
    index = (((t[:, None] - solution.ts) * forward) > 0).sum(dim=1) - 1
    rows = torch.arange(len(t), device=t.device)
    before, y = solution.ts[rows, index], map_state(lambda leaf: leaf[rows, index], solution.ys)
    ts = torch.stack([before, t], dim=1)
    return Point(t, map_state(lambda leaf: leaf[:, -1], solve(stepper, y, ts, controller, throw=False).ys))


def detached(state: State) -> State:
    """The state as a constant."""
    return map_state(torch.detach, state)


def _within_step(stepper: Stepper, steps: KeptSteps, t: Tensor) -> Point:
    passed = steps.accepted & ((t[:, None] - steps.t) * steps.dt >= 0)
    columns = torch.arange(steps.t.shape[1], device=t.device)
    start = _start_of(steps, torch.where(passed, columns, 0).amax(dim=1))
    return Point(t, fresh_step(stepper, start.t, t - start.t, start.y).y, start.dt)


def _start_of(steps: KeptSteps, column: Tensor) -> Point:
    rows = torch.arange(len(column), device=column.device)
    y = map_state(lambda leaf: leaf[rows, column], steps.y)
    return Point(steps.t[rows, column], y, steps.dt[rows, column])


def _uniform(like: Tensor, generator: torch.Generator | None) -> Tensor:
    device = like.device if generator is None else generator.device
    return torch.rand(like.shape, generator=generator, dtype=like.dtype, device=device).to(like.device)
