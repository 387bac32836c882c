"""Rigid bodies that stand or move in the way of material points."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from sciml.kernels.material_point.contact import NO_SLIP, Contact
from sciml.kernels.material_point.lattice import Lattice


class Obstacle:
    """A rigid body that nothing enters: the nodes inside it move with it, but for what its contact leaves them.

    Args:
        distance: signed distance of points (..., d) from its surface, negative inside: ``sphere(...)`` and its like of
            ``sciml.solvers.signed_distance``, or your own function of tensors, differentiable once.
        contact: at its surface.
        path: its displacement (batch, d) at times (batch,), for one that moves without turning.
    """

    def __init__(
        self,
        distance: Callable[[Tensor], Tensor],
        contact: Contact = NO_SLIP,
        *,
        path: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.distance, self.contact, self.path = distance, contact, path
        self._still: dict[tuple[Lattice, torch.dtype, torch.device], tuple[Tensor, Tensor]] = {}

    def __call__(
        self, t: Float[Tensor, " batch"], velocity: Float[Tensor, "batch *shape d"], lattice: Lattice
    ) -> Float[Tensor, "batch *shape d"]:
        """The velocities with those of the nodes inside changed."""
        flat = velocity.reshape(len(velocity), -1, velocity.shape[-1])
        if self.path is None:
            inside, normal = self._surface(lattice, velocity)
            changed = self.contact(flat[:, inside], normal)
            return flat.index_copy(1, inside, changed).reshape(velocity.shape)
        points = lattice.points(dtype=velocity.dtype, device=velocity.device).reshape(1, -1, lattice.dim)
        t = t.contiguous()  # forward differentiation writes beside it
        shift, speed = torch.func.jvp(self.path, (t,), (torch.ones_like(t),))  # type: ignore[misc]
        within, normal = self._geometry(points - shift.to(velocity.dtype)[:, None])
        own = speed.to(velocity.dtype)[:, None]
        changed = own + self.contact(flat - own, normal)
        return torch.where(within[..., None], changed, flat).reshape(velocity.shape)

    def _surface(self, lattice: Lattice, like: Tensor) -> tuple[Tensor, Tensor]:
        """Nodes inside and their normals, computed once for each grid."""
        key = (lattice, like.dtype, like.device)
        if key not in self._still:
            points = lattice.points(dtype=like.dtype, device=like.device).reshape(-1, lattice.dim)
            within, normal = self._geometry(points)
            inside = within.nonzero().flatten()
            self._still[key] = (inside, normal[inside])
        return self._still[key]

    def _geometry(self, points: Tensor) -> tuple[Bool[Tensor, "*batch"], Float[Tensor, "*batch d"]]:
        """Which points are inside, and the unit normals there."""
        with torch.enable_grad():
            points = points.detach().requires_grad_()
            distance = self.distance(points)
            (gradient,) = torch.autograd.grad(distance.sum(), points)
        length = torch.linalg.vector_norm(gradient, dim=-1, keepdim=True)
        up = torch.zeros_like(gradient)
        up[..., -1] = 1.0  # at the very middle of a body, where it has no direction
        normal = torch.where(length > 0, gradient / torch.where(length > 0, length, torch.ones_like(length)), up)
        return distance.detach() < 0, normal
