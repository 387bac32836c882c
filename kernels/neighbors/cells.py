"""All pairs within a radius: points sorted by the cell they lie in, and only occupied cells kept.

A cell is at least as wide as the radius, so that a point's neighbours lie in its own cell and those around it. Cells
next to each other along the last axis follow each other in the order, and are found as one range. M. P. Allen and D. J.
Tildesley, Computer Simulation of Liquids, 1987, section 5.3, with a sort in place of linked lists.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .cloud import MOST_CELLS, Cloud, bounds, extent, minimum_image

# Candidates looked at together: what a core's cache holds; what fills a GPU.
BLOCK = {"cpu": 2**18, "cuda": 2**24}
_MARGIN = 1 + 1e-3  # by which a cell is wider than the radius: more than rounding of a cell's number can be off
_MOST_KEYS = 2**62
_MOST_PERIODIC = 2**20


class Pairs(NamedTuple):
    """Pairs of a query and a point, by their places in their clouds, sorted by query and then by point."""

    query: Int[Tensor, " pair"]
    point: Int[Tensor, " pair"]
    square: Float[Tensor, " pair"]


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of one width a sample.

    Attributes:
        coordinate: of the points and then of the queries, integers.
        counts: of cells of each sample along each axis; of open axes no use is made.
        sizes: numbers that coordinates take along each axis, over all samples.
        periodic: of each axis.
    """

    coordinate: Int[Tensor, "any dim"]
    counts: Int[Tensor, "batch dim"]
    sizes: tuple[int, ...]
    periodic: tuple[bool, ...]

    def key(self, sample: Tensor, coordinate: list[Tensor]) -> Tensor:
        """One integer a cell, ascending with sample, then coordinates."""
        key = sample
        for size, along in zip(self.sizes, coordinate):
            key = key * size + along
        return key


def pairs_within(
    points: Cloud,
    queries: Cloud,
    radius: Float[Tensor, " batch"],
    period: Float[Tensor, " dim"],
    *,
    loop: bool = True,
    limit: int | None = None,
) -> Pairs:
    """Every query with the points of its sample at a distance of at most ``radius`` (minimum image).

    Memory is that of the points and pairs: candidates are looked at a block at a time.

    Args:
        period: infinite along open axes.
        loop: keep pairs of one row; False where queries are the points.
        limit: keep the nearest so many of each query, of equally near ones those that come first.

    Raises:
        ValueError: a cloud that is wider than 2^40 radii.
    """
    found = _Collected(queries.row.device)
    if len(points.row) and len(queries.row):
        _check_extent(points, queries, radius, period)
        for block in _blocks_of_pairs(points, queries, radius, period, loop=loop, limit=limit):
            found.add(block)
    return found.pairs()


class _Collected:
    """Pairs of all blocks so far, in memory that doubles: thousands of small pieces would fragment the heap."""

    def __init__(self, device: torch.device) -> None:
        self._size = 0
        self._held = Pairs(
            *(torch.empty(1024, dtype=dtype, device=device) for dtype in (torch.int64, torch.int64, torch.float64))
        )

    def add(self, pairs: Pairs) -> None:
        size = self._size + len(pairs.query)
        if size > len(self._held.query):
            room = 2 * size
            self._held = Pairs(*(torch.cat([p[: self._size], p.new_empty(room - self._size)]) for p in self._held))
        for held, new in zip(self._held, pairs):
            held[self._size : size] = new
        self._size = size

    def pairs(self) -> Pairs:
        return Pairs(*(part[: self._size] for part in self._held))


