"""From a grid to one of about half the points along each axis, and matrices on it.

Along an axis the points 0, 2, 4, ... are kept, and those between are the mean of their two neighbours: linear
interpolation P. The coarse matrix is P^T A P (Galerkin), which couples nearest neighbours again, diagonal ones too. An
axis is done after the other, so that all formulas are those of one dimension. Trottenberg, Oosterlee, Schueller,
"Multigrid", 2001, sections 2.3.3 and 2.3.5 and appendix A.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .stencil import Stencil

Offset = tuple[int, ...]
Parts = dict[Offset, Tensor]
"""The entries of a matrix by where they reach, 0 for the diagonal, each (samples, *shape)."""


@dataclass(frozen=True, eq=False)
class Line:
    """Interpolation along one axis, the same for all lines of the grid.

    The first 2 coarse - 1 points are regular; those after them, at most two, are tabulated.

    Attributes:
        axis: which one.
        fine: points along it.
        coarse: points that are kept.
        end: what the last of an even number of points is of its left neighbour, (samples,); that is what its equation
            makes of it if nothing changes along other axes: 1/2 between nodes and a boundary of zeros, 1 at a wall that
            lets nothing through.
        periodic: whether the axis wraps around: then the last one or two points are interpolated to the first one.
    """

    axis: int
    fine: int
    coarse: int
    end: Float[Tensor, " samples"]
    periodic: bool

    def tail(self, like: Tensor) -> list[tuple[int, list[tuple[int, float | Tensor]]]]:
        """The points after the regular ones, each with the coarse points that it is made of, and their weights."""
        last = self.coarse - 1
        first = 2 * last + 1
        if self.periodic:
            parts = self.fine - 2 * last
            return [
                (first + k, [(last, (parts - 1 - k) / parts), (0, (1 + k) / parts)]) for k in range(self.fine - first)
            ]
        end = self.end.to(like).reshape(-1, *[1] * (like.dim() - 2))
        return [(first, [(last, end)])] if self.fine > first else []

    def parents(self, point: int, like: Tensor) -> list[tuple[int, float | Tensor]]:
        """The coarse points that a point is made of, and their weights."""
        if point > 2 * self.coarse - 2:
            return dict(self.tail(like))[point]
        half = point // 2
        return [(half, 0.5), (half + 1, 0.5)] if point % 2 else [(half, 1.0)]

    def restrict(self, r: Tensor) -> Tensor:
        """P^T r."""
        dim = self.axis + 1
        even, odd = _split(r, dim, self.coarse)
        result = even.clone()
        count = self.coarse - 1
        result.narrow(dim, 0, count).add_(odd, alpha=0.5)
        result.narrow(dim, 1, count).add_(odd, alpha=0.5)
        for point, parents in self.tail(r):
            for coarse, weight in parents:
                result.select(dim, coarse).add_(weight * r.select(dim, point))
        return result

    def interpolate(self, z: Tensor) -> Tensor:
        """P z."""
        dim, count = self.axis + 1, self.coarse - 1
        shape = [self.fine if k == dim else n for k, n in enumerate(z.shape)]
        result = z.new_empty(shape)
        even, odd = _split(result, dim, self.coarse)
        even.copy_(z)
        odd.copy_(0.5 * (z.narrow(dim, 0, count) + z.narrow(dim, 1, count)))
        for point, parents in self.tail(z):
            result.select(dim, point).zero_()
            for coarse, weight in parents:
                result.select(dim, point).add_(weight * z.select(dim, coarse))
        return result


def coarsened(matrix: Stencil, constant: Bool[Tensor, " samples"]) -> tuple[Stencil, list[Line]] | None:
    """The matrix on the next coarser grid and how to interpolate from there, None where that is too coarse already.

    Args:
        matrix: on the fine grid.
        constant: those whose constants the matrix maps to 0; they are interpolated exactly.
    """
    parts, shape, lines = parts_of(matrix), list(matrix.shape), []
    for axis in reversed(range(len(shape))):
        n, repeats = shape[axis], matrix.periodic[axis]
        if n < (6 if repeats else 4):
            continue
        end = torch.where(constant, 1.0, _end(parts, axis))
        line = Line(axis, n, n // 2 if repeats else (n + 1) // 2, end, repeats)
        parts = _galerkin(parts, line)
        shape[axis] = line.coarse
        lines.append(line)
    if not lines:
        return None
    centre = (0,) * len(shape)
    offsets = tuple(offset for offset in sorted(parts) if offset != centre)
    values = torch.stack([parts[offset] for offset in offsets], dim=1)
    return Stencil(tuple(shape), offsets, values, parts[centre], matrix.periodic), lines


def parts_of(matrix: Stencil) -> Parts:
    """The entries by where they reach; those that reach beyond the grid are 0."""
    rows, shape = matrix.couplings(), (matrix.samples, *matrix.shape)
    parts = {offset: rows.values[:, k].reshape(-1, *matrix.shape) for k, offset in enumerate(matrix.offsets)}
    parts[(0,) * len(matrix.shape)] = rows.diagonal.reshape(-1, *matrix.shape)
    return {offset: part.expand(shape) for offset, part in parts.items()}


def _end(parts: Parts, axis: int) -> Tensor:
    """What the last point along an axis is of the one before, by its equation: of what other axes couple, the sum."""
    sums: dict[int, list[Tensor]] = {0: [], -1: []}
    for offset, part in parts.items():
        if offset[axis] <= 0:
            last = part.select(axis + 1, -1)
            sums[offset[axis]].append(last.reshape(len(part), -1).double().sum(dim=1))
    own, before = (sum(sums[step], torch.zeros_like(sums[0][0])) for step in (0, -1))
    return (-before / own).nan_to_num(1.0, 1.0, 1.0).clamp(0.0, 1.0)


def _galerkin(parts: Parts, line: Line) -> Parts:
    """P^T A P along one axis."""
    axis = line.axis
    coarse: Parts = {}
    for rest in sorted({offset[:axis] + offset[axis + 1 :] for offset in parts}):
        keys = [(*rest[:axis], step, *rest[axis:]) for step in (-1, 0, 1)]
        given = [parts.get(key) for key in keys]
        like = next(part for part in given if part is not None)
        left, own, right = (torch.zeros_like(like) if part is None else part for part in given)
        coarse.update(zip(keys, _triple(left, own, right, line)))
    return coarse


def _triple(left: Tensor, own: Tensor, right: Tensor, line: Line) -> tuple[Tensor, Tensor, Tensor]:
    """Entries that reach back, stay and reach on along the axis, of P^T A P from those of A."""
    dim, count = line.axis + 1, line.coarse - 1
    (le, lo), (ce, co), (re, ro) = (_split(part, dim, line.coarse) for part in (left, own, right))
    middle = ce.clone()
    middle.narrow(dim, 1, count).add_(0.5 * (le.narrow(dim, 1, count) + ro) + 0.25 * co)
    middle.narrow(dim, 0, count).add_(0.5 * (re.narrow(dim, 0, count) + lo) + 0.25 * co)
    back, on = torch.zeros_like(middle), torch.zeros_like(middle)
    back.narrow(dim, 1, count).copy_(0.5 * (le.narrow(dim, 1, count) + lo) + 0.25 * co)
    on.narrow(dim, 0, count).copy_(0.5 * (re.narrow(dim, 0, count) + ro) + 0.25 * co)
    result, n, regular = (back, middle, on), line.fine, 2 * line.coarse - 1
    for point, step in product(sorted({0, *range(regular - 1, n)}), (-1, 0, 1)):
        other = (point + step) % n if line.periodic else point + step
        if max(point, other) < regular or not 0 <= other < n:
            continue
        entry = (left, own, right)[step + 1].select(dim, point)
        for (i, mine), (j, theirs) in product(line.parents(point, own), line.parents(other, own)):
            reach = (j - i + 1) % line.coarse if line.periodic else j - i + 1
            result[reach].select(dim, i).add_(mine * theirs * entry)
    return result


def _split(x: Tensor, dim: int, coarse: int) -> tuple[Tensor, Tensor]:
    """The regular points: those that are kept, and those between."""
    cut = [slice(None)] * dim
    last = 2 * coarse - 2
    return x[(*cut, slice(0, last + 1, 2))], x[(*cut, slice(1, last, 2))]
