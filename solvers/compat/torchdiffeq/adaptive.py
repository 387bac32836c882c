"""Methods that choose their steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sciml.solvers.pid import INTEGRAL, PIDController
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.stops import Stops
from sciml.solvers.tableau import ButcherTableau

from .callbacks import NAMES, Announcer
from .errors import InputError
from .norms import default_norm, of_batch, of_packed
from .options import known
from .problem import Problem
from .run import Outcome, Run

_OPTIONS = ("norm", "min_step", "max_step", "first_step", "step_t", "jump_t", "safety", "ifactor", "dfactor")
_SMALLEST_RTOL = 1e-15


@dataclass(frozen=True)
class Adaptive:
    """An embedded Runge-Kutta pair under the integral controller, with its dense output.

    Options: ``norm``, ``first_step``, ``min_step``, ``max_step``, ``safety``, ``ifactor`` and ``dfactor`` (largest and
    smallest factor from one length to the next), ``step_t`` (times to step on), ``jump_t`` (discontinuities of the
    vector field), ``max_num_steps`` (between two output times), ``dtype`` (of the clock).
    """

    name: str
    tableau: ButcherTableau
    callbacks: tuple[str, ...] = NAMES

    def integrate(self, problem: Problem, options: dict[str, Any] | None, announcer: Announcer) -> Outcome:
        """Solve the problem.

        Raises:
            InputError: an option is not what is expected.
            IntegrationError: a step underflows or ``max_num_steps`` are used up.
        """
        return self.run(problem, options)(problem, announcer)

    def run(self, problem: Problem, options: dict[str, Any] | None) -> Run:
        """What to solve the problem with."""
        given = known(options, (*_OPTIONS, "max_num_steps", "dtype"), self.name)
        ts = problem.clock(given.get("dtype", torch.float64))
        most = given.get("max_num_steps")
        return Run(
            stepper=RungeKutta(problem.field, self.tableau),
            controller=self._controller(problem, given),
            ts=ts if problem.condition is None else _towards_event(ts, problem.sign),
            stops=_stops(given, ts),
            max_steps=None if most is None else int(most) * max(len(ts) - 1, 1),
        )

    def _controller(self, problem: Problem, given: dict[str, Any]) -> PIDController:
        norm = of_packed(given.get("norm", default_norm(problem.packing)), problem.packing)
        rtol, atol = problem.rtol, problem.atol
        if isinstance(rtol, Tensor):
            # e / (atol + rtol |y|) = (e / (atol / rtol + |y|)) / rtol: the controller's own rtol is a number.
            weights, scaled_norm = rtol.clamp(min=_SMALLEST_RTOL), norm
            rtol, atol, norm = 1.0, atol / weights, lambda error: scaled_norm(error / weights)
        return PIDController(
            rtol,
            atol,
            coefficients=INTEGRAL,
            safety=float(given.get("safety", 0.9)),
            factor_min=float(given.get("dfactor", 0.2)),
            factor_max=float(given.get("ifactor", 10.0)),
            dt0=_length(given.get("first_step")),
            dt_min=_length(given.get("min_step")),
            dt_max=_length(given.get("max_step")),
            norm=of_batch(norm),
        )


def _length(value: Any) -> float | None:
    return None if value is None or float(value) in (0.0, torch.inf) else float(value)


def _towards_event(ts: Tensor, sign: float) -> Tensor:
    """The start, and a time so late that an event until then is as good as none, and dt still in reach of t."""
    start = ts[:1]
    far = torch.finfo(ts.dtype).eps ** -0.5 * start.detach().abs().clamp(min=1.0)
    return torch.cat([start, start.detach() + sign * far])


def _stops(given: dict[str, Any], ts: Tensor) -> Stops | None:
    steps, jumps = (
        None if given.get(name) is None else torch.as_tensor(given[name], dtype=ts.dtype, device=ts.device).detach()
        for name in ("step_t", "jump_t")
    )
    present = [times.reshape(-1) for times in (steps, jumps) if times is not None]
    if not present:
        return None
    together = torch.cat(present)
    if len(together.unique()) < len(together):
        raise InputError("`step_t` and `jump_t` must not have any repeated elements between them.")
    return Stops(jumps=jumps, steps=steps)
