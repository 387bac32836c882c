"""What is computed on a device against the same on the CPU."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from sciml.solvers import Solution
from sciml.solvers.state import leaves, map_state

F64 = torch.float64
CPU = torch.device("cpu")
ENDS = (2.0, 0.35, -1.4, 1.1)  # of the samples' time spans: one is done long before the others, one runs backwards


def moved(value: Any, device: torch.device) -> Any:
    """A tensor, or a structure of them, on a device."""
    return map_state(lambda leaf: leaf.to(device), value)


def wanted(*tensors: Tensor, device: torch.device) -> list[Tensor]:
    """Leaves of their own on a device, that ask for gradients."""
    return [tensor.detach().to(device, copy=True).requires_grad_() for tensor in tensors]


def numbers(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    """Normal numbers on the CPU, the same at every call."""
    return torch.randn(*shape, dtype=dtype, generator=torch.Generator().manual_seed(seed))


def spans(outputs: int = 5, ends: Sequence[float] = ENDS) -> Tensor:
    """Output times (batch, time) on the CPU, from 0 to the end of each sample."""
    return torch.linspace(0, 1, outputs, dtype=F64) * torch.tensor(ends, dtype=F64)[:, None]


def assert_same(found: Any, expected: Any, device: torch.device, *, rtol: float = 1e-9, atol: float = 1e-11) -> None:
    """``found`` lies on the device, and its numbers, NaN where they are, are those of ``expected`` on the CPU."""
    for one, other in zip(leaves(found), leaves(expected), strict=True):
        assert one.device == device
        torch.testing.assert_close(one.cpu(), other, rtol=rtol, atol=atol, equal_nan=True)


def assert_same_solution(
    found: Solution,
    expected: Solution,
    device: torch.device,
    *,
    rtol: float = 1e-9,
    atol: float = 1e-11,
    iterates: bool = False,
) -> None:
    """The same states by the same steps; where a step ``iterates`` to rounding, its evaluations may differ."""
    for name in ("accepted", "rejected", "status", *(() if iterates else ("evaluations",))):
        assert_same(getattr(found.statistics, name), getattr(expected.statistics, name), device, rtol=0, atol=0)
    for name in ("ts", "ys", "t_end", "y_end"):
        assert_same(getattr(found, name), getattr(expected, name), device, rtol=rtol, atol=atol)
    if expected.events is not None:
        assert found.events is not None
        assert_same(found.events.which, expected.events.which, device, rtol=0, atol=0)
        assert_same(found.events.t, expected.events.t, device, rtol=rtol, atol=atol)
        assert_same(found.events.y, expected.events.y, device, rtol=rtol, atol=atol)


def assert_same_gradients(
    found: Sequence[Tensor], expected: Sequence[Tensor], device: torch.device, rtol: float
) -> None:
    """The same to ``rtol`` of the largest entry of each."""
    for one, other in zip(found, expected, strict=True):
        assert bool((other != 0).any())
        assert_same(one, other, device, rtol=0, atol=rtol * float(other.abs().max()))
