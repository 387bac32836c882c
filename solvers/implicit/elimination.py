"""Small linear systems eliminated entry by entry: arithmetic alone, as compiled programs of small states need it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

SMALL = 16
"""Up to this dimension a system is worth writing out."""


@dataclass(frozen=True, slots=True)
class Solved:
    """Solutions (batch, n) of linear systems, and the field evaluations spent, (batch,) where samples differ."""

    x: Tensor
    evaluations: int | Tensor = 0


@dataclass(frozen=True)
class Elimination:
    """Matrices (batch, n, n), eliminated with partial pivoting.

    Attributes:
        upper: rows of the upper triangle, entries (batch,).
        factors: for each column, what the rows below were reduced by.
        swaps: for each column, where the rows below took the pivot's place, one after the other.
    """

    upper: list[list[Tensor]]
    factors: list[list[Tensor]]
    swaps: list[list[Tensor]]

    @classmethod
    def of(cls, matrix: Float[Tensor, "batch n n"]) -> Elimination:
        """Eliminate. A singular matrix gives infinities, not an error."""
        size = matrix.shape[1]
        rows = [list(row.unbind(1)) for row in matrix.unbind(1)]
        factors: list[list[Tensor]] = []
        swaps: list[list[Tensor]] = []
        for k in range(size):
            swaps.append([])
            for i in range(k + 1, size):
                larger = rows[i][k].abs() > rows[k][k].abs()
                swaps[k].append(larger)
                pairs = [_swapped(larger, rows[k][j], rows[i][j]) for j in range(k, size)]
                rows[k][k:], rows[i][k:] = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
            factors.append([rows[i][k] / rows[k][k] for i in range(k + 1, size)])
            for i, factor in enumerate(factors[k], start=k + 1):
                rows[i][k + 1 :] = [entry - factor * top for entry, top in zip(rows[i][k + 1 :], rows[k][k + 1 :])]
        return cls(rows, factors, swaps)

    def solve(self, v: Float[Tensor, "batch n"]) -> Solved:
        """The solutions (batch, n) for right-hand sides ``v``."""
        x = list(v.unbind(1))
        size = len(x)
        for k in range(size):
            for i, larger in enumerate(self.swaps[k], start=k + 1):
                x[k], x[i] = _swapped(larger, x[k], x[i])
            for i, factor in enumerate(self.factors[k], start=k + 1):
                x[i] = x[i] - factor * x[k]
        for k in reversed(range(size)):
            for j in range(k + 1, size):
                x[k] = x[k] - self.upper[k][j] * x[j]
            x[k] = x[k] / self.upper[k][k]
        return Solved(torch.stack(x, dim=1))

    def precondition(self, v: Tensor, adjoint: bool) -> Tensor:
        """As ``solve``; there is no adjoint."""
        if adjoint:
            raise ValueError("Expected no gradients through a compiled implicit step. Use compiled=False.")
        return self.solve(v).x


def _swapped(mask: Tensor, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    return torch.where(mask, second, first), torch.where(mask, first, second)
