"""The nearest so many points of each query, exactly."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .boxes import nearest_by_boxes
from .cells import Pairs, by_distance, pairs_within
from .cloud import (
    MOST_CELLS,
    Cloud,
    Period,
    Points,
    Queries,
    bounds,
    check_pair,
    cloud_of,
    extent,
    minimum_image,
    periods,
)

_ROUNDS = 3  # of the growing radius
_LEAST_SHARE = 1e-3  # of the widest axis that a thinner one counts as


@dataclass(frozen=True, eq=False, slots=True)
class Nearest:
    """The nearest points of each query, nearest first, equally near ones by their index: ``index, distance = ...``.

    Attributes:
        index: of the point in its sample; -1 in the rows of queries that a mask drops.
        distance: differentiable in points and queries; infinite in those rows.
    """

    index: Int[Tensor, "batch query count"]
    distance: Float[Tensor, "batch query count"]

    def __iter__(self) -> Iterator[Tensor]:
        return iter((self.index, self.distance))


def nearest_neighbors(
    points: Points,
    queries: Queries | None = None,
    *,
    count: int,
    period: Period = None,
    loop: bool = True,
    mask: Bool[Tensor, "batch node"] | None = None,
    query_mask: Bool[Tensor, "batch query"] | None = None,
) -> Nearest:
    """The ``count`` nearest points of each query.

    Within a radius that grows for those that have not enough yet, and for queries far from the cloud or in its thin
    parts by a hierarchy of boxes. Exact, in double precision. Periodic distances are to the nearest image. Arguments
    are those of ``radius_neighbors``. Memory is that of the points and the answer.

    Raises:
        ValueError: as ``radius_neighbors``, or a sample with fewer points than ``count``.
    """
    own = queries is None
    if own and query_mask is not None:
        raise ValueError("Expected query_mask with queries alone. The queries are the points: give mask.")
    asked = points if queries is None else queries
    among = cloud_of(points, mask)
    of = among if own else cloud_of(asked, query_mask, "queries")
    check_pair(points, asked)
    length = periods(period, points)
    _check_count(count, among, of, alone=own and not loop)
    batch, nodes, _ = points.shape
    found = _search(among, of, count, length, loop=loop or not own)
    index = found.new_full((batch * asked.shape[1], count), -1)
    index[of.row] = among.row[found] - nodes * of.sample[:, None]
    source = points.flatten(0, 1)[among.row[found].flatten()].unflatten(0, (-1, count))
    between = minimum_image(source - asked.flatten(0, 1)[of.row][:, None], length)
    distance = points.new_full((batch * asked.shape[1], count), math.inf)
    distance = distance.index_put((of.row,), torch.linalg.vector_norm(between, dim=-1))
    return Nearest(*(part.unflatten(0, (batch, asked.shape[1])) for part in (index, distance)))


def _check_count(count: int, points: Cloud, queries: Cloud, *, alone: bool) -> None:
    if count < 1:
        raise ValueError(f"Expected count >= 1, got {count}.")
    there = torch.bincount(points.sample, minlength=points.batch) - int(alone)
    asked = torch.bincount(queries.sample, minlength=points.batch)
    short = ((there < count) & (asked > 0)).nonzero()[:, 0].tolist()
    if short:
        others = "other points" if alone else "points"
        raise ValueError(
            f"Expected count <= the {max(int(there[short[0]]), 0)} {others} of batch {short[0]}, got {count}. Ask for "
            "fewer neighbours."
        )


def _search(points: Cloud, queries: Cloud, count: int, period: Tensor, *, loop: bool) -> Int[Tensor, "query count"]:
    """Places in the cloud of the nearest points of each query."""
    found = queries.row.new_empty(len(queries.row), count)
    left = torch.arange(len(found), device=found.device)
    if not len(left):
        return found
    radius = _first_radius(points, queries, count, period)
    for _ in range(_ROUNDS):
        pairs = pairs_within(points, queries[left], radius, period, loop=loop, limit=count)
        done = torch.bincount(pairs.query, minlength=len(left)) == count
        kept = Pairs(*(side[done[pairs.query]] for side in pairs))
        found[left[done]] = kept.point[by_distance(kept)].unflatten(0, (-1, count))
        left, radius = left[~done], 2 * radius
        if not len(left):
            break
    if len(left):
        # Larger cells would have too many points in the dense parts of the cloud.
        found[left] = nearest_by_boxes(points, queries[left], count, period, loop=loop)
    return found


def _first_radius(points: Cloud, queries: Cloud, count: int, period: Tensor) -> Float[Tensor, " batch"]:
    """The radius of about ``count`` neighbours if points were spread evenly, less where they lie in clusters."""
    low, high = bounds((points,))
    size = torch.where(high >= low, high - low, 0.0)
    widest = size.amax(-1)
    size = torch.maximum(size, _LEAST_SHARE * widest[:, None])
    there = torch.bincount(points.sample, minlength=points.batch).clamp(min=1)
    radius = 0.7 * (size.log().sum(-1).exp() * count / there) ** (1 / size.shape[-1])
    least = extent((points, queries), period).amax(-1) * (4 / MOST_CELLS)
    radius = torch.maximum(torch.where(widest > 0, radius, 1.0), least)
    for _ in range(40):
        crowded = _crowd(points, low, radius) > 2 * count + 2
        smaller = torch.where(crowded, torch.maximum(radius / 2, least), radius)
        if torch.equal(smaller, radius):
            break
        radius = smaller
    return radius


def _crowd(points: Cloud, low: Tensor, radius: Tensor) -> Float[Tensor, " batch"]:
    """How many points share a cell with a point, on average over the points of each sample."""
    cell = ((points.position - low[points.sample]) / radius[points.sample, None]).floor().long()
    key = points.sample
    for along in cell.unbind(-1):
        # Numbered anew after each axis: as large as the number of points, whatever the number of cells.
        _, place = along.unique(return_inverse=True)
        _, key = (key * (len(place) + 1) + place).unique(return_inverse=True)
    together = torch.bincount(key)[key].double()
    crowd = radius.new_zeros(points.batch).index_add_(0, points.sample, together)
    return crowd / torch.bincount(points.sample, minlength=points.batch).clamp(min=1)
