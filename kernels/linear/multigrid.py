"""The V-cycle of geometric multigrid: relaxation on a grid, and what is left of the error from coarser ones.

Brandt, "Multi-level adaptive solutions to boundary-value problems", Math. Comp. 31, 1977; Trottenberg, Oosterlee,
Schueller, "Multigrid", 2001, section 2.4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from . import native
from .coarsening import Line, coarsened, coarser_shapes, lags
from .matrix import ROUNDING
from .products import product
from .stencil import Stencil
from .sweeps import Sweeper


class Hierarchy:
    """A matrix on its grid and on coarser ones, down to two to five points along each axis, where it is factorised.

    Args:
        matrix: of the systems.
        before: sweeps in natural order before what coarser grids do.
        after: sweeps in reverse order after it.
        lag: of each axis, for all samples, see ``coarsening.lags``; 0 where None.
        colours: sweeps go colour by colour instead.
    """

    @torch.no_grad()
    def __init__(
        self,
        matrix: Stencil,
        before: int = 1,
        after: int = 1,
        lag: Sequence[int] | None = None,
        *,
        colours: bool = False,
    ) -> None:
        self.before, self.after = before, after
        constant = maps_constants_to_zero(matrix)
        self.levels: list[_Level] = []
        for shape in coarser_shapes(matrix.shape, matrix.periodic, lag or [0] * len(matrix.shape)):
            coarse, lines = coarsened(matrix, shape, constant)
            self.levels.append(_Level(Sweeper(matrix, colours=colours), lines))
            matrix = coarse
        self.factors = torch.linalg.lu_factor(_invertible(matrix, constant))

    @torch.no_grad()
    def cycle(self, r: Float[Tensor, "batch *shape"], omega: Float[Tensor, " batch"]) -> Float[Tensor, "batch *shape"]:
        """What one V-cycle that starts from 0 makes of the right-hand side r, an approximation of A^-1 r."""
        return self._cycle(r, omega, 0)

    def _cycle(self, r: Tensor, omega: Tensor, depth: int) -> Tensor:
        if depth == len(self.levels):
            lu, pivots = self.factors
            column = r.reshape(len(r), -1, 1)
            return torch.linalg.lu_solve(lu, pivots, column).reshape(r.shape)
        sweeper, lines = self.levels[depth].sweeper, self.levels[depth].lines
        right = sweeper.taken(r)
        x = torch.zeros_like(right)
        for _ in range(self.before):
            sweeper.sweep(right, x, omega)
        rest = sweeper.given(sweeper.residual(right, x))
        for line in lines:
            rest = line.restrict(rest)
        error = self._cycle(rest, omega, depth + 1)
        for line in reversed(lines):
            error = line.interpolate(error)
        x += sweeper.taken(error)
        for _ in range(self.after):
            sweeper.sweep(right, x, omega, backward=True)
        return sweeper.given(x)


@dataclass(frozen=True, eq=False)
class _Level:
    """A grid, and the way to the next coarser one."""

    sweeper: Sweeper
    lines: list[Line]


class Cycles:
    """Hierarchies of all samples, one for those that are coarsened alike, by the C++ twin where that serves.

    Args:
        matrix: of the systems.
        before: as for ``Hierarchy``.
        after: as for ``Hierarchy``.
        colours: as for ``Hierarchy``.
    """

    def __init__(self, matrix: Stencil, before: int = 1, after: int = 1, *, colours: bool = False) -> None:
        ours = not colours and native.serves(matrix)
        self.groups = []
        for lag, rows in grouped(matrix):
            own = matrix if rows is None else matrix.select(rows)
            grids = native.Hierarchy(own, before, after, lag) if ours else None
            self.groups.append((rows, grids or Hierarchy(own, before, after, lag, colours=colours)))

    def cycle(self, r: Float[Tensor, "batch *shape"], omega: Float[Tensor, " batch"]) -> Float[Tensor, "batch *shape"]:
        """``Hierarchy.cycle``."""
        z = torch.empty_like(r)
        for rows, grids in self.groups:
            if rows is None:
                return grids.cycle(r, omega)
            z[rows] = grids.cycle(r[rows], omega[rows])
        return z


def grouped(matrix: Stencil) -> list[tuple[tuple[int, ...], Tensor | None]]:
    """Lags that samples have, and which samples have them; None for all."""
    lag = lags(matrix)
    kinds, kind = lag.unique(dim=0, return_inverse=True)
    if len(kinds) == 1:
        return [(tuple(kinds[0].tolist()), None)]
    return [(tuple(own.tolist()), (kind == k).nonzero()[:, 0]) for k, own in enumerate(kinds)]


@torch.no_grad()
def maps_constants_to_zero(matrix: Stencil) -> Bool[Tensor, " samples"]:
    """Whether a sample's rows all sum to 0, to rounding: then a solution is one up to a constant."""
    ones = torch.ones((matrix.samples, *matrix.shape), dtype=matrix.dtype, device=matrix.device)
    sums = product(matrix, ones).abs().flatten(1).amax(dim=1)
    size = matrix.diagonal.abs().flatten(1).amax(dim=1)
    return sums <= ROUNDING * torch.finfo(matrix.dtype).eps * size


def _invertible(matrix: Stencil, constant: Tensor) -> Tensor:
    """The dense matrix (samples, n, n); for one of constants a multiple of their projection is added, which leaves the
    mean of a solution at 0."""
    rows = matrix.couplings()
    n = rows.diagonal.shape[1]
    own = torch.arange(n, device=matrix.device)
    dense = torch.zeros((matrix.samples, n, n), dtype=matrix.dtype, device=matrix.device)
    dense[:, own, own] = rows.diagonal.expand(matrix.samples, n)
    for there, values in zip(rows.pattern.neighbours, rows.values.unbind(dim=1)):
        dense[:, own, there] += values
    mean = torch.where(constant, rows.diagonal.mean(dim=1) / n, 0.0)
    return dense + mean[:, None, None].to(dense)
