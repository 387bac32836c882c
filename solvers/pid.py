"""Proportional-integral-derivative control of the local error.

Source: G. Soderlind, "Digital filters in adaptive time-stepping", ACM Trans. Math. Softw. 29 (2003); the first step
after E. Hairer, S. Norsett, G. Wanner, "Solving Ordinary Differential Equations I", section II.4.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .controller import Control
from .state import State, broadcast, map_state, rms_norm
from .stepper import Step, Stepper, error_order


class PIDController:
    """Accepts a step whose scaled error is at most 1 and chooses the next length from the last three errors.

    The scaled error is r = norm(error / (atol + rtol max(|y|, |y_new|))) per sample, and the next length
    dt * safety r_n^-(kI+kP+kD) r_(n-1)^(kP+2kD) r_(n-2)^-kD with each k divided by the order of the estimate.
    A rejected step leaves the memory as it was.

    Args:
        rtol, atol: tolerances of the local error, relative and in the state's units; atol may be a tensor that
            broadcasts against the state. Either may be zero, not both.
        pcoeff, icoeff, dcoeff: kP, kI, kD.
        safety: aims that much below the tolerance.
        factor_min, factor_max: bounds of the change of length in one step.
        dt0: length of the first step, None to choose it.
        dt_max: longest step, None for no bound.
        norm: maps a state to (batch,), by default the root mean square.

    Raises:
        ValueError: a tolerance is negative or both are zero.
    """

    adaptive = True

    def __init__(
        self,
        rtol: float = 1e-3,
        atol: float | Tensor = 1e-6,
        *,
        pcoeff: float = 0.2,
        icoeff: float = 0.5,
        dcoeff: float = 0.0,
        safety: float = 0.9,
        factor_min: float = 0.2,
        factor_max: float = 10.0,
        dt0: float | None = None,
        dt_max: float | None = None,
        norm: Callable[[State], Tensor] = rms_norm,
    ) -> None:
        least = float(torch.as_tensor(atol).min())
        if rtol < 0 or least < 0 or (rtol == 0 and least == 0):
            raise ValueError(f"Expected rtol >= 0 and atol >= 0, not both zero, got rtol={rtol}, atol={atol}.")
        if dt0 is not None and dt0 <= 0:
            raise ValueError(f"Expected dt0 > 0, got {dt0}. To integrate backwards, give decreasing ts.")
        self.rtol, self.atol, self.norm = rtol, atol, norm
        self.coefficients = (icoeff + pcoeff + dcoeff, pcoeff + 2 * dcoeff, dcoeff)
        self.safety, self.factor_min, self.factor_max = safety, factor_min, factor_max
        self.dt0, self.dt_max = dt0, dt_max

    def start(self, stepper: Stepper, t: Tensor, y: State, span: Tensor, reuse: Any) -> Control:
        """The first length: dt0, else Hairer's choice where the stepper has a slope, else the whole span.

        Raises:
            ValueError: the stepper declares no error estimate.
        """
        order = error_order(stepper)
        if order is None:
            raise ValueError(
                f"{type(stepper).__name__} declares no error_order: without an error estimate its steps cannot be "
                "controlled adaptively. Use FixedStep(dt), or StepDoubling(stepper), which estimates the error of any."
            )
        if self.dt0 is not None:
            length = torch.full_like(t, self.dt0)
        elif hasattr(stepper, "slope"):
            length = self._first_length(stepper, order, t, y, span, reuse)
        else:
            length = span.abs()
        ones = torch.ones_like(t)
        history = (ones, ones, torch.full_like(t, float(order)))
        first = self._bounded(torch.minimum(length, span.abs())) * torch.sign(span)
        return Control(dt=first, accept=torch.zeros_like(t, dtype=torch.bool), history=history)

    def __call__(self, step: Step, y: State, dt: Tensor, control: Control) -> Control:
        """Judge the step.

        Raises:
            ValueError: the step carries no error estimate.
        """
        if step.error is None:
            raise ValueError(
                "The stepper declares an error_order but its Step has error=None. "
                "Use FixedStep(dt) or StepDoubling(stepper)."
            )
        before, before_that, order = control.history
        ratio = self.ratio(step, y).to(dt.dtype)
        finite = torch.isfinite(ratio)
        accept = finite & (ratio <= 1)
        floor = torch.finfo(ratio.dtype).tiny ** 0.5
        now = torch.where(finite, ratio, torch.ones_like(ratio)).clamp(min=floor).detach()
        first, second, third = (c / order for c in self.coefficients)
        factor = self.safety * now**-first * before**second * before_that**-third
        factor = factor.clamp(self.factor_min, self.factor_max)
        factor = torch.where(accept, factor, factor.clamp(max=self.safety))
        factor = torch.where(finite, factor, torch.full_like(factor, self.factor_min))
        history = (torch.where(accept, now, before), torch.where(accept, before, before_that), order)
        return Control(dt=self._bounded(dt * factor), accept=accept, ratio=ratio, history=history)

    def ratio(self, step: Step, y: State) -> Tensor:
        """The scaled error (batch,) of a step taken from ``y``."""
        return self.norm(map_state(self._scaled, step.error, y, step.y))

    def _scaled(self, error: Tensor, y: Tensor, new: Tensor) -> Tensor:
        return error / (self.atol + self.rtol * torch.maximum(y.abs(), new.abs()))

    def _bounded(self, dt: Tensor) -> Tensor:
        return dt if self.dt_max is None else dt.clamp(-self.dt_max, self.dt_max)

    @torch.no_grad()
    def _first_length(self, stepper: Any, order: int, t: Tensor, y: State, span: Tensor, reuse: Any) -> Tensor:
        """Hairer, Norsett, Wanner II.4: over this length an explicit Euler step changes its slope by the tolerance."""
        slope = stepper.slope(t, y, reuse)
        scaled = map_state(lambda f, u: f / (self.atol + self.rtol * u.abs()), slope, y)
        d0 = self.norm(map_state(lambda u: u / (self.atol + self.rtol * u.abs()), y)).to(t.dtype)
        d1 = self.norm(scaled).to(t.dtype)
        small = (d0 < 1e-5) | (d1 < 1e-5)
        h0 = torch.where(small, torch.full_like(t, 1e-6), 0.01 * d0 / d1.clamp(min=1e-5))
        h0 = torch.minimum(h0, span.abs())
        signed = h0 * torch.sign(span)
        ahead = map_state(lambda u, f: u + broadcast(signed, u) * f, y, slope)
        change = map_state(
            lambda f1, f, u: (f1 - f) / (self.atol + self.rtol * u.abs()),
            stepper.slope(t + signed, ahead, None),
            slope,
            y,
        )
        d2 = self.norm(change).to(t.dtype) / h0.clamp(min=torch.finfo(t.dtype).tiny)
        largest = torch.maximum(d1, d2)
        h1 = torch.where(
            largest <= 1e-15,
            torch.maximum(torch.full_like(t, 1e-6), h0 * 1e-3),
            (0.01 / largest.clamp(min=1e-15)) ** (1 / order),
        )
        finite = torch.isfinite(h1) & torch.isfinite(d0)
        return torch.where(finite, torch.minimum(100 * h0, h1), torch.full_like(t, 1e-6))
