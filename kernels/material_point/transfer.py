"""Between material points and the nodes of a grid: quadratic B-splines and affine velocities.

APIC (Jiang, Schroeder, Selle, Teran and Stomakhin, "The Affine Particle-In-Cell Method", SIGGRAPH 2015) in the form of
MLS-MPM (Hu et al., "A Moving Least Squares Material Point Method", SIGGRAPH 2018). Node i of an axis is at
origin + i spacing; a point touches the three nodes around it along each axis, the first of which is
floor((x - origin) / spacing - 1/2).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from . import native
from .lattice import Lattice, confined, outside


class Cloud(NamedTuple):
    """What the points bring to the grid.

    Attributes:
        velocity: (batch, node, d).
        gradient: of the velocity, (batch, node, d, d).
        stress: Kirchhoff stress, (batch, node, d, d).
        mass: (batch, node).
        volume: undeformed, (batch, node).
    """

    velocity: Tensor
    gradient: Tensor
    stress: Tensor
    mass: Tensor
    volume: Tensor


class Moved(NamedTuple):
    """What the points take from the grid.

    Attributes:
        position: x + dt v, kept in the box where that is asked for, (batch, node, d).
        velocity: sum_i w v_i, (batch, node, d).
        gradient: 4 / spacing^2 sum_i w v_i (x_i - x)^T, (batch, node, d, d).
        fastest: the largest speed of each sample, without gradient, (batch,).
        lost: whether some point has left the reach of the grid or has no finite position, ().
    """

    position: Float[Tensor, "batch node d"]
    velocity: Float[Tensor, "batch node d"]
    gradient: Float[Tensor, "batch node d d"]
    fastest: Float[Tensor, " batch"]
    lost: Bool[Tensor, ""]


class Transfer:
    """Between points and nodes, for one step.

    Args:
        position: of the points; one that has not all its nodes in the grid (see ``outside``) gives nonsense.
        lattice: the nodes.
    """

    def __init__(self, position: Float[Tensor, "batch node d"], lattice: Lattice) -> None:
        self._position, self._lattice = position, lattice
        self._stencil: tuple[Tensor, Tensor, Tensor] | None = None
        self._order: native.Order | None = None

    def to_grid(self, cloud: Cloud, dt: Float[Tensor, " batch"]) -> Float[Tensor, "batch *shape channel"]:
        """Momentum and mass of the nodes, (batch, *shape, d + 1).

        Sums over the points of w (m v + A (x_i - x), m) with A = m C - dt 4 / spacing^2 volume tau.
        """
        if native.serves(self._position, *cloud, dt):
            self._order = native.sort(self._position, self._lattice)
            return native.scatter(self._position, cloud, dt, self._lattice, self._order)
        nodes, weights, offsets = self._around()
        push = (dt * (4 / self._lattice.spacing**2))[:, None] * cloud.volume
        affine = cloud.mass[..., None, None] * cloud.gradient - push[..., None, None] * cloud.stress
        momentum = cloud.mass[..., None] * cloud.velocity
        carried = momentum[:, :, None, :]
        for axis in range(self._lattice.dim):  # sums of a few products, which a compiler fuses with the scatter
            carried = carried + affine[:, :, None, :, axis] * offsets[..., axis, None]
        both = torch.cat([carried, cloud.mass[:, :, None, None].expand(*carried.shape[:-1], 1)], dim=-1)
        weighted = weights[..., None] * both
        batch, channels = len(dt), self._lattice.dim + 1
        grid = weighted.new_zeros(batch * self._lattice.size, channels)
        grid = grid.index_add(0, nodes.flatten(), weighted.reshape(-1, channels))
        return grid.reshape(batch, *self._lattice.shape, channels)

    def to_points(
        self, nodes: Float[Tensor, "batch *shape channel"], dt: Float[Tensor, " batch"], margin: float | None = None
    ) -> Moved:
        """The points after dt with the velocities of the nodes, the first d channels of ``nodes``.

        ``margin``, in cells: how far inside the box the points are kept.
        """
        if self._order is not None and native.serves(self._position, nodes, dt):
            return Moved(*native.gather(self._position, nodes, dt, margin, self._lattice, self._order))
        index, weights, offsets = self._around()
        weighted = weights[..., None] * nodes[..., : self._lattice.dim].reshape(-1, self._lattice.dim)[index]
        columns = [(weighted * offsets[..., axis, None]).sum(dim=2) for axis in range(self._lattice.dim)]
        gradient = torch.stack(columns, dim=-1) * (4 / self._lattice.spacing**2)
        velocity = weighted.sum(dim=2)
        position = self._position + dt[:, None, None] * velocity
        if margin is not None:
            position = confined(position, self._lattice, margin)
        fastest = torch.linalg.vector_norm(velocity.detach(), dim=-1).amax(dim=1)
        return Moved(position, velocity, gradient, fastest, outside(position.detach(), self._lattice).any())

    def _around(self) -> tuple[Tensor, Tensor, Tensor]:
        if self._stencil is None:
            self._stencil = _stencil(self._position, self._lattice)
        return self._stencil


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
