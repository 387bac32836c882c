"""From a predicted acceleration to the next state."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from .box import Box
from .normalization import MotionNormalization
from .state import Layout, Particles


def advance(
    particles: Particles,
    output: Float[Tensor, "batch node dim"],
    *,
    box: Box,
    normalization: MotionNormalization,
    contain: bool = False,
) -> Float[Tensor, "batch node dim"]:
    """The next positions, by semi-implicit Euler in units of frames: v' = v + a, x' = x + v'.

    Sanchez-Gonzalez et al. 2020, section 3.3. Prescribed particles keep their velocity; ``Prescribed`` moves them
    otherwise.

    Args:
        particles: the state.
        output: of the network, the normalised acceleration.
        box: for its periods, and its walls.
        normalization: the scales.
        contain: stop particles at the walls.
    """
    x = particles.newest
    velocity = box.difference(x, particles.positions[:, -2])
    acceleration = normalization.decode_acceleration(output.to(x.dtype)).to(x.dtype)
    acceleration = torch.where(particles.free[..., None], acceleration, torch.zeros_like(acceleration))
    new = box.wrap(x + (velocity + acceleration))
    if contain and box.walls:
        walled = torch.tensor([not repeats for repeats in box.periodic], device=x.device)
        low, high = box.corners(x)
        kept = torch.where(walled, torch.minimum(torch.maximum(new, low), high), new)
        new = torch.where(particles.free[..., None], kept, new)
    return new


def shifted(
    y: Float[Tensor, "batch node channel"],
    new: Float[Tensor, "batch node dim"],
    dt: Float[Tensor, " batch"],
    layout: Layout,
    particles: Particles,
) -> Float[Tensor, "batch node channel"]:
    """The state with its oldest positions dropped and ``new`` appended.

    Samples with dt = 0 and places without a particle are the very numbers of ``y``.
    """
    stepped = torch.cat([y[..., layout.dim : layout.moving], new.to(y.dtype), y[..., layout.moving :]], dim=-1)
    moves = particles.real & (dt != 0)[:, None]
    return torch.where(moves[..., None], stepped, y)
