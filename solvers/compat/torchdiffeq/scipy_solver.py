"""SciPy's integrators behind the same face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .callbacks import Announcer
from .errors import InputError, IntegrationError
from .options import known
from .problem import Problem
from .run import Outcome

_IGNORED = ("norm", "grid_points", "eps")


@dataclass(frozen=True)
class SciPy:
    """``scipy.integrate.solve_ivp`` on the CPU, without gradients.

    Options: ``solver``, the method's name there (default ``"LSODA"``), ``min_step`` (LSODA alone has one) and
    ``max_step``.
    """

    name: str = "scipy_solver"
    callbacks: tuple[str, ...] = ()

    def integrate(self, problem: Problem, options: dict[str, Any] | None, announcer: Announcer) -> Outcome:
        """Solve the problem.

        Raises:
            InputError: an event function is given.
            IntegrationError: SciPy reports a failure.
        """
        from scipy.integrate import solve_ivp

        if problem.condition is not None:
            raise InputError("Method 'scipy_solver' knows no event_fn. Use another method.")
        given = known(options, ("solver", "min_step", "max_step", *_IGNORED), self.name)
        solver = given.get("solver", "LSODA")
        least = {"min_step": float(given.get("min_step", 0.0))} if solver == "LSODA" else {}
        ts = problem.ts.detach().cpu().numpy().astype(np.float64)
        found = solve_ivp(
            lambda t, y: self._slope(problem, t, y),
            t_span=(ts[0], ts[-1]),
            y0=problem.y0.detach().cpu().numpy().reshape(-1),
            t_eval=ts,
            method=solver,
            rtol=self._plain(problem.rtol),
            atol=self._plain(problem.atol),
            max_step=float(given.get("max_step", np.inf)),
            **least,
        )
        if found.status < 0:
            raise IntegrationError(f"scipy.integrate.solve_ivp with {solver}: {found.message}")
        ys = torch.from_numpy(np.ascontiguousarray(found.y.T)).to(problem.y0.device, problem.y0.dtype)
        return Outcome(ys.reshape(len(ts), *problem.y0.shape))

    @staticmethod
    @torch.no_grad()
    def _slope(problem: Problem, t: float, y: np.ndarray) -> np.ndarray:
        like = problem.y0
        state = torch.from_numpy(np.array(y)).to(like.device, like.dtype).reshape(1, *like.shape)
        time = torch.tensor([t], dtype=torch.float64, device=like.device)
        return problem.field(time, state).detach().cpu().numpy().reshape(-1)

    @staticmethod
    def _plain(tolerance: float | Tensor) -> Any:
        return tolerance.detach().cpu().numpy() if isinstance(tolerance, Tensor) else tolerance
