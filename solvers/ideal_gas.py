"""The ideal gas: its two sets of variables, its sound speed and its flux.

A state has the channels (density, velocity_x[, velocity_y, velocity_z], pressure), the primitive variables, or
(density, momentum_x[, ...], total energy), the conserved ones, with the energy per volume p / (gamma - 1) +
density |velocity|^2 / 2. Everywhere gamma, the ratio of specific heats, is a float or one number per sample, (batch,).
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .state import broadcast


def per_sample(value: float | Tensor, field: Tensor) -> float | Tensor:
    """``value`` shaped to multiply ``field`` (batch, ...): a float as it is, (batch,) as (batch, 1, ...)."""
    return broadcast(value, field) if isinstance(value, Tensor) else value


def to_conserved(
    primitive: Float[Tensor, "batch channel *space"], gamma: float | Tensor
) -> Float[Tensor, "batch channel *space"]:
    """(density, velocity, pressure) as (density, momentum, total energy)."""
    density, velocity, pressure = primitive[:, :1], primitive[:, 1:-1], primitive[:, -1:]
    kinetic = 0.5 * density * squared_length(velocity)
    energy = pressure / (per_sample(gamma, primitive) - 1) + kinetic
    return torch.cat([density, density * velocity, energy], dim=1)


def to_primitive(
    conserved: Float[Tensor, "batch channel *space"], gamma: float | Tensor
) -> Float[Tensor, "batch channel *space"]:
    """(density, momentum, total energy) as (density, velocity, pressure)."""
    density, momentum, energy = conserved[:, :1], conserved[:, 1:-1], conserved[:, -1:]
    velocity = momentum / density
    kinetic = 0.5 * density * squared_length(velocity)
    pressure = (per_sample(gamma, conserved) - 1) * (energy - kinetic)
    return torch.cat([density, velocity, pressure], dim=1)


def sound_speed(
    primitive: Float[Tensor, "batch channel *space"], gamma: float | Tensor
) -> Float[Tensor, "batch 1 *space"]:
    """sqrt(gamma pressure / density)."""
    return torch.sqrt(per_sample(gamma, primitive) * primitive[:, -1:] / primitive[:, :1])


def physical_flux(
    primitive: Float[Tensor, "batch channel *space"], gamma: float | Tensor, axis: int
) -> Float[Tensor, "batch channel *space"]:
    """The Euler flux of the conserved variables along one axis (0 for x)."""
    normal, pressure = normal_velocity(primitive, axis), primitive[:, -1:]
    work = torch.cat([torch.zeros_like(pressure), along(axis, pressure, primitive), normal * pressure], dim=1)
    return normal * to_conserved(primitive, gamma) + work


def is_physical(primitive: Float[Tensor, "batch channel *space"]) -> Bool[Tensor, " batch"]:
    """Whether a sample is finite with positive density and pressure everywhere."""
    positive = (primitive[:, :1] > 0) & (primitive[:, -1:] > 0)
    finite = torch.isfinite(primitive).all(dim=1, keepdim=True)
    return (positive & finite).flatten(1).all(dim=1)


def normal_velocity(primitive: Tensor, axis: int) -> Tensor:
    """The velocity along an axis, with its channel axis kept."""
    return primitive.narrow(1, 1 + axis, 1)


def along(axis: int, value: Tensor, primitive: Tensor) -> Tensor:
    """A vector field of length ``value`` (batch, 1, *space) along an axis."""
    zero = torch.zeros_like(value)
    return torch.cat([value if k == axis else zero for k in range(primitive.shape[1] - 2)], dim=1)


def squared_length(vector: Tensor) -> Tensor:
    """Sum of the squared channels, in their order, so that batching cannot change its rounding."""
    total = vector[:, :1] * vector[:, :1]
    for k in range(1, vector.shape[1]):
        total = total + vector[:, k : k + 1] * vector[:, k : k + 1]
    return total
