"""The regular grid on which GIOROM's transformer works."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .box import Box

# How far a grid that moves with its cloud reaches beyond the box at each end, as a part of it: learned walls are soft.
_MARGIN = 0.1


@dataclass(frozen=True, slots=True)
class LatentGrid:
    """Nodes that reach every particle of a cloud.

    Along an axis with walls the grid is a little longer than the box and moves with the cloud's middle, so that what is
    computed on it does not change when all particles are moved together; along a periodic axis it is fixed to the box.

    Attributes:
        box: that the particles live in.
        shape: nodes along each axis.
        radius: within which nodes and particles see each other.
        fixed: whether the grid stays where the box is, its first and last nodes on the walls.
        holes: only warn where the radius leaves holes.

    Raises:
        ValueError: the radius leaves holes: a particle in the middle of a cell would reach no node.
    """

    box: Box
    shape: tuple[int, ...]
    radius: float
    fixed: bool = False
    holes: bool = False

    def __post_init__(self) -> None:
        if len(self.shape) != self.box.dim or any(n < 2 for n in self.shape):
            raise ValueError(f"Expected a grid of {self.box.dim} axes of two nodes or more, got {self.shape}.")
        if self.radius > half_period(self.box):
            raise ValueError(
                f"Expected a latent radius up to half a period, {half_period(self.box):.4g}, got {self.radius:.4g}."
            )
        if self.hole >= self.radius:
            problem = (
                f"Expected a latent radius above {self.hole:.4g}, half the diagonal of a cell of {self.shape} nodes, "
                f"got {self.radius:.4g}: particles there would reach no node. Enlarge it, or take a finer grid."
            )
            if not self.holes:
                raise ValueError(problem)
            warnings.warn(problem, stacklevel=2)

    @property
    def lengths(self) -> tuple[float, ...]:
        """From the first node to the last along each axis, or the period."""
        return lengths_of(self.box, fixed=self.fixed)

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance of neighbouring nodes along each axis."""
        return spacing_of(self.box, self.shape, fixed=self.fixed)

    @property
    def hole(self) -> float:
        """The largest distance that a point inside has to the nearest node."""
        return math.hypot(*self.spacing) / 2

    def centre(
        self, x: Float[Tensor, "batch node dim"], real: Bool[Tensor, "batch node"]
    ) -> Float[Tensor, "batch dim"]:
        """The middle of the grid for each cloud.

        Raises:
            ValueError: the cloud is too large for it, or has left the box of a fixed grid.
        """
        low, high = self.box.corners(x)
        middle = (low + high) / 2
        there = torch.where(real[..., None], x, _filled(x, real))
        first, last = there.amin(dim=1), there.amax(dim=1)
        centre = middle.expand_as(first) if self.fixed else (first + last) / 2
        if any(self.box.periodic):
            centre = torch.where(torch.tensor(self.box.periodic, device=x.device), middle, centre)
        if not torch.compiler.is_compiling():
            self._refuse_outside(first, last, centre)
        return centre

    def nodes(self, centre: Float[Tensor, "batch dim"]) -> Float[Tensor, "batch latent dim"]:
        """Positions of the nodes about each centre."""
        return centre[:, None] + self.offsets(centre)

    def offsets(self, like: Tensor) -> Float[Tensor, "latent dim"]:
        """Positions of the nodes from the middle of the grid, the last axis running fastest."""
        axes = []
        for n, step, repeats in zip(self.shape, self.spacing, self.box.periodic):
            shift = n / 2 if repeats else (n - 1) / 2
            axes.append((torch.arange(n, dtype=like.dtype, device=like.device) - shift) * step)
        return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1).flatten(0, -2)

    def _refuse_outside(self, first: Tensor, last: Tensor, centre: Tensor) -> None:
        # Half a cell beyond the last node a particle is as near to it as in the middle of a cell.
        reach = first.new_tensor([(length + step) / 2 for length, step in zip(self.lengths, self.spacing)])
        out = ((last - centre > reach) | (centre - first > reach)).nonzero()
        if len(out):
            sample, axis = (int(k) for k in out[0])
            raise ValueError(
                f"Expected particles within the latent grid, {2 * float(reach[axis]):.4g} long along axis {axis}, got "
                f"sample {sample} from {float(first[sample, axis]):.4g} to {float(last[sample, axis]):.4g}: particles "
                "have left the domain. Give a larger box, train with noise, or stop them at the walls: contain=True."
            )


def lengths_of(box: Box, *, fixed: bool = False) -> tuple[float, ...]:
    """How long the grid of a box is: as long as the box where it is fixed or periodic, else with a margin."""
    kept = [fixed or repeats for repeats in box.periodic]
    return tuple(side if exact else (1 + 2 * _MARGIN) * side for side, exact in zip(box.sides, kept))


def spacing_of(box: Box, shape: tuple[int, ...], *, fixed: bool = False) -> tuple[float, ...]:
    """Distance of neighbouring nodes of such a grid along each axis."""
    cells = [n if repeats else n - 1 for n, repeats in zip(shape, box.periodic)]
    return tuple(length / count for length, count in zip(lengths_of(box, fixed=fixed), cells))


def half_period(box: Box) -> float:
    """Half the shortest period, infinite without one."""
    return min((side / 2 for side, repeats in zip(box.sides, box.periodic) if repeats), default=math.inf)


def latent_shape(box: Box, spacing: float) -> tuple[int, ...]:
    """Nodes along each axis so that neighbours are at most ``spacing`` apart."""
    cells = [max(1, math.ceil(length / spacing - 1e-9)) for length in lengths_of(box)]
    return tuple(max(2, n if repeats else n + 1) for n, repeats in zip(cells, box.periodic))


def _filled(x: Tensor, real: Tensor) -> Tensor:
    """The first real particle of each sample, in place of those that are not."""
    first = real.long().argmax(dim=1)
    return x[torch.arange(len(x), device=x.device), first][:, None].expand_as(x)
