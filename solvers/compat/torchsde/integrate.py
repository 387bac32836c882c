"""``sdeint`` and ``sdeint_adjoint``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ...adjoint.checkpoint import RecursiveCheckpoint
from ...adjoint.protocol import Adjoint
from ...adjoint.reversible import ReversibleAdjoint
from ...controller import FixedStep, StepSizeController
from ...pid import PIDController
from ...solve import solve
from ...step_doubling import StepDoubling
from ...stepper import Step
from ...stochastic.brownian import BrownianIncrement
from ...stochastic.log_ratio import LogRatio
from ...stochastic.reversible_heun import Companion, ReversibleHeunSDE
from ...stochastic.schemes import (
    EULER_HEUN,
    EULER_MARUYAMA,
    MILSTEIN,
    MILSTEIN_PLATEN,
    SRA1,
    SRIW1,
    STOCHASTIC_HEUN,
    STOCHASTIC_MIDPOINT,
)
from ...stochastic.sde import SDE, Calculus, Noise
from ...stochastic.sde_stepper import SDEScheme, SDEStepper
from .brownian import BrownianInterval
from .equation import Coefficients

_SCHEMES: dict[str, SDEScheme] = {
    "euler": EULER_MARUYAMA,
    "milstein": MILSTEIN,
    "midpoint": STOCHASTIC_MIDPOINT,
    "heun": STOCHASTIC_HEUN,
    "euler_heun": EULER_HEUN,
    "log_ode": STOCHASTIC_MIDPOINT,
}
_METHODS = sorted([*_SCHEMES, "srk", "reversible_heun"])


def sdeint(
    sde: Any,
    y0: Tensor,
    ts: Tensor | Sequence[float],
    bm: Any = None,
    method: str | None = None,
    dt: float | Tensor = 1e-3,
    adaptive: bool = False,
    rtol: float = 1e-5,
    atol: float = 1e-4,
    dt_min: float = 1e-5,
    options: dict[str, Any] | None = None,
    names: dict[str, str] | None = None,
    logqp: bool = False,
    extra: bool = False,
    extra_solver_state: tuple[Tensor, ...] | None = None,
    **unused_kwargs: Any,
) -> Any:
    """Integrate an SDE and differentiate through the solver.

    Args:
        sde: has noise_type, sde_type, and methods f and g (or f_and_g, g_prod, f_and_g_prod).
        y0: (batch, dimension), the state at ts[0].
        ts: increasing times.
        bm: a Brownian motion of shape (batch, noise), by default a fresh ``BrownianInterval``.
        method: euler, milstein (options: grad_free), srk for Ito; midpoint, milstein, heun, euler_heun, reversible_heun
            and log_ode (which is midpoint here: it adds Levy areas between channels, and no strong order) for
            Stratonovich. By default srk (euler with general noise), and midpoint.
        dt: length of a step; of the first one where adaptive.
        adaptive: control the error of the whole batch with rtol, atol and dt_min.
        names: other names of the methods.
        logqp: also return the log-ratio to the prior of drift h between successive times, (time - 1, batch).
        extra: also return the solver's state beside y at the end.
        extra_solver_state: what ``extra`` returned before.

    Returns:
        (time, batch, dimension), in a tuple with what logqp and extra ask for.

    Raises:
        ValueError: the SDE, y0, ts, method or their combination is unsound; the message says what to do.
    """
    _warn_unused(unused_kwargs)
    request = _Request(sde, y0, ts, bm, method, float(dt), options or {}, names, logqp, extra_solver_state)
    controller = _controller(adaptive, float(dt), rtol, atol, dt_min)
    return request.run(controller, None, extra)


def sdeint_adjoint(
    sde: Any,
    y0: Tensor,
    ts: Tensor | Sequence[float],
    bm: Any = None,
    method: str | None = None,
    adjoint_method: str | None = None,
    dt: float | Tensor = 1e-3,
    adaptive: bool = False,
    adjoint_adaptive: bool = False,
    rtol: float = 1e-5,
    adjoint_rtol: float = 1e-5,
    atol: float = 1e-4,
    adjoint_atol: float = 1e-4,
    dt_min: float = 1e-5,
    options: dict[str, Any] | None = None,
    adjoint_options: dict[str, Any] | None = None,
    adjoint_params: Sequence[Tensor] | None = None,
    names: dict[str, str] | None = None,
    logqp: bool = False,
    extra: bool = False,
    extra_solver_state: tuple[Tensor, ...] | None = None,
    **unused_kwargs: Any,
) -> Any:
    """``sdeint`` whose gradients take little memory.

    The gradient is the exact one of the numerical solution: reversible_heun undoes its steps, other methods run again
    from checkpoints. No second SDE is solved, so the adjoint_ arguments but adjoint_params have no effect.

    Raises:
        ValueError: as ``sdeint``; or ``sde`` is no module and adjoint_params are not given.
    """
    _warn_unused(unused_kwargs)
    if adjoint_params is None and not isinstance(sde, nn.Module):
        raise ValueError("Expected sde to be an nn.Module, or adjoint_params to be given; () where there are none.")
    request = _Request(sde, y0, ts, bm, method, float(dt), options or {}, names, logqp, extra_solver_state)
    controller = _controller(adaptive, float(dt), rtol, atol, dt_min)
    adjoint = ReversibleAdjoint() if method == "reversible_heun" else RecursiveCheckpoint()
    return request.run(controller, adjoint, extra)


@dataclass
class _Request:
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
        if not isinstance(self.y0, Tensor) or self.y0.dim() != 2:
            came = tuple(self.y0.shape) if isinstance(self.y0, Tensor) else type(self.y0).__name__
            raise ValueError(f"Expected y0 of shape (batch, dimension), got {came}.")
        ts = torch.as_tensor(self.ts, device=self.y0.device)
        if ts.dim() != 1 or not bool((ts.diff() > 0).all()):
            raise ValueError(f"Expected ts of shape (time,), strictly increasing, got {ts.tolist()}.")
        clock = ts.dtype if isinstance(self.ts, Tensor) and ts.is_floating_point() else self.y0.dtype
        noise_size = None if self.bm is None else self.bm.shape[-1]
        coefficients = Coefficients.of(self.sde, self.names, clock, noise_size)
        equation, y0, ratio = coefficients.to_sde(), self.y0[None], None
        if self.logqp:
            if "prior_drift" not in coefficients.methods:
                raise ValueError("Expected an sde with a prior drift for logqp: a method h, or names for it.")
            ratio = LogRatio(equation, coefficients.prior_drift)
            equation, y0 = ratio.sde, ratio.begin(y0)
        stepper = self._stepper(equation, y0, ts.to(torch.float64))
        watched: Any = _Remembering(stepper, self.state) if extra or self.state is not None else stepper
        if getattr(controller, "adaptive", False) and getattr(watched, "error_order", None) is None:
            if self.method == "euler" and equation.noise is not Noise.ADDITIVE:
                warnings.warn(
                    "Adaptive steps of the Euler-Maruyama method need not converge to the solution. Use method='srk', "
                    "or 'milstein'.",
                    stacklevel=3,
                )
            watched = StepDoubling(watched)
        ys = solve(watched, y0, ts.to(torch.float64), controller, adjoint=adjoint).ys[0]
        returned = [ys]
        if ratio is not None:
            states, total = ratio.split(ys)
            returned = [states, total.diff(dim=0)]
        if extra:
            returned.append(watched.extra() if isinstance(watched, _Remembering) else ())
        return returned[0] if len(returned) == 1 else tuple(returned)

    def _stepper(self, equation: SDE, y0: Tensor, ts: Tensor) -> SDEStepper | ReversibleHeunSDE:
        method = self.method or _default(equation)
        if method not in _METHODS:
            raise ValueError(f"Expected method to be one of {_METHODS}, got {method!r}.")
        path: Any = _Motion(self._motion(equation, y0, ts), y0.shape[1])
        if method == "reversible_heun":
            return ReversibleHeunSDE(equation, path)
        if method == "srk":
            return SDEStepper(equation, path, SRA1 if equation.noise is Noise.ADDITIVE else SRIW1)
        if method == "milstein" and self.options.get("grad_free", False):
            return SDEStepper(equation, path, MILSTEIN_PLATEN)
        return SDEStepper(equation, path, _SCHEMES[method])

    def _motion(self, equation: SDE, y0: Tensor, ts: Tensor) -> Any:
        if self.bm is not None:
            if hasattr(self.bm, "settle"):
                self.bm.settle(self.dt)
            return self.bm
        with torch.no_grad():
            g = equation.diffusion(ts[:1], y0)
        size = y0.shape[1:] if g.dim() == y0.dim() else (y0.shape[1], g.shape[-1])
        t0, t1 = float(ts[0]), max(float(ts[-1]), float(ts[0]) + self.dt)
        return BrownianInterval(t0, t1, tuple(size), y0.dtype, y0.device, dt=self.dt)


class _Motion:
    """A Brownian motion of (batch, noise) as the path of one sample, (1, batch, noise)."""

    def __init__(self, motion: Any, batch: int) -> None:
        if len(motion.shape) != 2 or motion.shape[0] != batch:
            raise ValueError(f"Expected bm of shape ({batch}, noise), got {tuple(motion.shape)}.")
        self.motion = motion
        self.shape = torch.Size((1, *motion.shape))

    def __call__(self, t: Tensor, dt: Tensor, *, area: bool = False) -> BrownianIncrement:
        start, length = float(t[0]), float(dt[0])
        if hasattr(self.motion, "increment"):
            step = self.motion.increment(start, length, area=area)
            return BrownianIncrement(step.w[None], None if step.area is None else step.area[None])
        return self._foreign(start, start + length, area)

    def select(self, rows: Tensor) -> _Motion:
        """There is one sample."""
        return self

    def _foreign(self, start: float, stop: float, area: bool) -> BrownianIncrement:
        """Ask a motion that knows torchsde's calls alone."""
        first, last = min(start, stop), max(start, stop)
        sign = 1.0 if stop >= start else -1.0
        if not area:
            return BrownianIncrement(sign * self.motion(first, last)[None])
        w, integral = self.motion(first, last, return_U=True)
        levy = integral / (last - first) - 0.5 * w if last > first else torch.zeros_like(w)
        return BrownianIncrement(sign * w[None], levy[None])


