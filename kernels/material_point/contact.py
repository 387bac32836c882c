"""What happens to the velocity of grid nodes at the walls of their box."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Contact:
    """How a body meets a surface.

    Attributes:
        friction: Coulomb's coefficient: the tangential velocity loses up to ``friction`` times the normal velocity
            that is stopped. 0 slides freely, infinity stops all of it.
        separating: only what moves into the surface is stopped; otherwise the body adheres.

    Raises:
        ValueError: friction is negative, or finite and positive where nothing separates (it needs a normal force).
    """

    friction: float = 0.0
    separating: bool = True

    def __post_init__(self) -> None:
        if not self.friction >= 0:
            raise ValueError(f"Expected friction >= 0, got {self.friction}.")
        if not self.separating and 0 < self.friction < math.inf:
            raise ValueError(
                f"Expected friction 0 or infinite for a surface that holds on, got {self.friction}. Coulomb's friction "
                "needs separating=True."
            )

    def __call__(
        self, velocity: Float[Tensor, "*batch d"], normal: Float[Tensor, "*#batch d"]
    ) -> Float[Tensor, "*batch d"]:
        """The velocity relative to a surface whose unit normal points to the body."""
        along = (velocity * normal).sum(-1, keepdim=True)
        stopped = torch.zeros_like(velocity)
        if self.friction < math.inf:
            stopped = velocity - along * normal
            if self.friction > 0:
                speed = torch.linalg.vector_norm(stopped, dim=-1, keepdim=True)
                speed = torch.where(speed > 0, speed, torch.ones_like(speed))
                stopped = stopped * (1 + self.friction * along / speed).clamp_min(0)
        return torch.where(along < 0, stopped, velocity) if self.separating else stopped


SLIP = Contact(friction=0.0)
"""Slides along, moves away freely: NCLaw's freeslip."""
NO_SLIP = Contact(friction=math.inf)
"""Stops what moves into it, lets go what moves away: NCLaw's noslip."""
STICKY = Contact(friction=math.inf, separating=False)
"""Holds everything."""
ADHERING_SLIP = Contact(friction=0.0, separating=False)
"""Slides along, never lets go: a plane of symmetry."""

AxisWalls: TypeAlias = Contact | tuple[Contact | None, Contact | None] | None
"""Of one axis: the same at both ends, or (low, high); None for none."""


@dataclass(frozen=True, slots=True)
class Walls:
    """The faces of the box: nodes with index i < thickness, and with i > n - thickness, of n along the axis.

    In a box of n cells whose node n is not stored, as the unit box of NCLaw, both faces lie at the same distance from
    its ends, thickness - 1 cells.

    Attributes:
        contacts: (low, high) for each axis.
        thickness: at least 3, the width of a point's stencil.
    """

    contacts: tuple[tuple[Contact | None, Contact | None], ...]
    thickness: int = 3

    @classmethod
    def of(cls, walls: AxisWalls | list[AxisWalls], dim: int, thickness: int) -> Walls:
        """From one description for all axes, or a list with one for each.

        Raises:
            ValueError: the list has another length, or thickness is below 1.
        """
        axes = list(walls) if isinstance(walls, list) else [walls] * dim
        if len(axes) != dim:
            raise ValueError(f"Expected walls for each of {dim} axes, got {len(axes)}.")
        if thickness < 1:
            raise ValueError(f"Expected a wall thickness of 1 node or more, got {thickness}.")
        return cls(tuple(axis if isinstance(axis, tuple) else (axis, axis) for axis in axes), thickness)

    def __call__(self, velocity: Float[Tensor, "batch *shape d"]) -> Float[Tensor, "batch *shape d"]:
        """The velocities with those of the faces changed, axis after axis."""
        for axis, contacts in enumerate(self.contacts):
            inner = velocity.shape[1 + axis] - 2 * self.thickness + 1
            low, middle, high = velocity.split([self.thickness, inner, self.thickness - 1], 1 + axis)
            sides = []
            for face, contact, sign in ((low, contacts[0], 1.0), (high, contacts[1], -1.0)):
                normal = velocity.new_zeros(velocity.shape[-1])
                normal[axis].fill_(sign)
                sides.append(face if contact is None else contact(face, normal))
            velocity = torch.cat([sides[0], middle, sides[1]], dim=1 + axis)
        return velocity
