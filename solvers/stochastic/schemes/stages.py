"""Sums over the stages of stochastic Runge-Kutta schemes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from ...state import rms_norm

Row = tuple[float, ...]


def weighted(weights: Row, parts: Sequence[Tensor | None]) -> Tensor | float:
    """sum_i weights_i parts_i; parts of weight zero are not looked at. Without any it is 0."""
    total: Tensor | float = 0.0
    for weight, part in zip(weights, parts):
        if weight == 0.0 or part is None:
            continue
        total = part * weight if isinstance(total, float) else torch.add(total, part, alpha=weight)
    return total


def quotient(slopes: Float[Tensor, "batch *state"], states: Float[Tensor, "batch *state"]) -> Float[Tensor, " batch"]:
    """|slopes| / |states| of two stages' differences, an estimate of stiffness; 0 where they coincide."""
    apart = rms_norm(states)
    return torch.where(apart > 0, rms_norm(slopes) / torch.where(apart > 0, apart, 1.0), 0.0)
