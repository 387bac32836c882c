"""What a scaled error is measured by: one number for the whole state."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .packing import Packing

Norm = Callable[[Any], Any]
"""Maps a state, a tensor or a tuple of tensors without a batch axis, to one number."""


def rms(tensor: Tensor) -> Tensor:
    """The root mean square."""
    return torch.linalg.vector_norm(tensor) / max(tensor.numel(), 1) ** 0.5


def largest_rms(tensors: tuple[Tensor, ...]) -> Tensor | float:
    """The largest root mean square of several tensors."""
    return torch.stack([rms(tensor) for tensor in tensors]).amax() if tensors else 0.0


def default_norm(packing: Packing) -> Norm:
    """The root mean square of a tensor, the largest one of a tuple's."""
    return rms if packing.shapes is None else largest_rms


def of_packed(norm: Norm, packing: Packing) -> Callable[[Tensor], Any]:
    """``norm`` of the state that a packed one stands for."""
    return norm if packing.shapes is None else lambda packed: norm(packing.unpack(packed))


def of_batch(norm: Callable[[Tensor], Any]) -> Callable[[Tensor], Tensor]:
    """``norm`` for a batch of one: of shape (1,)."""

    def batched(packed: Tensor) -> Tensor:
        return torch.as_tensor(norm(packed.squeeze(0))).abs().reshape(1)

    return batched
