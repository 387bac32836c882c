"""Gradients along the stored forward solution."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..controller import StepSizeController
from ..solution import Solution
from ..state import State, map_state, where
from ..stepper import Stepper
from .continuous import Integrator, Problem
from .gradient_stepper import VectorField, gradient_slope, select_field
from .protocol import Run
from .trajectory import Trajectory


class Interpolated:
    """Optimise, then discretise, along the forward solution's dense output: the gradient alone is integrated backwards.

    Unlike with ``Backsolve`` nothing grows that the forward solve damped: the equations of the gradient are as stable
    backwards as the system is forwards. Memory is that of the dense output, a few states for each step. The gradient is
    that of the exact solution, to the tolerances; it is differentiable once. As for the control of the error, see
    ``Backsolve``.

    Source: Y. Cao, S. Li, L. Petzold, R. Serban, "Adjoint sensitivity analysis for differential-algebraic equations:
    the adjoint DAE system and its numerical solution", SIAM J. Sci. Comput. 24 (2003).

    Args:
        stepper: whose scheme integrates backwards (its vector field is not used), by default the solve's.
        controller: of the backward steps, by default the solve's; its norm sees dL/dy.

    Raises:
        ValueError: the stepper of the solve, or the given one, is not built over a vector field.
    """

    def __init__(self, stepper: Stepper | None = None, controller: StepSizeController | None = None) -> None:
        self.stepper, self.controller = stepper, controller

    def __call__(
        self, run: Run, stepper: Stepper, y0: State, ts: Float[Tensor, "batch time"], controller: StepSizeController
    ) -> Solution:
        problem = Problem.of(stepper, y0, ts, "Interpolated")
        if not problem.needs_gradients:
            return run(stepper, y0, ts, controller)
        trajectory = Trajectory(problem.field, ts[:, 0].detach(), ts[:, -1].detach(), dense_order(stepper))
        with torch.no_grad():
            solution = run(stepper, y0, ts, controller, observe=trajectory.observe)
        integrator = Integrator(run, self.stepper or stepper, self.controller or controller)
        equations = _Alone(problem.field, trajectory, torch.arange(len(ts), device=ts.device))
        return problem.attach(solution, lambda ys, gradients: integrator(problem, equations, ys, gradients))


def dense_order(stepper: Stepper) -> int | None:
    """The declared order of the stepper's dense output, None where it has none."""
    return getattr(stepper, "dense_order", None)


@dataclass(frozen=True)
class _Alone:
    """The equations of a, with y read off the trajectory of the samples ``members``."""

    field: VectorField
    trajectory: Trajectory
    members: Tensor

    def joined(self, y: State, a: State) -> State:
        return a

    def split(self, t: Tensor, state: State) -> tuple[State, State]:
        return self.trajectory(t, self.members), state

    def slope(self, t: Tensor, state: State) -> State:
        return gradient_slope(self.field, t, self.trajectory(t, self.members), state)[1]

    def jumped(self, hit: Tensor, y: State, gradient: State, state: State) -> State:
        return where(hit, map_state(torch.add, state, gradient), state)

    def select(self, rows: Tensor) -> _Alone:
        return replace(self, field=select_field(self.field, rows), members=self.members[rows])
