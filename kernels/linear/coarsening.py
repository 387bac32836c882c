"""From a grid to one of about half the points along each axis, and matrices on it.

Along an axis the points 0, 2, 4, ... are kept, and those between are means of their two neighbours, each weighted as
the matrix couples them: summed over the other axes, as if nothing changed along these. For constant coefficients that
is linear interpolation; where coefficients jump it keeps the flux continuous. The coarse matrix is P^T A P (Galerkin),
which couples nearest neighbours again, diagonal ones too. An axis is done after the other, so that all formulas are
those of one dimension. Alcouffe, Brandt, Dendy, Painter, "The multi-grid method for the diffusion equation with
strongly discontinuous coefficients", SIAM J. Sci. Stat. Comput. 2, 1981; Trottenberg, Oosterlee, Schueller,
"Multigrid", 2001, section 7.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from .stencil import Stencil

_NEVER = 30.0
"""A lag longer than there are grids."""

Offset = tuple[int, ...]
Parts = dict[Offset, Tensor]
"""The entries of a matrix by where they reach, 0 for the diagonal, each (samples, *shape)."""


@dataclass(frozen=True, eq=False)
class Line:
    """Interpolation along one axis: a fine point is weight[k] times coarse point parent[k], summed over two k.

    Attributes:
        axis: which one.
        coarse: points that are kept.
        parent: the coarse points before and after; that itself where a point is kept.
        weight: of each parent at each point, (2, samples, *shape) with the fine shape.
        periodic: whether the axis wraps around.
    """

    axis: int
    coarse: int
    parent: Int[Tensor, "2 fine"]
    weight: Float[Tensor, "2 samples *shape"]
    periodic: bool

    def interpolate(self, z: Float[Tensor, "batch *coarse"]) -> Float[Tensor, "batch *fine"]:
        """P z."""
        first, second = (z.index_select(self.axis + 1, parent) for parent in self.parent)
        return self.weight[0] * first + self.weight[1] * second

    def restrict(self, r: Float[Tensor, "batch *fine"]) -> Float[Tensor, "batch *coarse"]:
        """P^T r."""
        dim = self.axis + 1
        result = r.new_zeros([self.coarse if k == dim else n for k, n in enumerate(r.shape)])
        for parent, weight in zip(self.parent, self.weight):
            result.index_add_(dim, parent, weight * r)
        return result


def lags(matrix: Stencil) -> Int[Tensor, "samples axis"]:
    """How many times the axis of the strongest couplings is coarsened before each axis is.

    Relaxation smoothes an error along strong couplings alone; each time they weaken by four, against the others
    (semi-coarsening; Trottenberg, Oosterlee, Schueller, section 5.1).
    """
    strengths = []
    for axis in range(len(matrix.shape)):
        total = torch.zeros(matrix.samples, dtype=torch.float64, device=matrix.device)
        for offset, values in zip(matrix.offsets, matrix.values.detach().unbind(dim=1)):
            for along, (step, repeats) in enumerate(zip(offset, matrix.periodic), start=1):
                if step and not repeats and values.shape[along] > 1:  # without what reaches beyond the end
                    values = values.narrow(along, max(0, -step), values.shape[along] - 1)
            total = total + offset[axis] ** 2 * values.mean(dim=tuple(range(1, values.dim())), dtype=torch.float64)
        strengths.append(total.abs())
    strength = torch.stack(strengths, dim=1)
    times = (strength.amax(dim=1, keepdim=True) / strength).log2() / 2
    return times.nan_to_num(0.0, _NEVER).clamp(0.0, _NEVER).round().long()


def coarser_shapes(shape: Offset, periodic: tuple[bool, ...], lag: Sequence[int]) -> list[Offset]:
    """Of all grids below this one, down to two to five points along each axis.

    Args:
        shape: of the grid.
        periodic: along which axes.
        lag: of each axis, see ``lags``.
    """
    shapes, lag = [], list(lag)
    while long := [axis for axis, n in enumerate(shape) if n >= (6 if periodic[axis] else 4)]:
        least = min(lag[axis] for axis in long)
        shape = tuple(
            n if axis not in long or lag[axis] > least else n // 2 if periodic[axis] else (n + 1) // 2
            for axis, n in enumerate(shape)
        )
        lag = [max(n - 1, least) for n in lag]
        shapes.append(shape)
    return shapes


def coarsened(matrix: Stencil, shape: Offset, constant: Bool[Tensor, " samples"]) -> tuple[Stencil, list[Line]]:
    """The matrix on the next coarser grid, and how to interpolate from there.

    Args:
        matrix: on the fine grid.
        shape: of the coarser grid.
        constant: those whose constants the matrix maps to 0; they are interpolated exactly.
    """
    parts, lines = parts_of(matrix), []
    for axis in reversed(range(len(shape))):
        if shape[axis] < matrix.shape[axis]:
            lines.append(_line(parts, axis, matrix.periodic[axis], constant))
            parts = _galerkin(parts, lines[-1])
    centre = (0,) * len(shape)
    offsets = tuple(offset for offset in sorted(parts) if offset != centre)
    values = torch.stack([parts[offset] for offset in offsets], dim=1)
    return Stencil(shape, offsets, values, parts[centre], matrix.periodic), lines


def parts_of(matrix: Stencil) -> Parts:
    """The entries by where they reach; those that reach beyond the grid are 0."""
    rows, shape = matrix.couplings(), (matrix.samples, *matrix.shape)
    parts = {offset: rows.values[:, k].reshape(-1, *matrix.shape) for k, offset in enumerate(matrix.offsets)}
    parts[(0,) * len(matrix.shape)] = rows.diagonal.reshape(-1, *matrix.shape)
    return {offset: part.expand(shape) for offset, part in parts.items()}


def _line(parts: Parts, axis: int, periodic: bool, constant: Tensor) -> Line:
    """How to interpolate along an axis of this matrix."""
    own = parts[(0,) * len(next(iter(parts)))]
    n, dim = own.shape[axis + 1], axis + 1
    coarse = n // 2 if periodic else (n + 1) // 2
    before, centre, after = (
        sum((part for offset, part in parts.items() if offset[axis] == step), torch.zeros_like(own))
        for step in (-1, 0, 1)
    )
    point = torch.arange(n, device=own.device)
    parent = torch.stack([(point // 2).clamp(max=coarse - 1), (point + 1) // 2 % coarse])
    share = _ratio(before, before + after, 0.5)
    share.index_fill_(dim, point[: 2 * coarse : 2], 1.0)
    weight = torch.stack([share, 1 - share])
    last = [cut.select(dim, n - 1) for cut in (before, centre, weight[0], weight[1])]
    if not periodic and n % 2 == 0:
        end = _ratio(-last[0], last[1], 1.0)
        last[2].copy_(torch.where(constant.reshape(-1, *[1] * (end.dim() - 1)), 1.0, end))
        last[3].zero_()
    elif periodic and n % 2:
        _pair(before, after, weight, dim)
    return Line(axis, coarse, parent, weight, periodic)


def _pair(before: Tensor, after: Tensor, weight: Tensor, dim: int) -> None:
    """The last two points around an odd periodic axis, between the last one that is kept and the first: in series."""
    n = before.shape[dim]
    one, two, three = before.select(dim, n - 2), after.select(dim, n - 2), after.select(dim, n - 1)
    whole = one * two + two * three + three * one
    shares = (_ratio(one * (two + three), whole, 2 / 3), _ratio(one * two, whole, 1 / 3))
    for point, share in zip((n - 2, n - 1), shares):
        weight[0].select(dim, point).copy_(share)
        weight[1].select(dim, point).copy_(1 - share)


def _ratio(part: Tensor, whole: Tensor, otherwise: float) -> Tensor:
    """part / whole, cut to 0 and 1; something else where whole is 0."""
    ratio = part / whole
    return torch.where(ratio.isfinite(), ratio.clamp(0.0, 1.0), otherwise)


def _galerkin(parts: Parts, line: Line) -> Parts:
    """P^T A P along one axis."""
    axis, dim, n, m = line.axis, line.axis + 1, line.parent.shape[1], line.coarse
    point = torch.arange(n, device=line.parent.device)
    sums: dict[Offset, Tensor] = {}  # of what reaches back, stays, and reaches on, one after the other along the axis
    for offset, part in parts.items():
        step, rest = offset[axis], (*offset[:axis], 0, *offset[axis + 1 :])
        if rest not in sums:
            sums[rest] = part.new_zeros([3 * m if k == dim else size for k, size in enumerate(part.shape)])
        there = line.weight.roll(tuple(-o for o in offset), tuple(range(2, line.weight.dim())))
        inside = (point + step >= 0) & (point + step < n) | line.periodic
        for (mine, at), (theirs, to) in product(zip(line.weight, line.parent), zip(there, line.parent.roll(-step, 1))):
            reach = (to - at + 1) % m if line.periodic else to - at + 1
            rows = (inside & (reach >= 0) & (reach < 3)).nonzero()[:, 0]  # where it is more, a weight is 0
            sums[rest].index_add_(dim, (reach * m + at)[rows], (mine * part * theirs).index_select(dim, rows))
    return {
        (*rest[:axis], reach, *rest[axis + 1 :]): total.narrow(dim, (reach + 1) * m, m)
        for rest, total in sums.items()
        for reach in (-1, 0, 1)
    }