class _Remembering(nn.Module):
    """A stepper that begins from a given state beside y and keeps the last one."""

    def __init__(self, stepper: SDEStepper | ReversibleHeunSDE, state: tuple[Tensor, ...] | None) -> None:
        super().__init__()
        self.stepper, self.state = stepper, state
        self.order, self.error_order = stepper.order, stepper.error_order
        self.last: Companion | None = None
        if isinstance(stepper, ReversibleHeunSDE):
            self.start, self.reverse = self._start, stepper.reverse

    def forward(self, t: Tensor, dt: Tensor, y: Tensor, *reuse: Any) -> Step:
        step = self.stepper(t, dt, y, *reuse)
        self.last = step.reuse
        return step

    def extra(self) -> tuple[Tensor, ...]:
        """Drift, diffusion and companion state at the end, as torchsde orders them; () for other methods."""
        if self.last is None:
            return ()
        return self.last.drift[0], self.last.diffusion[0], self.last.y[0]

    def _start(self, t: Tensor, y: Tensor) -> Companion:
        if not self.state:
            return self.stepper.start(t, y)  # type: ignore[operator]
        drift, diffusion, companion = (tensor[None] for tensor in self.state)
        return Companion(companion, drift, diffusion)


def _default(equation: SDE) -> str:
    if equation.calculus is Calculus.STRATONOVICH:
        return "midpoint"
    return "euler" if equation.noise is Noise.GENERAL else "srk"


def _controller(adaptive: bool, dt: float, rtol: float, atol: float, dt_min: float) -> StepSizeController:
    return PIDController(rtol, atol, dt0=max(dt, dt_min), dt_min=dt_min) if adaptive else FixedStep(dt)


def _warn_unused(unused: dict[str, Any]) -> None:
    if unused:
        warnings.warn(f"Arguments without meaning: {sorted(unused)}.", stacklevel=3)
