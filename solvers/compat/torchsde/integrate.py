"""``sdeint`` and ``sdeint_adjoint``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ...adjoint.checkpoint import RecursiveCheckpoint
from ...adjoint.reversible import ReversibleAdjoint
from ...controller import FixedStep, StepSizeController
from ...pid import PIDController
from .request import Request
from .twice import Twice


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
            and log_ode for Stratonovich. By default srk (euler with general noise), and midpoint.
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
    _check_constant(ts=ts, dt=dt, rtol=rtol, atol=atol, dt_min=dt_min)
    request = Request(sde, y0, ts, bm, method, float(dt), options or {}, names, logqp, extra_solver_state)
    controller = _controller(adaptive, float(dt), float(rtol), float(atol), float(dt_min))
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
    from checkpoints. No second SDE is solved, so the adjoint_ arguments have no effect, but that adjoint_params, by
    default those of the module, get a gradient in any case, beside all else that the solution depends on. Second
    derivatives (``create_graph=True``) take the memory of all steps.

    Raises:
        ValueError: as ``sdeint``; or ``sde`` is no module and adjoint_params are not given.
    """
    _warn_unused(unused_kwargs)
    if adjoint_params is None and not isinstance(sde, nn.Module):
        raise ValueError("Expected sde to be an nn.Module, or adjoint_params to be given; () where there are none.")
    _check_constant(ts=ts, dt=dt, rtol=rtol, atol=atol, dt_min=dt_min)
    request = Request(sde, y0, ts, bm, method, float(dt), options or {}, names, logqp, extra_solver_state)
    controller = _controller(adaptive, float(dt), float(rtol), float(atol), float(dt_min))
    params = tuple(sde.parameters()) if adjoint_params is None else tuple(adjoint_params)
    adjoint = Twice(ReversibleAdjoint() if method == "reversible_heun" else RecursiveCheckpoint(), params)
    return request.run(controller, adjoint, extra)


def _controller(adaptive: bool, dt: float, rtol: float, atol: float, dt_min: float) -> StepSizeController:
    return PIDController(rtol, atol, dt0=max(dt, dt_min), dt_min=dt_min) if adaptive else FixedStep(dt)


def _check_constant(**given: Any) -> None:
    """
    Raises:
        ValueError: an argument that is not differentiated by requires a gradient.
    """
    for name, value in given.items():
        if isinstance(value, Tensor) and value.requires_grad:
            raise ValueError(f"Expected {name} without a gradient: it is not differentiated by. Write {name}.detach().")


def _warn_unused(unused: dict[str, Any]) -> None:
    if unused:
        warnings.warn(f"Arguments without meaning: {sorted(unused)}.", stacklevel=3)
