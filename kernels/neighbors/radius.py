"""The graph of all points within a radius of each query."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .cells import pairs_within
from .cloud import Period, Points, Queries, check_pair, cloud_of, minimum_image, periods, radii


@dataclass(frozen=True, eq=False, slots=True)
class Neighbors:
    """The edges of a graph from points to queries, sorted by target, then source.

    Attributes:
        source: index of each edge's point into batch * node.
        target: index of its query into batch * query.
        splits: the edges of query i are ``splits[i]:splits[i + 1]``.
        displacement: x_source - x_target, the shortest among periodic images; differentiable in both.
        shape: (batch, node, query).
    """

    source: Int[Tensor, " edge"]
    target: Int[Tensor, " edge"]
    splits: Int[Tensor, " rows"]
    displacement: Float[Tensor, "edge dim"]
    shape: tuple[int, int, int]

    @property
    def distance(self) -> Float[Tensor, " edge"]:
        """Lengths of the displacements, whose gradient at zero length is zero."""
        return torch.linalg.vector_norm(self.displacement, dim=-1)

    @property
    def degree(self) -> Int[Tensor, "batch query"]:
        """How many neighbours each query has."""
        return self.splits.diff().unflatten(0, (self.shape[0], self.shape[2]))


def radius_neighbors(
    points: Points,
    queries: Queries | None = None,
    *,
    radius: float | Float[Tensor, " batch"],
    period: Period = None,
    loop: bool = True,
    limit: int | None = None,
    mask: Bool[Tensor, "batch node"] | None = None,
    query_mask: Bool[Tensor, "batch query"] | None = None,
) -> Neighbors:
    """Every pair of a query and a point of the same sample with distance <= radius, and no other.

    Distances are decided in double precision, so that the pairs are those of any exact search over the same numbers
    (float32 positions are compared as the numbers they are). Memory is that of the points and edges. The search is not
    differentiated, ``displacement`` is.

    Args:
        points: one to three dimensions, in any place; float32 or float64.
        queries: the points themselves by default.
        radius: in the unit of the points; one, or one a sample.
        period: length of the periodic box, of all axes or of each (None or inf: open). Points may lie outside the box.
        loop: whether a point is its own neighbour, where the queries are the points.
        limit: keep the nearest so many of each query, itself included; of equally near ones the first.
        mask: True where there is a point; others are padding, which may be NaN, and have no edges.
        query_mask: the same of the queries.

    Raises:
        ValueError: shapes or dtypes that do not fit; NaN; a radius that is not positive, or more than half a period,
            where a pair has several images; a cloud wider than 2^40 radii.
    """
    own = queries is None
    if limit is not None and limit < 1:
        raise ValueError(f"Expected limit >= 1, got {limit}. Leave it out to keep all neighbours.")
    if own and query_mask is not None:
        raise ValueError("Expected query_mask with queries alone. The queries are the points: give mask.")
    asked = points if queries is None else queries
    among = cloud_of(points, mask)
    of = among if own else cloud_of(asked, query_mask, "queries")
    check_pair(points, asked)
    length, reach = periods(period, points), radii(radius, points)
    check_images(reach, length)
    pairs = pairs_within(among, of, reach, length, loop=loop or not own, limit=limit)
    source, target = among.row[pairs.point], of.row[pairs.query]
    batch, nodes, _ = points.shape
    rows = torch.arange(batch * asked.shape[1] + 1, device=points.device)
    displacement = points.flatten(0, 1)[source] - asked.flatten(0, 1)[target]
    return Neighbors(
        source=source,
        target=target,
        splits=torch.searchsorted(target, rows),
        displacement=minimum_image(displacement, length),
        shape=(batch, nodes, asked.shape[1]),
    )


def check_images(radius: Tensor, period: Tensor) -> None:
    """Raise a ``ValueError`` where a radius reaches several images of a point."""
    if radius.numel() and bool((radius.max() > period / 2).any()):
        least = float(period.min())
        raise ValueError(
            f"Expected radius <= period / 2 = {least / 2:.6g}, got {float(radius.max()):.6g}: a neighbour would be "
            "there more than once. Take a smaller radius, or a box of several periods."
        )
