"""What every search does first: check the points, drop the padding, put all samples end to end in double precision."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

Points = Float[Tensor, "batch node dim"]
Queries = Float[Tensor, "batch query dim"]
Period = float | Sequence[float | None] | Float[Tensor, " dim"] | None

# Cells are counted in double precision, exactly enough while the cloud is not wider than this many of them.
MOST_CELLS = 2.0**40


@dataclass(frozen=True, eq=False)
class Cloud:
    """The points of all samples, one after the other, without those that a mask drops.

    Attributes:
        position: in double precision, which holds float32 exactly.
        sample: which sample each belongs to, ascending.
        row: its index into batch * node, ascending.
        batch: number of samples.
    """

    position: Float[Tensor, "point dim"]
    sample: Int[Tensor, " point"]
    row: Int[Tensor, " point"]
    batch: int

    def __getitem__(self, chosen: Tensor) -> Cloud:
        """Some of the points, by ascending index or mask."""
        return Cloud(self.position[chosen], self.sample[chosen], self.row[chosen], self.batch)


def cloud_of(points: Tensor, mask: Tensor | None, name: str = "points") -> Cloud:
    """The points that ``mask`` (True: there) keeps.

    Raises:
        ValueError: not (batch, node, 1..3) in single or double precision; a mask of another shape; NaN or infinity.
    """
    axes = "(batch, node, dim)" if name == "points" else "(batch, query, dim)"
    if points.ndim != 3 or not 1 <= points.shape[-1] <= 3:
        raise ValueError(
            f"Expected {name} of shape {axes} with one to three dimensions, got {tuple(points.shape)}. "
            "A single cloud needs a batch axis: x[None]."
        )
    if points.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"Expected {name} in float32 or float64, got {points.dtype}. Cast them: x.float().")
    batch, nodes, _ = points.shape
    if mask is not None and (mask.shape != (batch, nodes) or mask.dtype != torch.bool):
        raise ValueError(
            f"Expected a bool mask of {name} of shape {(batch, nodes)}, got {mask.dtype} {tuple(mask.shape)}."
        )
    position, rows = points.detach().flatten(0, 1).double(), torch.arange(batch * nodes, device=points.device)
    if mask is not None:
        rows = mask.to(points.device).flatten().nonzero()[:, 0]
        position = position[rows]
    wrong = ~position.isfinite().all(-1)
    if bool(wrong.any()):
        sample, node = divmod(int(rows[wrong][0]), nodes)
        place = f"batch {sample}, {'node' if name == 'points' else 'query'} {node}"
        raise ValueError(
            f"Expected finite {name}, got {points[sample, node].tolist()} at {place}. A rollout that blew up, or "
            "padding without a mask?"
        )
    return Cloud(position, torch.div(rows, max(nodes, 1), rounding_mode="floor"), rows, batch)


def check_pair(points: Tensor, queries: Tensor) -> None:
    """Raise a ``ValueError`` unless both have the same batch, dimension, dtype and device."""
    same = points.shape[0] == queries.shape[0] and points.shape[-1] == queries.shape[-1]
    if not same or points.dtype != queries.dtype or points.device != queries.device:
        here, there = (f"{tuple(x.shape)} {x.dtype} on {x.device}" for x in (points, queries))
        raise ValueError(f"Expected queries of the points' batch, dim, dtype and device, got {there} for {here}.")


def periods(period: Period, points: Tensor) -> Float[Tensor, " dim"]:
    """The length of the period of each axis in double precision, infinite where an axis is open.

    Raises:
        ValueError: not one for each axis, or not positive.
    """
    dim = points.shape[-1]
    if period is None:
        return points.new_full((dim,), math.inf, dtype=torch.float64)
    if isinstance(period, Tensor):
        listed = period.detach().double().flatten().tolist()
    elif isinstance(period, Sequence):
        listed = [math.inf if length is None else float(length) for length in period]
    else:
        listed = [float(period)] * dim
    if len(listed) != dim or not all(length > 0 for length in listed):
        raise ValueError(
            f"Expected period of {dim} positive lengths, got {period}. Give None or inf for an axis that is open."
        )
    return torch.tensor(listed, dtype=torch.float64, device=points.device)


def radii(radius: float | Tensor, points: Tensor) -> Float[Tensor, " batch"]:
    """The radius of each sample in double precision.

    Raises:
        ValueError: not one for each sample, or not positive and finite.
    """
    batch = points.shape[0]
    given = torch.as_tensor(radius, dtype=torch.float64, device=points.device).detach()
    if given.shape not in ((), (batch,)) or not bool(((given > 0) & given.isfinite()).all()):
        shown = given.tolist() if given.numel() <= 8 else tuple(given.shape)
        raise ValueError(f"Expected radius > 0, finite, one or of shape ({batch},), got {shown}.")
    return given.expand(batch)


def extent(clouds: Sequence[Cloud], period: Float[Tensor, " dim"]) -> Float[Tensor, "batch dim"]:
    """How far the clouds reach along each axis: from end to end if it is open, from the origin if periodic."""
    low, high = bounds(clouds)
    reach = torch.where(period.isinf(), high - low, torch.maximum(high.abs(), low.abs()))
    return torch.where(reach.isfinite(), reach, 0.0)


def bounds(clouds: Sequence[Cloud]) -> tuple[Tensor, Tensor]:
    """Lower and upper end of each sample along each axis, (batch, dim); inf and -inf of a sample without points."""
    first = clouds[0]
    low = first.position.new_full((first.batch, first.position.shape[-1]), math.inf)
    high = -low
    for cloud in clouds:
        index = cloud.sample[:, None].expand(cloud.position.shape)
        low = low.scatter_reduce(0, index, cloud.position, "amin")
        high = high.scatter_reduce(0, index, cloud.position, "amax")
    return low, high


def minimum_image(displacement: Tensor, period: Float[Tensor, " dim"]) -> Tensor:
    """The shortest of the displacements (..., dim) between periodic images; differentiable."""
    closed = ~period.isinf()
    if not bool(closed.any()):
        return displacement
    whole = period.to(displacement.dtype)
    turns = torch.round(displacement.detach() / whole)
    return displacement - torch.where(closed, whole, 0.0) * turns
