"""Gradients in constant memory by solving again, backwards in time."""

from __future__ import annotations

from dataclasses import dataclass

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


class Backsolve:
    """Optimise, then discretise: the state and the gradient are integrated together from the last time to the first.

    Memory is that of the outputs. The gradient is that of the exact solution, to the tolerances; it is differentiable
    once. Solving backwards is unstable where the system forgets (a dissipative or a stiff one): re-synchronising with
    the stored outputs helps, ``Interpolated()`` helps more, ``RecursiveCheckpoint()`` is exact.

    Steps are controlled by the errors of state and gradient; those of the parameters have no say (a seminorm, see
    ``Quadrature``). The gradient's error is measured in units that make it as large as the solution.

    Source: R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, "Neural Ordinary Differential Equations", NeurIPS 2018,
    algorithm 2.

    Args:
        stepper: whose scheme integrates backwards (its vector field is not used), by default the solve's.
        controller: of the backward steps, by default the solve's; its norm sees the pair (y, dL/dy).
        resynchronise: take the state from the stored outputs when passing them.

    Raises:
        ValueError: the stepper of the solve, or the given one, is not built over a vector field.
    """

    def __init__(
        self,
        stepper: Stepper | None = None,
        controller: StepSizeController | None = None,
        *,
        resynchronise: bool = True,
    ) -> None:
        self.stepper, self.controller, self.resynchronise = stepper, controller, resynchronise

    def __call__(
        self, run: Run, stepper: Stepper, y0: State, ts: Float[Tensor, "batch time"], controller: StepSizeController
    ) -> Solution:
        problem = Problem.of(stepper, y0, ts, "Backsolve")
        if not problem.needs_gradients:
            return run(stepper, y0, ts, controller)
        with torch.no_grad():
            solution = run(stepper, y0, ts, controller)
        integrator = Integrator(run, self.stepper or stepper, self.controller or controller)
        equations = _Together(problem.field, self.resynchronise)
        return problem.attach(solution, lambda ys, gradients: integrator(problem, equations, ys, gradients))


@dataclass(frozen=True)
class _Together:
    """The equations of the pair (y, a)."""

    field: VectorField
    resynchronise: bool

    def joined(self, y: State, a: State) -> State:
        return y, a

    def split(self, t: Tensor, state: State) -> tuple[State, State]:
        return state

    def slope(self, t: Tensor, state: State) -> State:
        return gradient_slope(self.field, t, *state)

    def jumped(self, hit: Tensor, y: State, gradient: State, state: State) -> State:
        before, a = state
        after = where(hit, map_state(torch.add, a, gradient), a)
        return (where(hit, y, before) if self.resynchronise else before), after

    def select(self, rows: Tensor) -> _Together:
        return _Together(select_field(self.field, rows), self.resynchronise)
