"""``odeint_adjoint``: gradients by an equation that is integrated backwards, at the memory of the outputs alone.

Source: R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, "Neural ordinary differential equations", NeurIPS 2018,
appendices B and C. With a(t) the gradient with respect to y(t), da/dt = -a df/dy, and the gradients with respect to
parameters and to time are integrals of -a df/dp and -a df/dt. The state is integrated with them, and is set to what the
forward pass found at every output time.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from .adjoint_norm import adjoint_norm
from .callbacks import NAMES
from .errors import InputError
from .event import inner, with_event_gradient
from .norms import default_norm, of_packed
from .odeint import integrate, odeint
from .problem import Problem, pose


def odeint_adjoint(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Any = 1e-7,
    atol: Any = 1e-9,
    method: str | None = None,
    options: dict[str, Any] | None = None,
    event_fn: Callable[..., Tensor] | None = None,
    adjoint_rtol: Any = None,
    adjoint_atol: Any = None,
    adjoint_method: str | None = None,
    adjoint_options: dict[str, Any] | None = None,
    adjoint_params: Iterable[Tensor] | None = None,
) -> Any:
    """``odeint`` with gradients by the adjoint equation. They have no derivatives of their own.

    Args:
        func, y0, t, rtol, atol, method, options, event_fn: as for ``odeint``. Callbacks of the backward integration are
            the attributes ``callback_step_adjoint``, ... of ``func``.
        adjoint_rtol, adjoint_atol, adjoint_method, adjoint_options: of the backward integration, by default those of
            the forward one but for the norm. The option ``norm`` maps the tuple (gradient in t, y, gradient in y, and
            in each parameter) to a number, by default the largest of the norms of its members; ``"seminorm"`` leaves
            the parameters out, whose errors do not feed back.
        adjoint_params: what to differentiate by beside y0 and t; by default the parameters of ``func``, a module.

    Returns:
        As ``odeint``.

    Raises:
        InputError: an argument is not what is expected.
        IntegrationError: the integration did not reach its end.
    """
    if adjoint_params is None and not isinstance(func, nn.Module):
        raise InputError(
            f"Expected func to be an nn.Module, whose parameters are differentiated by, got {type(func).__name__}. "
            "Name them: adjoint_params=(...), or adjoint_params=() if there are none."
        )
    differs = adjoint_method is not None and adjoint_method != method
    if differs and options is not None and adjoint_options is None:
        raise InputError("Expected adjoint_options with an adjoint_method other than method: options are not its own.")
    if adjoint_options is None:
        adjoint_options = {name: value for name, value in (options or {}).items() if name != "norm"}
    params = _differentiable(_parameters(func) if adjoint_params is None else adjoint_params, adjoint_options)
    problem = pose(func, y0, t, rtol=rtol, atol=atol, event_fn=event_fn)
    norm = of_packed((options or {}).get("norm", default_norm(problem.packing)), problem.packing)
    backward = _Backward(
        rtol=_least(problem.rtol) if adjoint_rtol is None else adjoint_rtol,
        atol=_least(problem.atol) if adjoint_atol is None else adjoint_atol,
        method=adjoint_method if differs else method,
        options={**adjoint_options, "norm": adjoint_norm(adjoint_options.get("norm"), norm, problem.packing)},
    )
    event_t, packed = _Adjoint.apply(problem, method, options, backward, problem.y0, problem.ts, *params)
    ys = problem.packing.unpack(packed, (len(packed),))
    if event_fn is None:
        return ys
    return with_event_gradient(event_fn, problem.field, event_t.to(t), ys)


@dataclass(frozen=True)
class _Backward:
    """How to integrate backwards."""

    rtol: Any
    atol: Any
    method: str | None
    options: dict[str, Any]


class _Adjoint(torch.autograd.Function):
    """Packed states of the forward pass; ``grad_fn.adjoint_options`` are the options of the backward one."""

    @staticmethod
    def forward(
        ctx: Any,
        problem: Problem,
        method: str | None,
        options: dict[str, Any] | None,
        backward: _Backward,
        y0: Tensor,
        ts: Tensor,
        *params: Tensor,
    ) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            outcome = integrate(problem, method, options)
        event_t = ts[-1].detach().clone() if outcome.event_t is None else outcome.event_t.detach()
        times = ts.detach() if outcome.event_t is None else torch.stack([ts[0].detach(), event_t.to(ts)])
        ctx.problem, ctx.settings, ctx.adjoint_options = problem, backward, backward.options
        ctx.save_for_backward(times, outcome.ys, *params)
        ctx.mark_non_differentiable(event_t)
        return event_t, outcome.ys

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor, gradient: Tensor) -> tuple[Tensor | None, ...]:
        times, ys, *params = ctx.saved_tensors
        sweep = _Sweep(ctx.problem, ctx.settings, ctx.adjoint_options, tuple(params), ctx.needs_input_grad[5])
        in_y0, in_ts, in_params = sweep(times, ys, gradient)
        if in_ts is not None and ctx.problem.condition is not None:
            in_ts = torch.cat([in_ts[:1], torch.zeros_like(in_ts[1:])])
        return (None, None, None, None, in_y0, in_ts, *in_params)


@dataclass(frozen=True)
class _Sweep:
    """The adjoint equation, integrated from the last output time to the first."""

    problem: Problem
    settings: _Backward
    options: dict[str, Any]
    params: tuple[Tensor, ...]
    in_time: bool

    def __call__(self, times: Tensor, ys: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor | None, tuple[Tensor, ...]]:
        """Gradients in y0, in the times and in the parameters, of one in the states ``ys`` (time, ...)."""
        func = _Augmented(self.problem, self.params, self.in_time)
        adjoint, in_params = gradient[-1], tuple(torch.zeros_like(param) for param in self.params)
        total = ys.abs().new_zeros(())
        in_times = [total] * len(times)
        for k in range(len(times) - 1, 0, -1):
            if self.in_time:
                slope = self.problem.field.packed(times[k].to(total.dtype), ys[k])
                in_times[k] = inner(gradient[k], slope)
                total = total - in_times[k]
            found = odeint(
                func,
                (total, ys[k], adjoint, *in_params),
                times[k - 1 : k + 1].flip(0),
                rtol=self.settings.rtol,
                atol=self.settings.atol,
                method=self.settings.method,
                options=self.options,
            )
            total, _, adjoint, *rest = (part[1] for part in found)
            in_params = tuple(rest)
            adjoint = adjoint + gradient[k - 1]
        in_times[0] = total
        return adjoint, torch.stack(in_times).to(times.dtype) if self.in_time else None, in_params


class _Augmented:
    """The vector field of (gradient in t, y, gradient in y, gradients in the parameters).

    Args:
        problem: the problem whose solution is differentiated.
        params: the parameters.
        in_time: whether the gradient in t is wanted.
    """

    opaque = True  # its slopes cannot be differentiated

    def __init__(self, problem: Problem, params: tuple[Tensor, ...], in_time: bool) -> None:
        self.problem, self.params, self.in_time = problem, params, in_time
        for name in NAMES:
            setattr(self, name, getattr(problem.func, f"{name}_adjoint", None))

    def __call__(self, t: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """Time derivatives of all members."""
        with torch.enable_grad():
            y = state[1].detach().requires_grad_()
            t = t.detach().requires_grad_(self.in_time)
            slope = self.problem.field.packed(t, y)
            wanted = ((t, y) if self.in_time else (y,)) + self.params
            found = self._products(slope, wanted, -state[2])
        in_time, rest = (found[0], found[1:]) if self.in_time else (torch.zeros_like(t), found)
        return (in_time, slope.detach(), *rest)

    @staticmethod
    def _products(slope: Tensor, wanted: tuple[Tensor, ...], vector: Tensor) -> tuple[Tensor, ...]:
        if not slope.requires_grad:
            return tuple(torch.zeros_like(tensor) for tensor in wanted)
        return torch.autograd.grad(slope, wanted, vector, allow_unused=True, materialize_grads=True)


def _least(tolerance: float | Tensor) -> float:
    """The smallest of the tolerances of a state's members."""
    return float(tolerance.min()) if isinstance(tolerance, Tensor) else tolerance


def _differentiable(params: Iterable[Tensor], adjoint_options: dict[str, Any]) -> tuple[Tensor, ...]:
    """Those that require gradients."""
    params = tuple(params)
    kept = tuple(param for param in params if param.requires_grad)
    if len(kept) < len(params) and callable(adjoint_options.get("norm")):
        warnings.warn(
            "Some adjoint_params require no gradient: they are left out, also of what the adjoint norm is given.",
            stacklevel=3,
        )
    return kept


def _parameters(module: Any) -> list[Tensor]:
    """The parameters of a module, also of a replica in ``DataParallel``, where they are plain attributes."""
    if not getattr(module, "_is_replica", False):
        return list(module.parameters())
    attributes = (value for part in module.modules() for value in vars(part).values())
    return [value for value in attributes if isinstance(value, Tensor) and value.requires_grad]
