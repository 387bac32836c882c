"""Neighbours within a radius, by all distances: stands in for the kernel of the same signature."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Neighbors:
    """Pairs sorted by target; ``source`` counts through (batch, node), ``target`` through (batch, query)."""

    source: Tensor
    target: Tensor
    splits: Tensor
    displacement: Tensor
    shape: tuple[int, int, int]

    @property
    def degree(self) -> Tensor:
        """How many neighbours each query has."""
        return self.splits.diff().unflatten(0, (self.shape[0], self.shape[2]))


def radius_neighbors(
    points: Tensor,
    queries: Tensor | None = None,
    *,
    radius: float,
    period: Tensor | None = None,
    loop: bool = True,
    limit: int | None = None,
    mask: Tensor | None = None,
    query_mask: Tensor | None = None,
) -> Neighbors:
    """All pairs of a point and a query at most ``radius`` apart, within each sample."""
    own = queries is None
    targets = points if queries is None else queries
    query_mask = mask if own else query_mask
    vector = points.detach()[:, None] - targets.detach()[:, :, None]
    if period is not None:
        vector = vector - torch.where(period.isfinite(), period * (vector / period).round(), 0.0)
    near = vector.square().sum(-1) <= radius**2
    if mask is not None:
        near = near & mask[:, None, :]
    if query_mask is not None:
        near = near & query_mask[:, :, None]
    if own and not loop:
        near = near & ~torch.eye(points.shape[1], dtype=torch.bool, device=points.device)
    sample, query, point = near.nonzero(as_tuple=True)
    source, target = sample * points.shape[1] + point, sample * targets.shape[1] + query
    displacement = points.flatten(0, 1)[source] - targets.flatten(0, 1)[target]
    if period is not None:
        shift = (displacement.detach() / period).round()
        displacement = displacement - torch.where(period.isfinite(), period * shift, 0.0)
    splits = torch.zeros(targets.shape[0] * targets.shape[1] + 1, dtype=torch.long, device=points.device)
    splits[1:] = near.sum(-1).flatten().cumsum(0)
    return Neighbors(source, target, splits, displacement, (points.shape[0], points.shape[1], targets.shape[1]))


def farthest_points(points: Tensor, count: int, start: int = 0) -> Tensor:
    """(batch, count) numbers of points, each the farthest from those before it."""
    chosen = [torch.full((len(points),), start, device=points.device)]
    rows = torch.arange(len(points), device=points.device)
    nearest = torch.full(points.shape[:2], torch.inf, dtype=points.dtype, device=points.device)
    for _ in range(count - 1):
        distance = (points - points[rows, chosen[-1]][:, None]).square().sum(-1)
        nearest = torch.minimum(nearest, distance)
        chosen.append(nearest.argmax(dim=1))
    return torch.stack(chosen, dim=1)
