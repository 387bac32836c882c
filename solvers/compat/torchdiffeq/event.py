"""Events: the first time at which a function of time and state is zero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .field import JointField


def joint_condition(
    event_fn: Callable[..., Tensor], field: JointField, t: Tensor, y0: Tensor
) -> Callable[[Tensor, Tensor], Tensor]:
    """``event_fn`` as a condition ``(t, y) -> (1,)`` of packed states (1, ...).

    Where it returns several numbers, the first of them to change its sign counts: the least of them, each multiplied
    by the sign that it has at the start (or just after, where it is zero there) changes its sign with it.
    """

    def values(time: Tensor, y: Tensor) -> Tensor:
        found = event_fn(field.time(time, y), field.packing.unpack(y.squeeze(0)))
        return found.reshape(-1)

    with torch.no_grad():
        start, y = t[:1].detach(), y0.detach().unsqueeze(0)
        first = values(start, y)
        if len(first) == 1:
            return values
        short = torch.finfo(y.abs().dtype).eps ** 0.5 * (t[1:] - t[:1]).detach()
        after = values(start + short, y + short.to(y.abs().dtype) * field(start, y))
        signs = torch.where(first == 0, torch.sign(after), torch.sign(first))
    return lambda time, y: (values(time, y) * signs).amin(dim=0, keepdim=True)


def with_event_gradient(func: Callable[..., Any], event_fn: Callable[..., Tensor], event_t: Tensor, ys: Any) -> Any:
    """Time and states of an event whose last state has the gradient of a fixed time."""
    tensor = isinstance(ys, Tensor)
    parts = (ys,) if tensor else ys
    last = tuple(part[-1] for part in parts)
    event_t, last = linked(func, event_fn, event_t, last[0] if tensor else last)
    ends = (last,) if tensor else last
    states = tuple(torch.cat([part[:-1], end.unsqueeze(0)]) for part, end in zip(parts, ends))
    return event_t, states[0] if tensor else states


def linked(
    func: Callable[..., Any], event_fn: Callable[..., Tensor], event_t: Tensor, state: Any
) -> tuple[Tensor, Any]:
    """Time and state of an event, unchanged, with the gradients of the implicit function theorem.

    With g the event function and f the vector field, dt = -(dg/dy dy + dg/dp dp) / (dg/dt + dg/dy f), where dy is the
    change of the state at a fixed time, and the state changes by dy + f dt. (For values that carry these gradients
    already the change of g is zero, and they stay as they are.)

    Args:
        func, event_fn: functions of (t, state).
        event_t: the time, of no axes.
        state: a tensor, or a tuple of tensors.
    """
    parts = (state,) if isinstance(state, Tensor) else tuple(state)
    tensor = isinstance(state, Tensor)
    with torch.no_grad():
        slope = func(event_t, state)
        slopes = (slope,) if tensor else tuple(slope)
    value = _nearest(event_fn(event_t, state))
    if not value.requires_grad:
        return event_t, state
    rate = _rate(event_fn, event_t, parts, slopes, tensor)
    shift = -(value - value.detach()) / rate if bool(rate != 0) else torch.zeros_like(value)
    moved = tuple(part + slope.to(part.dtype) * shift.to(part.abs().dtype) for part, slope in zip(parts, slopes))
    return event_t + shift.to(event_t.dtype), moved[0] if tensor else moved


def _nearest(values: Tensor) -> Tensor:
    """The component of an event function that is zero."""
    flat = values.reshape(-1)
    return flat[flat.detach().abs().argmin()]


def _rate(
    event_fn: Callable[..., Tensor], event_t: Tensor, parts: tuple[Tensor, ...], slopes: tuple[Tensor, ...], tensor: bool
) -> Tensor:
    """The time derivative of the event function along the solution, a constant."""
    with torch.enable_grad():
        leaves = tuple(part.detach().requires_grad_() for part in (event_t, *parts))
        value = _nearest(event_fn(leaves[0], leaves[1] if tensor else leaves[1:]))
        found = torch.autograd.grad(value, leaves, allow_unused=True, materialize_grads=True)
    total = found[0]
    for gradient, slope in zip(found[1:], slopes):
        product = (gradient.conj() * slope).real if gradient.is_complex() else gradient * slope
        total = total + product.sum()
    return total