def _blocks_of_pairs(
    points: Cloud, queries: Cloud, radius: Tensor, period: Tensor, *, loop: bool, limit: int | None
) -> Iterator[Pairs]:
    grid = _grid(points, queries, radius * _MARGIN, period)
    keys, order = grid.key(points.sample, list(grid.coordinate[: len(points.row)].unbind(-1))).sort(stable=True)
    at, cell = _query_cells(grid, queries, len(points.row))
    start, length = _ranges(grid, keys, *at)
    position, count = points.position[order], len(points.row)
    square_radius = (radius * radius)[queries.sample]
    for first, last in _blocks(length.sum(-1)[cell]):
        query, candidate = _candidates(start[cell[first:last]], length[cell[first:last]])
        query = query + first
        between = queries.position.index_select(0, query) - position.index_select(0, candidate)
        square = squared_length(between, period)
        near = (square <= square_radius[query]).nonzero()[:, 0]
        query, point, square = query[near], order[candidate[near]], square[near]
        if not loop:
            other = points.row[point] != queries.row[query]
            query, point, square = query[other], point[other], square[other]
        _, by = (query * count + point).sort()
        pairs = Pairs(query[by], point[by], square[by])
        yield pairs if limit is None else nearest_of(pairs, limit)


def nearest_of(pairs: Pairs, limit: int) -> Pairs:
    """The nearest ``limit`` pairs of each query, in the order they came; of equally near ones those that come first."""
    _, inverse, count = pairs.query.unique_consecutive(return_inverse=True, return_counts=True)
    if not len(count) or int(count.max()) <= limit:
        return pairs
    by = by_distance(pairs)
    begin = (count.cumsum(0) - count)[inverse]  # inverse is ascending, and the same after sorting within queries
    rank = torch.arange(len(by), device=by.device) - begin
    kept = by[rank < limit].sort().values
    return Pairs(*(part[kept] for part in pairs))


def by_distance(pairs: Pairs) -> Int[Tensor, " pair"]:
    """The order of pairs by query, then distance, then point."""
    nearest_first = pairs.square.sort(stable=True).indices
    return nearest_first[pairs.query[nearest_first].sort(stable=True).indices]


def _check_extent(points: Cloud, queries: Cloud, radius: Tensor, period: Tensor) -> None:
    reach = extent((points, queries), period).amax(-1) / radius
    if not bool((reach > MOST_CELLS).any()):
        return
    sample = int(reach.argmax())
    members = (points.sample == sample).nonzero()[:, 0]
    gap = (points.position[members] - points.position[members].median(0).values).abs().amax(-1)
    far = int(members[gap.argmax()])
    node = int(points.row[far]) - int(points.row[members[0]])
    raise ValueError(
        f"Expected points within 2^40 radii of each other, got batch {sample} as wide as {float(reach[sample]):.3g} "
        f"radii, the point {node} from its first at {points.position[far].tolist()}. A rollout that blew up, or a "
        "radius in another unit?"
    )


def _grid(points: Cloud, queries: Cloud, width: Tensor, period: Tensor) -> Grid:
    """Cells at least so wide; wider ones where there would be too many to number."""
    sample = torch.cat([points.sample, queries.sample])
    position = torch.cat([points.position, queries.position])
    low, _ = bounds((points, queries))
    periodic = [not math.isinf(length) for length in period.tolist()]
    while True:
        counts = (period / width[:, None]).floor().clamp(1, _MOST_PERIODIC)
        open_ = (position - low[sample]) / width[sample, None]
        share = position / period
        wrapped = (share - share.floor()) * counts[sample]
        cell = torch.where(period.isinf(), open_, wrapped).floor().long()
        cell = torch.where(period.isinf(), cell + 1, torch.minimum(cell, counts[sample].long() - 1))
        if points.batch * math.prod(_sizes(cell, counts, periodic)) > _MOST_KEYS:
            cell = torch.stack([a if wraps else _closed_up(a) for a, wraps in zip(cell.unbind(-1), periodic)], -1)
        sizes = _sizes(cell, counts, periodic)
        if points.batch * math.prod(sizes) <= _MOST_KEYS:
            return Grid(cell, counts.long(), sizes, tuple(periodic))
        width = 2 * width


