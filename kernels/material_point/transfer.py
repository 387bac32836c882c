"""Between material points and the nodes of a grid: quadratic B-splines and affine velocities.

APIC (Jiang, Schroeder, Selle, Teran and Stomakhin, "The Affine Particle-In-Cell Method", SIGGRAPH 2015) in the form of
MLS-MPM (Hu et al., "A Moving Least Squares Material Point Method", SIGGRAPH 2018). Node i of an axis is at
origin + i spacing; a point touches the three nodes around it along each axis, the first of which is
floor((x - origin) / spacing - 1/2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Lattice:
    """The nodes of a grid.

    Attributes:
        shape: nodes along each axis, 2 or 3 of them.
        spacing: distance of neighbours, the same along all axes.
        origin: position of the first node, one number for each axis.
    """

    shape: tuple[int, ...]
    spacing: float
    origin: tuple[float, ...]

    @property
    def dim(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def size(self) -> int:
        """Nodes in all."""
        return int(torch.Size(self.shape).numel())

    def points(self, *, dtype: torch.dtype, device: torch.device) -> Float[Tensor, "*shape d"]:
        """Positions of the nodes."""
        axes = [
            torch.arange(count, dtype=dtype, device=device) * self.spacing + start
            for count, start in zip(self.shape, self.origin)
        ]
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


class Transfer:
    """Between points and nodes, for as long as the points stay where they are.

    Args:
        position: of the points; one that has not all its nodes in the grid (see ``outside``) gives nonsense.
        lattice: the nodes.
    """

    def __init__(self, position: Float[Tensor, "batch node d"], lattice: Lattice) -> None:
        self.lattice = lattice
        self._nodes, self._weights, self._offsets = _stencil(position, lattice)

    def to_grid(
        self,
        mass: Float[Tensor, "batch node"],
        velocity: Float[Tensor, "batch node d"],
        affine: Float[Tensor, "batch node d d"],
    ) -> Float[Tensor, "batch *shape channel"]:
        """Momentum and mass of the nodes, (batch, *shape, d + 1): sum over points of w (m v + A (x_i - x), m)."""
        shape = self._offsets.shape
        momentum = mass[..., None] * velocity
        carried = momentum[:, :, None, :] + torch.einsum("bnij,bnkj->bnki", affine, self._offsets)
        both = torch.cat([carried, mass[:, :, None, None].expand(*shape[:-1], 1)], dim=-1)
        weighted = self._weights[..., None] * both
        channels = self.lattice.dim + 1
        grid = weighted.new_zeros(len(mass) * self.lattice.size, channels)
        grid = grid.index_add(0, self._nodes.flatten(), weighted.reshape(-1, channels))
        return grid.reshape(len(mass), *self.lattice.shape, channels)

    def to_points(
        self, velocity: Float[Tensor, "batch *shape d"]
    ) -> tuple[Float[Tensor, "batch node d"], Float[Tensor, "batch node d d"]]:
        """Velocity sum_i w v_i of the points, and its gradient C = 4 / spacing^2 sum_i w v_i (x_i - x)^T."""
        nodes = velocity.reshape(-1, velocity.shape[-1])[self._nodes]
        weighted = self._weights[..., None] * nodes
        gradient = torch.einsum("bnki,bnkj->bnij", weighted, self._offsets) * (4 / self.lattice.spacing**2)
        return weighted.sum(dim=2), gradient


def _stencil(position: Tensor, lattice: Lattice) -> tuple[Tensor, Tensor, Tensor]:
    """The 3^d nodes around each point.

    Returns:
        Indices into the nodes of all samples (batch, node, support), weights of the same shape that sum to one, and
        positions of the nodes minus that of the point (batch, node, support, d).
    """
    dim, device = lattice.dim, position.device
    scaled = torch.stack([(position[..., a] - lattice.origin[a]) / lattice.spacing for a in range(dim)], dim=-1)
    base = (scaled.detach() - 0.5).floor()
    along = scaled - base  # 0.5 to 1.5
    splines = torch.stack(
        [0.5 * (1.5 - along).square(), 0.75 - (along - 1).square(), 0.5 * (along - 0.5).square()], dim=-1
    )
    steps = torch.cartesian_prod(*[torch.arange(3, device=device)] * dim)
    first = base.nan_to_num().clamp(min=0).long()
    index = torch.arange(len(position), device=device)[:, None, None]
    weights = torch.ones((), dtype=position.dtype, device=device)
    for axis in range(dim):
        weights = weights * splines[:, :, axis, :][..., steps[:, axis]]
        node = first[:, :, axis].clamp(max=lattice.shape[axis] - 3)
        index = index * lattice.shape[axis] + node[..., None] + steps[:, axis]
    return index, weights, (steps.to(position.dtype) - along[:, :, None, :]) * lattice.spacing


def outside(position: Float[Tensor, "batch node d"], lattice: Lattice) -> Tensor:
    """Which points (batch, node) have not all their nodes in the grid, or are not finite."""
    inside = torch.ones(position.shape[:-1], dtype=torch.bool, device=position.device)
    for axis, (count, start) in enumerate(zip(lattice.shape, lattice.origin)):
        scaled = (position[..., axis] - start) / lattice.spacing
        inside = inside & (scaled >= 0.5) & (scaled < count - 1.5)
    return ~inside


def as_numbers(values: Sequence[float], dim: int, name: str) -> tuple[float, ...]:
    """``values`` as ``dim`` floats.

    Raises:
        ValueError: there are more or fewer.
    """
    numbers = tuple(float(value) for value in values)
    if len(numbers) != dim:
        raise ValueError(f"Expected {name} with {dim} numbers, one for each axis, got {numbers}.")
    return numbers
