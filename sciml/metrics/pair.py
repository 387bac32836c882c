"""What every metric does first: check that prediction and target belong together, and name the spatial axes."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

Trajectories = Float[Tensor, "batch time channel *space"]
Particles = Float[Tensor, "batch time node dim"]

_FIELD = "(batch, time, channel, *space)"
_PARTICLE = "(batch, time, node, dim)"


def field_pair(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The two fields in one dtype of at least single precision; no error is computed in half precision.

    Raises:
        ValueError: shapes that differ, or not (batch, time, channel, *space) with one to three spatial axes.
    """
    _check_same(prediction, target, _FIELD)
    if not 4 <= target.ndim <= 6:
        raise ValueError(
            f"Expected target of shape {_FIELD} with one to three spatial axes, got {tuple(target.shape)}. "
            "A single frame needs a time axis: u[:, None]."
        )
    return _promote(prediction, target)


def particle_pair(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Two sets of particle trajectories in one dtype of at least single precision.

    Raises:
        ValueError: shapes that differ, or not (batch, time, node, dim).
    """
    _check_same(prediction, target, _PARTICLE)
    if target.ndim != 4:
        raise ValueError(
            f"Expected target of shape {_PARTICLE}, got {tuple(target.shape)}. "
            "A single trajectory needs a batch axis: x[None]."
        )
    return _promote(prediction, target)


def _check_same(prediction: Tensor, target: Tensor, axes: str) -> None:
    if prediction.shape != target.shape:
        raise ValueError(
            f"Expected prediction of the target's shape {axes} = {tuple(target.shape)}, got {tuple(prediction.shape)}. "
            "Score the same frames of both: prediction[:, : target.shape[1]]."
        )


def _promote(prediction: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    dtype = torch.promote_types(torch.promote_types(prediction.dtype, target.dtype), torch.float32)
    return prediction.to(dtype), target.to(dtype)


def space_axes(u: Tensor) -> tuple[int, ...]:
    """Axes 3, 4, ... of a trajectory (batch, time, channel, *space)."""
    return tuple(range(3, u.ndim))


def space_size(u: Tensor) -> int:
    """Number of grid points."""
    return math.prod(u.shape[3:])


def root_mean_square(u: Trajectories) -> Float[Tensor, "batch time channel"]:
    """sqrt(mean over space of u^2), by a norm whose gradient at an exactly zero error is 0 and not NaN."""
    return torch.linalg.vector_norm(u, dim=space_axes(u)) / math.sqrt(space_size(u))


def mean_square(u: Trajectories) -> Float[Tensor, "batch time channel"]:
    """Mean over space of u^2."""
    return u.square().mean(dim=space_axes(u))
