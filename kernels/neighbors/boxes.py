"""The nearest points of queries far from the cloud, or in its thin parts: a hierarchy of boxes around the points.

Points in the order of a space-filling curve, boxes around every sixteen of them, boxes around every eight of those, and
so on. A query goes down to a few leaves near it, which bound its distance; then down again into all boxes that are
nearer than that, and no other. G. M. Morton, A Computer Oriented Geodetic Data Base, 1966; J. L. Bentley,
Multidimensional Binary Search Trees Used for Associative Searching, 1975, for the bound.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .cells import BLOCK, Pairs, by_distance, nearest_of, squared_length
from .cloud import Cloud, minimum_image

_LEAF, _CHILDREN, _BEAM = 16, 8, 8
_BITS = 20
_SLACK = 1e-12  # of the period: what wrapping may round


@dataclass(frozen=True, eq=False)
class Boxes:
    """Boxes over the points of one sample.

    Attributes:
        position: of the points along the curve.
        place: of each in the cloud.
        row: of each.
        levels: lower and upper ends of the boxes, from the leaves up to at most ``_CHILDREN``.
        period: infinite along open axes.
    """

    position: Float[Tensor, "point dim"]
    place: Int[Tensor, " point"]
    row: Int[Tensor, " point"]
    levels: list[tuple[Tensor, Tensor]]
    period: Float[Tensor, " dim"]


def nearest_by_boxes(
    points: Cloud, queries: Cloud, count: int, period: Float[Tensor, " dim"], *, loop: bool
) -> Int[Tensor, "query count"]:
    """Places in the cloud of the nearest points of each query, nearest first, equally near ones in their order.

    Memory is that of a block of queries, whatever boxes they look into.
    """
    found = queries.row.new_empty(len(queries.row), count)
    most = max(1, BLOCK.get(found.device.type, BLOCK["cpu"]) // max(128, 8 * count))
    for sample in queries.sample.unique().tolist():
        boxes = _boxes(points, sample, period)
        for block in (queries.sample == sample).nonzero()[:, 0].split(most):
            found[block] = _nearest(boxes, queries[block], count, loop=loop)
    return found


def _boxes(points: Cloud, sample: int, period: Tensor) -> Boxes:
    members = (points.sample == sample).nonzero()[:, 0]
    position = points.position[members]
    closed = ~period.isinf()
    turns = torch.where(closed, (position / period).floor(), 0.0)
    wrapped = position - torch.where(closed, period, 0.0) * turns
    order = _along_curve(wrapped).argsort(stable=True)
    wrapped, members = wrapped[order], members[order]
    levels, low, high, size = [], wrapped, wrapped, _LEAF
    while True:
        low, high = _around(low, size, "amin"), _around(high, size, "amax")
        levels.append((low, high))
        if len(low) <= _CHILDREN:
            return Boxes(position[order], members, points.row[members], levels, period)
        size = _CHILDREN


def _along_curve(position: Tensor) -> Int[Tensor, " point"]:
    """Morton's number of each point, from its ranks along the axes: clusters of any size are resolved."""
    code = torch.zeros(len(position), dtype=torch.int64, device=position.device)
    dim = position.shape[-1]
    for axis, along in enumerate(position.unbind(-1)):
        rank = torch.empty_like(code)
        rank[along.argsort(stable=True)] = torch.arange(len(code), device=code.device)
        rank = rank * 2**_BITS // max(len(code), 1)
        for bit in range(_BITS):
            code |= ((rank >> bit) & 1) << (bit * dim + axis)
    return code