def _sizes(cell: Tensor, counts: Tensor, periodic: list[bool]) -> tuple[int, ...]:
    """How many numbers the cells along each axis and those around them may have."""
    top, most = cell.amax(0).tolist(), counts.amax(0).tolist()
    return tuple(int(n) if wraps else t + 2 for t, n, wraps in zip(top, most, periodic))


def _closed_up(cell: Tensor) -> Tensor:
    """The same neighbourhoods along an axis with its gaps closed to one empty cell: as few numbers as there can be."""
    occupied, place = cell.unique(return_inverse=True)
    gaps = occupied.diff().clamp(max=2)
    return torch.cat([occupied.new_ones(1), 1 + gaps.cumsum(0)])[place]


def _query_cells(grid: Grid, queries: Cloud, points: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Sample and coordinates of each cell that has a query, and which of them each query is in."""
    coordinate = grid.coordinate[points:]
    keys, cell = grid.key(queries.sample, list(coordinate.unbind(-1))).unique(return_inverse=True)
    one = torch.empty_like(keys).scatter_(0, cell, torch.arange(len(cell), device=cell.device))
    return (queries.sample[one], coordinate[one]), cell


def _ranges(grid: Grid, keys: Tensor, sample: Tensor, coordinate: Tensor) -> tuple[Tensor, Tensor]:
    """Start and length, (cell, range), of the ranges of sorted points in and around each cell."""
    *lead, last = coordinate.unbind(-1)
    counts, found = grid.counts[sample].unbind(-1), []
    for offsets in itertools.product((0, 1, -1), repeat=len(lead)):
        moved, there = [], torch.ones_like(sample, dtype=torch.bool)
        for along, count, wraps, offset in zip(lead, counts, grid.periodic, offsets):
            moved.append((along + offset) % count if wraps else along + offset)
            if wraps and offset:  # with one or two cells around, their neighbours are those already looked at
                there &= count > (1 if offset == 1 else 2)
        row = grid.key(sample, moved) * grid.sizes[-1]
        for low, high, present in _along_last(grid, last, counts[-1]):
            start = torch.searchsorted(keys, row + low)
            stop = torch.searchsorted(keys, row + high, right=True)
            found.append((start, torch.where(there & present, stop - start, 0)))
    return torch.stack([start for start, _ in found], -1), torch.stack([length for _, length in found], -1)


def _along_last(grid: Grid, last: Tensor, count: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """First and last cell of the ranges along the last axis, and whether there is one."""
    present = torch.ones_like(last, dtype=torch.bool)
    if not grid.periodic[-1]:
        yield last - 1, last + 1, present
        return
    yield (last - 1).clamp(min=0), torch.minimum(last + 1, count - 1), present
    around = torch.where(last == 0, count - 1, 0)
    yield around, around, (count > 2) & ((last == 0) | (last == count - 1))


def _blocks(candidates: Int[Tensor, " query"]) -> Iterator[tuple[int, int]]:
    """Ranges of queries that have about a block of candidates together; a single query may have more."""
    most = BLOCK.get(candidates.device.type, BLOCK["cpu"])
    total = candidates.cumsum(0)
    steps = torch.arange(0, int(total[-1]) + most, most, device=total.device)
    ends = torch.searchsorted(total, steps, right=True).tolist()
    for first, last in itertools.pairwise([0, *ends, len(total)]):
        if first < last:
            yield first, last


def _candidates(start: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Query and sorted point of every pair to look at, from (query, range) tables."""
    ranges = length.flatten()
    begin = ranges.cumsum(0) - ranges
    shift = (start.flatten() - begin).repeat_interleave(ranges)
    query = torch.arange(len(start), device=start.device).repeat_interleave(length.sum(-1))
    return query, shift + torch.arange(len(shift), device=shift.device)


def squared_length(displacement: Float[Tensor, "*pairs dim"], period: Float[Tensor, " dim"]) -> Float[Tensor, "*pairs"]:
    """Squared length, the axes added in their order: the same number wherever it is computed."""
    first, *others = (part * part for part in minimum_image(displacement, period).unbind(-1))
    for other in others:
        first = first + other
    return first
