"""Proportional-integral-derivative control of the local error.

Source: G. Soderlind, "Digital filters in adaptive time-stepping", ACM Trans. Math. Softw. 29 (2003); the first step
after E. Hairer, S. Norsett, G. Wanner, "Solving Ordinary Differential Equations I", section II.4.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from .controller import Control
from .state import State, broadcast, leaves, map_state, rms_norm
from .stepper import Step, Stepper, error_order

_TINY = 1e-15  # stands for an error that vanishes
_ROUNDED_UP = 1 + 1e-6


class Coefficients(NamedTuple):
    """Gains of the controller, each to be divided by the order of the error estimate."""

    proportional: float
    integral: float
    derivative: float


# Named as in the literature. INTEGRAL: Hairer, Norsett, Wanner, equation II.4.13. PI42: G. Soderlind, L. Wang,
# "Adaptive time-stepping and computational stability", J. Comput. Appl. Math. 185 (2006). PI33, PI34: K. Gustafsson,
# "Control theoretic techniques for stepsize selection in explicit Runge-Kutta methods", ACM TOMS 17 (1991). H211PI,
# H312PID: Soderlind (2003), table 2, with proportional, integral and derivative parts read off its digital filters.
INTEGRAL = Coefficients(0.0, 1.0, 0.0)
PI42 = Coefficients(0.2, 0.4, 0.0)
PI34 = Coefficients(0.4, 0.3, 0.0)
PI33 = Coefficients(1 / 3, 1 / 3, 0.0)
H211PI = Coefficients(-1 / 6, 1 / 3, 0.0)
H312PID = Coefficients(-2 / 9, 2 / 9, 1 / 18)


class PIDController:
    """Accepts a step whose scaled error is at most 1 and chooses the next length from the last three errors.

    The scaled error is r = norm(error / (atol + rtol max(|y|, |y_new|))) per sample, and the next length
    dt * safety r_n^-(kI+kP+kD) r_(n-1)^(kP+2kD) r_(n-2)^-kD with each k divided by the order of the estimate.
    A rejected step leaves the memory as it was. The factor is rounded to three decimals, so that the last bits of an
    error, which depend on how a batch is laid out in memory, do not reach the step sequence.

    Args:
        rtol, atol: tolerances of the local error, relative and in the state's units; each a number, or a tensor that
            broadcasts against the state, such as (channel, 1, 1), or (batch, 1) for tolerances of each sample. Either
            may be zero, not both in the same place.
        coefficients: the gains kP, kI, kD, such as ``INTEGRAL``, ``PI42``, ``PI34``, ``H211PI``, ``H312PID``.
        safety: aims that much below the tolerance.
        factor_min, factor_max: bounds of the change of length in one step.
        dt0: length of the first step, None to choose it.
        dt_min, dt_max: shortest and longest step, None for no bound. A sample whose error asks for less than ``dt_min``
            goes on with ``dt_min`` and its error.
        norm: maps a state to (batch,), by default the root mean square. A norm of part of a state makes the others
            follow without a say (the seminorm of adjoints).

    Raises:
        ValueError: a tolerance is negative or both are zero, or the bounds of dt contradict each other.
    """

    adaptive = True

    def __init__(
        self,
        rtol: float | Tensor = 1e-3,
        atol: float | Tensor = 1e-6,
        *,
        coefficients: tuple[float, float, float] = Coefficients(0.2, 0.5, 0.0),
        safety: float = 0.9,
        factor_min: float = 0.2,
        factor_max: float = 10.0,
        dt0: float | None = None,
        dt_min: float | None = None,
        dt_max: float | None = None,
        norm: Callable[[State], Tensor] = rms_norm,
    ) -> None:
        _check_tolerances(rtol, atol)
        if dt0 is not None and dt0 <= 0:
            raise ValueError(f"Expected dt0 > 0, got {dt0}. To integrate backwards, give decreasing ts.")
        if not 0 <= (dt_min or 0.0) <= (torch.inf if dt_max is None else dt_max):
            raise ValueError(f"Expected 0 <= dt_min <= dt_max, got dt_min={dt_min}, dt_max={dt_max}.")
        self.rtol, self.atol, self.norm = rtol, atol, norm
        kp, ki, kd = coefficients
        self.coefficients = Coefficients(kp, ki, kd)
        self.exponents = (ki + kp + kd, kp + 2 * kd, kd)
        self.safety, self.factor_min, self.factor_max = safety, factor_min, factor_max
        self.dt0, self.dt_min, self.dt_max = dt0, dt_min, dt_max

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
        exponents = tuple(torch.full_like(t, sign * k / order) for sign, k in zip((-1, 1, -1), self.exponents))
        first = self._bounded(torch.minimum(length, span.abs())) * torch.sign(span)
        own = {name: value for name, value in self._tolerances().items() if _has_samples(value, y)}
        return Control(first, torch.zeros_like(t, dtype=torch.bool), history=(ones, ones, exponents, own))

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
        before, before_that, (first, second, third), own = control.history
        ratio = self._ratio(step, y, **self._tolerances() | own).to(dt.dtype)
        accept = ratio <= 1  # not where it is NaN
        if self.dt_min is not None:
            accept = accept | (torch.isfinite(ratio) & (dt.abs() <= self.dt_min * _ROUNDED_UP))
        constant = ratio.detach() if ratio.requires_grad else ratio
        now = constant.clamp(min=_TINY)
        factor = now**first * self.safety
        _, proportional, derivative = self.exponents
        if proportional != 0:
            factor = factor * before**second
        if derivative != 0:
            factor = factor * before_that**third
            before_that = torch.where(accept, before, before_that)
        if proportional != 0 or derivative != 0:
            before = torch.where(accept, now, before)
        # After a rejection no memory may lengthen the step. (A pure integral controller has none.)
        if proportional != 0 or derivative != 0:
            factor = torch.where(accept, factor, factor.clamp(max=self.safety))
        factor = factor.clamp(max=self.factor_max)
        # Not clamp: where the error is NaN the step shrinks.
        factor = torch.where(factor > self.factor_min, factor, self.factor_min).round(decimals=3)
        return Control(self._bounded(dt * factor), accept, ratio, (before, before_that, (first, second, third), own))

    def ratio(self, step: Step, y: State) -> Tensor:
        """The scaled error (batch,) of a step taken from ``y``."""
        return self._ratio(step, y, self.rtol, self.atol)

    def select(self, y: State, rows: Tensor) -> PIDController:
        """The same control for these samples of ``y`` alone."""
        selected = copy(self)
        for name, value in self._tolerances().items():
            if _has_samples(value, y):
                setattr(selected, name, value[rows])
        return selected

    def _tolerances(self) -> dict[str, Any]:
        return {"rtol": self.rtol, "atol": self.atol}

    def _ratio(self, step: Step, y: State, rtol: float | Tensor, atol: float | Tensor) -> Tensor:
        def scaled(error: Tensor, old: Tensor, new: Tensor) -> Tensor:
            return error / (atol + rtol * torch.maximum(old.abs(), new.abs()))

        return self.norm(map_state(scaled, step.error, y, step.y))

    def _bounded(self, dt: Tensor) -> Tensor:
        if self.dt_max is not None:
            dt = dt.clamp(-self.dt_max, self.dt_max)
        return dt if self.dt_min is None else torch.where(dt.abs() < self.dt_min, torch.sign(dt) * self.dt_min, dt)

    @torch.no_grad()
    def _first_length(self, stepper: Any, order: int, t: Tensor, y: State, span: Tensor, reuse: Any) -> Tensor:
        """Hairer, Norsett, Wanner, section II.4, with its last formula made dimensionally consistent.

        Theirs, (0.01 / max(d1, d2))^(1 / order), compares a slope with a curvature: on y' = -k y it is right for k = 1
        only, and the step is rejected or wasted for others. Here the curvature gives the solution's own time scale T,
        and the local error over h is taken for d2 T^2 (h / T)^order.
        """
        scale = map_state(lambda u: self.atol + self.rtol * u.abs(), y)
        slope = stepper.slope(t, y, reuse)
        d0 = self.norm(map_state(torch.div, y, scale)).to(t.dtype)
        d1 = self.norm(map_state(torch.div, slope, scale)).to(t.dtype)
        small = (d0 < 1e-5) | (d1 < 1e-5)
        h0 = torch.where(small, torch.full_like(t, 1e-6), 0.01 * d0 / d1.clamp(min=1e-5))
        h0 = torch.minimum(h0, span.abs())
        signed = h0 * torch.sign(span)
        ahead = map_state(lambda u, f: u + broadcast(signed, u) * f, y, slope)
        change = map_state(lambda new, f, s: (new - f) / s, stepper.slope(t + signed, ahead, None), slope, scale)
        d2 = self.norm(change).to(t.dtype) / h0.clamp(min=torch.finfo(t.dtype).tiny)
        d2 = torch.maximum(d2, 1e-10 * (d0 + d1) + 1e-15)
        own = torch.maximum(d1 / d2, torch.sqrt(d0 / d2))
        h1 = own * (0.5 / (d2 * own.square())) ** (1 / order)
        finite = torch.isfinite(h1) & torch.isfinite(d0)
        return torch.where(finite, torch.minimum(100 * h0, h1), torch.full_like(t, 1e-6))


def _check_tolerances(rtol: float | Tensor, atol: float | Tensor) -> None:
    """Tolerances that every entry of a state can be measured by.

    Raises:
        ValueError: they are not, or do not broadcast against each other.
    """
    relative, absolute = torch.as_tensor(rtol), torch.as_tensor(atol)
    try:
        sound = bool(((relative >= 0) & (absolute >= 0) & (relative + absolute > 0)).all())
    except RuntimeError:
        shapes = f"{tuple(relative.shape)} and {tuple(absolute.shape)}"
        raise ValueError(f"Expected rtol and atol that both broadcast against the state, got {shapes}.") from None
    if not sound:
        raise ValueError(f"Expected rtol >= 0 and atol >= 0, not both zero, got rtol={rtol}, atol={atol}.")


def _has_samples(value: float | Tensor, y: State) -> bool:
    """Whether a tolerance has an entry for each sample, which goes where the sample goes."""
    return isinstance(value, Tensor) and any(
        value.dim() == leaf.dim() and len(value) == len(leaf) > 1 for leaf in leaves(y) if leaf.dim() > 0
    )
