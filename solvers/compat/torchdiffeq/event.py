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
    """``event_fn`` as a condition ``(t, y) -> (1,)`` of packed states (1, ...), positive until the event.

    Where it returns several numbers, the first of them to change its sign counts: the least of them, each multiplied
    by the sign that it has at the start (or just after, where it is zero there) changes its sign with it.
    """

    def values(time: Tensor, y: Tensor) -> Tensor:
        found = event_fn(field.time(time, y), field.packing.unpack(y.squeeze(0)))
        return found.reshape(-1)

    with torch.no_grad():
        start, y = t[:1].detach(), y0.detach().unsqueeze(0)
        signs = torch.sign(values(start, y))
        if bool((signs == 0).any()):
            short = torch.finfo(y.abs().dtype).eps ** 0.5 * (t[1:] - t[:1]).detach()
            after = values(start + short, y + short.to(y.abs().dtype) * field(start, y))
            signs = torch.where(signs == 0, torch.sign(after), signs)

    def condition(time: Tensor, y: Tensor) -> Tensor:
        return (values(time, y) * signs).amin(dim=0, keepdim=True)

    return condition


def with_event_gradient(event_fn: Callable[..., Tensor], field: JointField, event_t: Tensor, ys: Any) -> Any:
    """Time and states (2, ...) of an event, unchanged, with the gradients of the implicit function theorem.

    Args:
        event_fn: function of (t, y).
        field: the vector field.
        event_t: the time, of no axes.
        ys: the states at the start and at the event, with the gradient of a fixed time.
    """
    packing = field.packing
    first, last = (packing.pack(_at(ys, index)) for index in (0, 1))
    event_t, last = _linked(event_fn, field, event_t, last)
    return event_t, packing.unpack(torch.stack([first, last]), (2,))


def _at(ys: Any, index: int) -> Any:
    return ys[index] if isinstance(ys, Tensor) else tuple(part[index] for part in ys)


def _linked(event_fn: Callable[..., Tensor], field: JointField, event_t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    """Time and state of the event with their gradients.

    With g the event function, f the vector field and dy the change of the state at a fixed time, the time changes by
    dt = -(dg/dy dy + dg/dp dp) / (dg/dt + dg/dy f), and the state by dy + f dt.

    For values that carry these gradients already the change of g is zero, and they stay as they are.
    """
    value = _nearest(event_fn, field, event_t, y)
    if not value.requires_grad:
        return event_t, y
    with torch.no_grad():
        slope = field.packed(event_t.to(y.abs().dtype), y)
    rate = _rate(event_fn, field, event_t, y, slope)
    if bool(rate == 0):
        return event_t, y
    shift = -(value - value.detach()) / rate
    return event_t + shift.to(event_t.dtype), y + slope * shift.to(y.abs().dtype)


def _nearest(event_fn: Callable[..., Tensor], field: JointField, t: Tensor, y: Tensor) -> Tensor:
    """The component of an event function that is zero at (t, y)."""
    flat = event_fn(t, field.packing.unpack(y)).reshape(-1)
    return flat[flat.detach().abs().argmin()]


def _rate(event_fn: Callable[..., Tensor], field: JointField, t: Tensor, y: Tensor, slope: Tensor) -> Tensor:
    """The time derivative of the event function along the solution, a constant."""
    with torch.enable_grad():
        t, y = t.detach().requires_grad_(), y.detach().requires_grad_()
        value = _nearest(event_fn, field, t, y)
        in_t, in_y = torch.autograd.grad(value, (t, y), allow_unused=True, materialize_grads=True)
    return in_t + inner(in_y, slope).to(in_t.dtype)


def inner(gradient: Tensor, change: Tensor) -> Tensor:
    """By how much a number of that gradient changes."""
    return (gradient.conj() * change).real.sum() if change.is_complex() else (gradient * change).sum()
