"""The grid's part of a step: momentum to velocity, gravity, walls."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from . import native
from .contact import Walls
from .lattice import Lattice


def node_velocity(
    nodes: Float[Tensor, "batch *shape channel"],
    kick: Float[Tensor, "batch d"],
    walls: Walls,
    lattice: Lattice,
    mass_floor: float = 0.0,
) -> Float[Tensor, "batch *shape channel"]:
    """Velocities (the first d channels) from momentum and mass: p / (m + floor) + kick, then what the walls leave.

    Nodes without mass have none. The tensor ``nodes`` may be overwritten, where no gradient needs it.
    """
    if native.serves(nodes, kick):
        return native.update_nodes(nodes, kick, walls, lattice, mass_floor)
    momentum, mass = nodes[..., :-1], nodes[..., -1:]
    filled = mass > 0
    velocity = momentum / torch.where(filled, mass + mass_floor, torch.ones_like(mass))
    shaped = kick.reshape(len(kick), *(1,) * lattice.dim, lattice.dim)
    velocity = walls(velocity + torch.where(filled, shaped, torch.zeros_like(shaped)))
    return torch.cat([velocity, mass], dim=-1)
