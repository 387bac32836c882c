"""What ``sdeint`` is asked for, checked and carried out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...adjoint.protocol import Adjoint
from ...controller import StepSizeController
from ...solve import solve
from ...step_doubling import StepDoubling
from ...stochastic.log_ratio import LogRatio
from ...stochastic.sde import SDE, Noise
from .brownian import BrownianInterval
from .equation import Coefficients
from .methods import Method, method_of
from .motion import Motion
from .remembering import Remembering


@dataclass
class Request:
    """What is to be solved, as the user said it."""

    sde: Any
    y0: Tensor
    ts: Tensor | Sequence[float]
    bm: Any
    method: str | None
    dt: float
    options: dict[str, Any]
    names: dict[str, str] | None
    logqp: bool
    state: tuple[Tensor, ...] | None

    def run(self, controller: StepSizeController, adjoint: Adjoint | None, extra: bool) -> Any:
        """Solve and return what torchsde returns."""
        ts, coefficients = self._checked()
        adaptive = getattr(controller, "adaptive", False)
        if adaptive and self.method == "euler" and coefficients.noise is not Noise.ADDITIVE:
            warnings.warn(
                "Adaptive steps of the Euler-Maruyama method need not converge to the solution. Use method='srk', "
                "or 'milstein'.",
                stacklevel=3,
            )
        method = method_of(self.method, self.sde)
        equation, y0, ratio = coefficients.to_sde(), self.y0[None], None
        if self.logqp:
            if "prior_drift" not in coefficients.methods:
                raise ValueError("Expected an sde with a prior drift for logqp: a method h, or names for it.")
            ratio = LogRatio(equation, coefficients.prior_drift)
            equation, y0 = ratio.sde, ratio.begin(y0)
        motion = self._motion(method, equation, coefficients, ts)
        stepper: Any = method.stepper(equation, coefficients, motion, self.options, plain=ratio is None)
        remembering = Remembering(stepper, self.state)
        if extra or self.state is not None:
            stepper = remembering
        if adaptive and stepper.error_order is None:
            stepper = StepDoubling(stepper)
        ys = solve(stepper, y0, ts, controller, adjoint=adjoint).ys[0]
        returned: list[Any] = [ys]
        if ratio is not None:
            states, total = ratio.split(ys)
            returned = [states, total.diff(dim=0)]
        if extra:
            returned.append(remembering.extra())
        return returned[0] if len(returned) == 1 else tuple(returned)

    def _checked(self) -> tuple[Tensor, Coefficients]:
        """The clock, and the SDE's coefficients.

        Raises:
            ValueError: y0, ts, bm or the SDE is not what is expected.
        """
        if not isinstance(self.y0, Tensor) or self.y0.dim() != 2:
            came = tuple(self.y0.shape) if isinstance(self.y0, Tensor) else type(self.y0).__name__
            raise ValueError(f"Expected y0 of shape (batch, dimension), got {came}.")
        ts = torch.as_tensor(self.ts, device=self.y0.device)
        if ts.dim() != 1 or not bool((ts.diff() > 0).all()):
            raise ValueError(f"Expected ts of shape (time,), strictly increasing, got {ts.tolist()}.")
        time = ts.dtype if isinstance(self.ts, Tensor) and ts.is_floating_point() else self.y0.dtype
        if self.bm is not None and (len(self.bm.shape) != 2 or self.bm.shape[0] != len(self.y0)):
            raise ValueError(f"Expected bm of shape ({len(self.y0)}, noise), got {tuple(self.bm.shape)}.")
        noise_size = None if self.bm is None else self.bm.shape[-1]
        coefficients = Coefficients.of(self.sde, self.names, time, noise_size)
        ts = ts.to(torch.float64)
        return ts, coefficients.checked(ts[:1], self.y0[None])

    def _motion(self, method: Method, equation: SDE, coefficients: Coefficients, ts: Tensor) -> Motion:
        """The caller's Brownian motion, or a fresh one.

        Raises:
            ValueError: it has not the channels of the diffusion, or lacks the Levy areas that the method needs.
        """
        # The log-ratio is one more component, without noise, but a channel of its own where the noise is diagonal.
        channels = (coefficients.noise_size or 0) + (self.logqp and equation.noise is Noise.DIAGONAL)
        if self.bm is None:
            t0, t1 = float(ts[0]), max(float(ts[-1]), float(ts[0]) + self.dt)
            size, like = (len(self.y0), channels), self.y0
            levy = method.levy_areas[-1]
            fresh = BrownianInterval(t0, t1, size, like.dtype, like.device, dt=self.dt, levy_area_approximation=levy)
            return Motion(fresh)
        if self.bm.shape[-1] != channels:
            raise ValueError(
                f"Expected bm of shape ({len(self.y0)}, {channels}) for this sde{' with logqp' * self.logqp}, "
                f"got {tuple(self.bm.shape)}."
            )
        method.check_motion(self.bm)
        if hasattr(self.bm, "settle"):
            self.bm.settle(self.dt)
        return Motion(self.bm)