def _around(ends: Tensor, size: int, reduce: str) -> Tensor:
    """The least or greatest of every ``size`` rows."""
    number = torch.arange(len(ends), device=ends.device) // size
    start = math.inf if reduce == "amin" else -math.inf
    whole = ends.new_full((-(-len(ends) // size), ends.shape[-1]), start)
    return whole.scatter_reduce(0, number[:, None].expand(ends.shape), ends, reduce)


def _nearest(boxes: Boxes, queries: Cloud, count: int, *, loop: bool) -> Int[Tensor, "query count"]:
    bound = _bound(boxes, queries, count, loop=loop)
    pairs = _within(boxes, queries, bound)
    if pairs is None:  # boxes of a block that is too large: half of it at a time
        half = len(queries.row) // 2
        index = torch.arange(len(queries.row), device=queries.row.device)
        parts = [_nearest(boxes, queries[part], count, loop=loop) for part in (index[:half], index[half:])]
        return torch.cat(parts)
    query, point, square = pairs
    if not loop:
        other = boxes.row[point] != queries.row[query]
        query, point, square = query[other], point[other], square[other]
    place = boxes.place[point]
    _, by = (query * (int(boxes.place.max()) + 1) + place).sort()
    nearest = nearest_of(Pairs(query[by], place[by], square[by]), count)
    return nearest.point[by_distance(nearest)].unflatten(0, (-1, count))


def _bound(boxes: Boxes, queries: Cloud, count: int, *, loop: bool) -> Float[Tensor, " query"]:
    """A squared distance within which each query has ``count`` points: of those in some leaves near it."""
    position = queries.position[:, None]
    node = torch.zeros(len(position), 1, dtype=torch.int64, device=position.device)
    need = -(-(count + 1) // _LEAF) + 1  # leaves that have so many points, though the last one may be short
    for low, high in reversed(boxes.levels):
        child = (node[..., None] * _CHILDREN + torch.arange(_CHILDREN, device=node.device)).flatten(1)
        there = child < len(low)
        child = child.clamp(max=len(low) - 1)
        # Of the boxes that a query lies in, those whose middle is near.
        between = minimum_image(position - (low[child] + high[child]) / 2, boxes.period)
        square = _to_boxes(boxes, position, low, high, child) + squared_length(between, boxes.period)
        square = torch.where(there, square, math.inf)
        best = square.topk(min(max(_BEAM, need), len(low), child.shape[1]), dim=-1, largest=False).indices
        node = torch.where(there.gather(-1, best), child.gather(-1, best), len(low))
    point = (node[..., None] * _LEAF + torch.arange(_LEAF, device=node.device)).flatten(1)
    there = point < len(boxes.place)
    point = point.clamp(max=len(boxes.place) - 1)
    square = squared_length(position - boxes.position[point], boxes.period)
    if not loop:
        there &= boxes.row[point] != queries.row[:, None]
    return torch.where(there, square, math.inf).kthvalue(count, dim=-1).values


def _within(boxes: Boxes, queries: Cloud, bound: Float[Tensor, " query"]) -> Pairs | None:
    """Queries with all points within their bounds; None where a block would have too many boxes to look into."""
    most = BLOCK.get(bound.device.type, BLOCK["cpu"])
    query = torch.arange(len(bound), device=bound.device)
    node = torch.zeros_like(query)
    for low, high in reversed(boxes.levels):
        if len(bound) > 1 and len(query) * _CHILDREN > 4 * most:
            return None
        query = query.repeat_interleave(_CHILDREN)
        node = (node[:, None] * _CHILDREN + torch.arange(_CHILDREN, device=node.device)).flatten()
        there = node < len(low)
        query, node = query[there], node[there]
        near = _to_boxes(boxes, queries.position[query], low, high, node) <= bound[query]
        query, node = query[near], node[near]
    if len(bound) > 1 and len(query) * _LEAF > 4 * most:
        return None
    query = query.repeat_interleave(_LEAF)
    point = (node[:, None] * _LEAF + torch.arange(_LEAF, device=node.device)).flatten()
    there = point < len(boxes.place)
    query, point = query[there], point[there]
    square = squared_length(queries.position[query] - boxes.position[point], boxes.period)
    near = square <= bound[query]
    return Pairs(query[near], point[near], square[near])


def _to_boxes(boxes: Boxes, position: Tensor, low: Tensor, high: Tensor, node: Tensor) -> Tensor:
    """Squared distance to boxes, at most that to any point in them, as it is rounded."""
    low, high = low[node], high[node]
    apart = torch.maximum(low - position, position - high).clamp(min=0)
    closed = ~boxes.period.isinf()
    if bool(closed.any()):
        half, middle = (high - low) / 2, (high + low) / 2
        across = minimum_image(position - middle, boxes.period).abs() - half
        slack = _SLACK * (boxes.period + position.abs())
        apart = torch.where(closed, (across - slack).clamp(min=0), apart)
    return squared_length(apart, torch.full_like(boxes.period, math.inf))
