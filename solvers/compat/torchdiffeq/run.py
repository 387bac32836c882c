"""One ``solve`` of a batch of one."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.solvers.controller import StepSizeController
from sciml.solvers.event import Event
from sciml.solvers.solution import Solution, SolveError, Status
from sciml.solvers.solve import solve
from sciml.solvers.stepper import Stepper
from sciml.solvers.stops import Stops

from .callbacks import AnnouncedController, AnnouncedStepper, Announcer
from .errors import IntegrationError
from .problem import Problem


@dataclass(frozen=True)
class Outcome:
    """Packed states (time, ...) at the output times; with an event those at the start and at its time."""

    ys: Tensor
    event_t: Tensor | None = None


@dataclass(frozen=True)
class Run:
    """What ``solve`` is called with.

    Attributes:
        ts: output times, (time,), in the clock's precision.
        max_steps: None for no bound.
    """

    stepper: Stepper
    controller: StepSizeController
    ts: Tensor
    stops: Stops | None = None
    max_steps: int | None = None

    def __call__(self, problem: Problem, announcer: Announcer) -> Outcome:
        """Integrate the problem.

        Raises:
            IntegrationError: a step underflows, ``max_steps`` are used up, or the event does not happen.
        """
        if problem.condition is None:
            return Outcome(self.solution(problem, announcer).ys[0])
        solution = self.solution(problem, announcer)
        if solution.events is None or int(solution.statistics.status) != Status.EVENT:
            raise IntegrationError(
                f"The event function keeps its sign from t = {float(self.ts[0])} to {float(self.ts[-1])}. "
                "Reached the maximum number of iterations."
            )
        return Outcome(torch.stack([problem.y0, solution.events.y[0, -1]]), solution.events.t[0, -1])

    def solution(self, problem: Problem, announcer: Announcer, *, keep_dense: bool = False) -> Solution:
        """The whole solution."""
        stepper, controller = self.stepper, self.controller
        if announcer.callbacks:
            stepper, controller = AnnouncedStepper(stepper, announcer), AnnouncedController(controller, announcer)
        try:
            return solve(
                stepper,
                problem.y0.unsqueeze(0),
                self.ts,
                controller,
                event=() if problem.condition is None else Event(problem.condition),
                stops=self.stops,
                max_steps=self.max_steps,
                keep_dense=keep_dense,
            )
        except SolveError as failure:
            raise IntegrationError(_in_torchdiffeqs_words(failure.solution) + str(failure)) from failure


def _in_torchdiffeqs_words(solution: Solution) -> str:
    if int(solution.statistics.status) == Status.MAX_STEPS:
        return "max_num_steps exceeded: "
    return "underflow in dt: "
