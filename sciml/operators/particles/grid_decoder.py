"""Dense positions by a kernel on a grid: GIOROM's online phase."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.normalization import Normalization
from sciml.operators.physical import ChannelLike, channel_dicts
from sciml.solvers.stepper import Step

from .blocks import MLP
from .box import BoxLike, parse_box
from .decoding import decode_state, parse_decoder_channels

_EMPTY = 1e-5
_FREQUENCIES = 3


class GridDecoder(nn.Module):
    """Displacements of sparse particles splatted onto a grid, looked up about each dense point, mended by an MLP.

    Viswanath et al., "Learning Lagrangian Interaction Dynamics with Sampling-Based Model Order Reduction", 2026,
    released code. Splats and lookups are multilinear, on a grid over the reference frame; a lookup is the mean over
    ``lookups`` places spread about the point by ``spread`` cells, divided by the density of particles there. The
    released code gives the absolute position, which its MLP has to make of a code of the place; here x_0 is added, and
    at first the MLP is 0.

    It is trained by ``fit`` on ``DensePairs``, and used through ``DenseView``. A frame costs the splat of the sparse
    particles, and for each point lookups and a small MLP.

    Args:
        channels: those of ``DensePairs`` or ``decoder_channels``.
        box: that the reference frame lies in.
        spacing: of the grid; about that of the sparse particles, as a point must see some.
        lookups: places about each point; drawn anew in training, fixed afterwards.
        spread: their standard deviation in cells.
        hidden: width of the MLP's two hidden layers.
        absolute: the released form: the position itself, cut off at the box.
        holes: a point far from all particles moves by the MLP alone, as released, and is not refused.

    Raises:
        ValueError: an argument is out of its range.
    """

    offsets: Tensor

    def __init__(
        self,
        channels: Sequence[ChannelLike],
        *,
        box: BoxLike,
        spacing: float,
        lookups: int = 8,
        spread: float = 0.8,
        hidden: int = 64,
        absolute: bool = False,
        holes: bool = False,
    ) -> None:
        super().__init__()
        self.channels = parse_decoder_channels(channels)
        dim = len(self.channels) // 2
        self.box = parse_box(box, dim)
        if not spacing > 0 or lookups < 1 or not spread >= 0:
            raise ValueError(
                f"Expected spacing > 0, lookups >= 1 and spread >= 0, got {spacing}, {lookups} and {spread}."
            )
        self.spacing, self.spread, self.absolute, self.holes = float(spacing), float(spread), absolute, holes
        self.shape = tuple(max(2, round(side / spacing) + 1) for side in self.box.sides)
        self.config: dict[str, Any] = {
            "channels": channel_dicts(self.channels),
            "box": self.box.as_dict(),
            "spacing": self.spacing,
            "lookups": lookups,
            "spread": self.spread,
            "hidden": hidden,
            "absolute": absolute,
            "holes": holes,
        }
        self.normalization = Normalization(len(self.channels))
        self.features = nn.Linear(dim, dim)
        self.network = MLP([2 * dim + 2 * _FREQUENCIES * dim, hidden, hidden, dim], activation=nn.GELU)
        if not absolute:
            nn.init.zeros_(self.network.layers[-1].weight)  # type: ignore[arg-type]
        noise = torch.randn(lookups, dim, generator=torch.Generator().manual_seed(0))
        self.register_buffer("offsets", noise - noise.mean(dim=0))

    def prepare(
        self,
        sparse: Float[Tensor, "batch node dim"],
        dense: Float[Tensor, "batch query dim"],
        mask: Tensor | None = None,
    ) -> _Prepared:
        """The cells of the sparse particles, and the places that the dense points look at.

        Raises:
            ValueError: a dense point sees no sparse particle, and ``holes`` is off.
        """
        dense = dense.to(sparse)
        there = sparse.new_ones(sparse.shape[:2]) if mask is None else mask.to(sparse.dtype)
        offsets = self.offsets.to(dense)
        if self.training:
            offsets = torch.randn(len(offsets), *dense.shape, dtype=dense.dtype, device=dense.device)
        places = [self._cells(dense) + self.spread * offset for offset in offsets]
        splat = _corners(self._cells(sparse), self.shape)
        lookups = [_corners(place, self.shape) for place in places]
        density = _gather(_splat(there[..., None], splat, self.shape), lookups)
        empty = density[..., 0] <= _EMPTY
        if not self.holes and not torch.compiler.is_compiling() and bool(empty.any()):
            sample, query = (int(k) for k in empty.nonzero()[0])
            raise ValueError(
                f"Expected sparse particles about every dense point, got an empty neighbourhood for {int(empty.sum())} "
                f"of {empty.numel()}, first point {query} of sample {sample}. Take a larger spacing than "
                f"{self.spacing:.4g}, or holes=True."
            )
        return _Prepared(sparse, dense, there, splat, lookups, density)

    def decode(self, prepared: _Prepared, moved: Float[Tensor, "batch node dim"]) -> Tensor:
        """Where the dense points are, (batch, query, dim)."""
        dtype = next(self.parameters()).dtype
        low, high = self.box.corners(moved)
        scale = (high - low).max()
        shift = self.box.nearest(moved - prepared.sparse) / scale
        shift = shift * prepared.there[..., None]
        made = nn.functional.gelu(self.features(shift.to(dtype))).to(shift.dtype) * prepared.there[..., None]
        grid = _splat(torch.cat([made, shift], dim=-1), prepared.splat, self.shape)
        seen = _gather(grid, prepared.lookups)
        seen = torch.where(prepared.density > _EMPTY, seen / prepared.density.clamp(min=_EMPTY), 0.0)
        unit = (prepared.dense - low) / scale
        angles = [torch.pi * 2**k * unit for k in range(_FREQUENCIES)]
        code = torch.cat([f(a) for a in angles for f in (torch.sin, torch.cos)], dim=-1)
        rest = self.network(torch.cat([seen, code], dim=-1).to(dtype)).to(shift.dtype)
        made_shift = seen[..., shift.shape[-1] :] + rest
        if self.absolute:
            return low + scale * made_shift.clamp(0.001, 0.999)
        return self.box.wrap(prepared.dense + scale * made_shift)

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], u: Float[Tensor, "batch node channel"]
    ) -> Step:
        """All positions from those that are known: what it is trained by. See ``decoder_channels``."""
        return Step(y=decode_state(self, dt, u))

    def _cells(self, x: Tensor) -> Tensor:
        """Positions in units of cells, from the first node."""
        low, high = self.box.corners(x)
        return (x - low) / (high - low) * (x.new_tensor(self.shape) - 1)


@dataclass(frozen=True, eq=False, slots=True)
class _Prepared:
    sparse: Tensor
    dense: Tensor
    there: Tensor  # (batch, node), 1 where there is a particle
    splat: tuple[Tensor, Tensor]
    lookups: list[tuple[Tensor, Tensor]]
    density: Tensor  # (batch, query, 1)


def _corners(place: Tensor, shape: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """The nodes about each place (batch, n, corner), and their multilinear weights; outside, those of the rim."""
    last = place.new_tensor(shape) - 1
    place = torch.minimum(place.clamp(min=0.0), last)
    first = torch.minimum(place.floor(), last - 1)
    part = place - first
    number, weight = [], []
    for corner in itertools.product((0, 1), repeat=len(shape)):
        flat, product = torch.zeros_like(place[..., 0]).long(), torch.ones_like(place[..., 0])
        for axis, up in enumerate(corner):
            flat = flat * shape[axis] + first[..., axis].long() + up
            product = product * (part[..., axis] if up else 1 - part[..., axis])
        number.append(flat)
        weight.append(product)
    return torch.stack(number, dim=-1), torch.stack(weight, dim=-1)


def _splat(values: Tensor, corners: tuple[Tensor, Tensor], shape: tuple[int, ...]) -> Tensor:
    """Values (batch, n, feature) spread over their corners and summed: (batch, cell, feature)."""
    number, weight = corners
    spread = (weight[..., None] * values[..., None, :]).flatten(1, 2)
    grid = values.new_zeros(len(values), math.prod(shape), values.shape[-1])
    return grid.scatter_add(1, number.flatten(1)[..., None].expand_as(spread), spread)


def _gather(grid: Tensor, lookups: list[tuple[Tensor, Tensor]]) -> Tensor:
    """The mean over lookups of the grid's multilinear values, (batch, query, feature)."""
    total: Any = 0
    for number, weight in lookups:
        index = number.flatten(1)[..., None].expand(-1, -1, grid.shape[-1])
        corners = grid.gather(1, index).unflatten(1, number.shape[1:])
        total = total + (weight[..., None] * corners).sum(dim=-2)
    return total / len(lookups)
