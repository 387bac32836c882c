"""Methods whose steps are prescribed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from sciml.solvers.adams import Adams
from sciml.solvers.controller import FixedStep
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.stepper import Stepper
from sciml.solvers.stops import Stops

from .callbacks import Announcer
from .errors import InputError
from .interpolated import ORDERS, Interpolated, Landing
from .march import MultiStep, OneStep, Scheme, even_grid, march
from .options import known
from .perturbed import Perturbed
from .problem import Problem
from .run import Outcome, Run

_OPTIONS = ("norm", "step_size", "grid_constructor", "interp", "perturb")
_MOST_STEPS = 20_000  # towards an event


@dataclass(frozen=True)
class FixedGrid:
    """A scheme on a grid of times: the output times themselves, unless told otherwise.

    Options: ``step_size``, or ``grid_constructor(func, y0, t)``, which returns the times to step on; ``interp``,
    ``"linear"`` (the default) or ``"cubic"``, for output times inside a step; ``perturb``, whether times at the ends of
    a step are moved into it by one unit in the last place, for vector fields that jump there.

    Attributes:
        build: the stepper over a field; takes ``options`` by name.
        options: of the scheme itself.
    """

    name: str
    build: Callable[..., Stepper]
    options: tuple[str, ...] = ()
    callbacks: tuple[str, ...] = ("callback_step",)

    def integrate(self, problem: Problem, options: dict[str, Any] | None, announcer: Announcer) -> Outcome:
        """Solve the problem.

        Raises:
            InputError: an option is not what is expected.
            IntegrationError: the event does not happen within 20,000 steps.
        """
        given = known(options, (*_OPTIONS, *self.options), self.name)
        interp, perturb = given.get("interp", "linear"), given.get("perturb", False)
        length, construct = given.get("step_size"), given.get("grid_constructor")
        if length is not None and construct is not None:
            raise InputError("step_size and grid_constructor are mutually exclusive arguments.")
        if interp not in ORDERS:
            raise InputError(f"Unknown interpolation method {interp}. Expected interp to be one of {sorted(ORDERS)}.")
        ts = problem.clock()
        stepper = self.build(problem.field, **{name: given[name] for name in self.options if name in given})
        if problem.condition is None and not perturb:
            grid = ts if length is None else even_grid(ts, float(length))
            grid = grid if construct is None else _grid(construct, problem).to(ts)
            scheme = _scheme_of(stepper, grid)
            if scheme is not None:
                return march(scheme, problem, grid, interp, announcer.callbacks.get("callback_step"))
        stepper = Perturbed(stepper, problem.field, problem.sign) if perturb else stepper
        inside = Interpolated(stepper, interp)
        if problem.condition is not None:
            if length is None:
                raise InputError("Expected the option step_size with an event_fn: a fixed grid has no end to go to.")
            ts = ts[:1] + ts.new_tensor([0.0, problem.sign * _MOST_STEPS * float(length)])
        if length is not None:
            return Run(inside, FixedStep(float(length)), ts)(problem, announcer)
        whole = FixedStep(float((ts[-1] - ts[0]).detach().abs()))
        if construct is None:
            return Run(Landing(stepper), whole, ts)(problem, announcer)
        return Run(inside, whole, ts, Stops(steps=_grid(construct, problem).to(ts)))(problem, announcer)


def _scheme_of(stepper: Stepper, grid: Tensor) -> Scheme | None:
    """The stepper's scheme, where its steps need nothing of ``solve``: nothing is decided on the way.

    Weights of an Adams scheme depend on the times, which they are not numbers for where a gradient is to reach these.
    """
    if isinstance(stepper, RungeKutta):
        return OneStep(stepper.tableau)
    return MultiStep(stepper) if isinstance(stepper, Adams) and not grid.requires_grad else None


def _grid(construct: Callable[..., Tensor], problem: Problem) -> Tensor:
    """The times to step on.

    Raises:
        InputError: they do not begin and end with the output times.
    """
    grid = construct(problem.field.packed, problem.y0, problem.ts)
    if grid.dim() != 1 or len(grid) < 2 or grid[0] != problem.ts[0] or grid[-1] != problem.ts[-1]:
        raise InputError("Expected the grid_constructor's times to begin with t[0] and end with t[-1].")
    return grid
