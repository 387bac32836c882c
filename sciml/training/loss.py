"""Losses of one prediction, each a number per sample; ``fit`` hands them fields in normalised units.

A loss is any callable (prediction, target) -> (batch,). Being per sample, a mean over a batch is the same however the
batch was split over processes or micro-batches.
"""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

# A target that is zero everywhere has no relative error; against this it counts as an absolute one.
_TINY = 1e-8


@runtime_checkable
class Loss(Protocol):
    """``(prediction, target) -> (batch,)``, both of shape (batch, channel, *space)."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor: ...


def mean_square(
    prediction: Float[Tensor, "batch channel *space"], target: Float[Tensor, "batch channel *space"]
) -> Float[Tensor, " batch"]:
    """Mean of the squared error over channels and space."""
    return (prediction - target).square().flatten(1).mean(dim=1)


def mean_absolute(
    prediction: Float[Tensor, "batch channel *space"], target: Float[Tensor, "batch channel *space"]
) -> Float[Tensor, " batch"]:
    """Mean of the absolute error over channels and space."""
    return (prediction - target).abs().flatten(1).mean(dim=1)


def relative_l2(
    prediction: Float[Tensor, "batch channel *space"], target: Float[Tensor, "batch channel *space"]
) -> Float[Tensor, " batch"]:
    """||prediction - target|| / ||target|| over channels and space together.

    The training loss of Li et al., "Fourier Neural Operator for Parametric Partial Differential Equations", 2021.
    """
    return _relative(prediction, target, order=2)


def relative_l1(
    prediction: Float[Tensor, "batch channel *space"], target: Float[Tensor, "batch channel *space"]
) -> Float[Tensor, " batch"]:
    """sum |prediction - target| / sum |target| over channels and space together.

    The training loss of Herde et al., "Poseidon: Efficient Foundation Models for PDEs", 2024.
    """
    return _relative(prediction, target, order=1)


def _relative(prediction: Tensor, target: Tensor, order: int) -> Tensor:
    # vector_norm has subgradient 0 where the error is exactly zero; a square root of a sum would have NaN.
    error = torch.linalg.vector_norm((prediction - target).flatten(1), ord=order, dim=1)
    return error / torch.linalg.vector_norm(target.flatten(1), ord=order, dim=1).clamp(min=_TINY)
