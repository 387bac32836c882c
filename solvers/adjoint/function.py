"""Attach a gradient to values that were computed without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Gradients = tuple[Tensor | None, ...]


@dataclass(frozen=True)
class Rule:
    """Values and how to pull gradients back through them.

    Attributes:
        values: tensors without gradients.
        pullback: maps the gradients with respect to ``values`` to those with respect to the inputs.
        name: of the adjoint, for messages.
    """

    values: tuple[Tensor, ...]
    pullback: Callable[[tuple[Tensor, ...]], Gradients]
    name: str


def attach(rule: Rule, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """The values of ``rule`` as differentiable functions of ``inputs``, of which at least one requires gradients."""
    return _Attached.apply(rule, *inputs)


class _Attached(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rule: Rule, *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.rule, ctx.autocast = rule, _autocast_of(rule.values[0].device.type)
        ctx.save_for_backward(*inputs)
        return tuple(value.detach() for value in rule.values)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        inputs = ctx.saved_tensors  # raises if a parameter has been changed in place since
        with torch.no_grad(), ctx.autocast():
            found = ctx.rule.pullback(gradients)
        if torch.is_grad_enabled():  # asked for with create_graph=True
            found = _first_order(ctx.rule.name, found, (*gradients, *inputs))
        return (None, *found)


class _FirstOrder(torch.autograd.Function):
    """Gradients that depend on ``sources``, but not differentiably."""

    @staticmethod
    def forward(ctx: Any, name: str, count: int, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.name = name
        return tuple(tensor.detach() for tensor in tensors[:count])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        raise RuntimeError(f"{ctx.name} has first derivatives only. For second ones solve with adjoint=Direct().")


def _first_order(name: str, found: Gradients, sources: tuple[Tensor, ...]) -> Gradients:
    given = [gradient for gradient in found if gradient is not None]
    wrapped = iter(_FirstOrder.apply(name, len(given), *given, *sources))
    return tuple(None if gradient is None else next(wrapped) for gradient in found)


def _autocast_of(device: str) -> Callable[[], Any]:
    """Restores the autocast that the forward pass ran under."""
    enabled, dtype = torch.is_autocast_enabled(device), torch.get_autocast_dtype(device)
    return lambda: torch.autocast(device, dtype=dtype, enabled=enabled)
