"""Sparse matrices by rows."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .matrix import ROUNDING, Couplings, Pattern, unlike


@dataclass(frozen=True, eq=False)
class RowPattern:
    """Where the entries of a sparse matrix are.

    Attributes:
        begin: of each row among the entries, and the end, (n + 1,).
        column: of each entry, ascending within a row, each once, the diagonal among them.
    """

    begin: Int[Tensor, " row_1"]
    column: Int[Tensor, " entry"]

    @cached_property
    def row(self) -> Int[Tensor, " entry"]:
        """Of each entry."""
        counts = self.begin.diff()
        return torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)

    @cached_property
    def diagonal(self) -> Int[Tensor, " row"]:
        """Which entries are on the diagonal."""
        return (self.row == self.column).nonzero()[:, 0]

    @cached_property
    def table(self) -> tuple[Pattern, Int[Tensor, "coupling row"], Tensor]:
        """Neighbours of each row as a ``Pattern``, the entries they are, and where there is one."""
        off = (self.row != self.column).nonzero()[:, 0]
        row, count = self.row[off], len(self.begin) - 1
        first = torch.searchsorted(row, row)
        place = torch.arange(len(off), device=off.device) - first
        width = int(place.max()) + 1 if len(off) else 0
        own = torch.arange(count, device=off.device)
        neighbours, entries = own.expand(width, -1).clone(), off.new_zeros(width, count)
        there = torch.zeros(width, count, dtype=torch.bool, device=off.device)
        neighbours[place, row], entries[place, row], there[place, row] = self.column[off], off, True
        return Pattern(neighbours), entries, there

    @cached_property
    def transposed(self) -> tuple[RowPattern, Int[Tensor, " entry"]]:
        """The pattern of the transpose, and the entry that each of its entries is."""
        order = torch.argsort(self.column * len(self.begin) + self.row)
        counts = torch.bincount(self.column, minlength=len(self.begin) - 1)
        begin = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
        return RowPattern(begin, self.row[order]), order


@dataclass(frozen=True, eq=False)
class Rows:
    """A batch of sparse matrices of one pattern, over vectors (batch, n).

    Args:
        pattern: see ``RowPattern``; ``Rows.of`` makes one.
        values: of the entries, (samples, entry).

    Raises:
        ValueError: there are more or fewer values than entries.
    """

    pattern: RowPattern
    values: Float[Tensor, "samples entry"]

    def __post_init__(self) -> None:
        if self.values.dim() != 2 or self.values.shape[1] != len(self.pattern.column):
            raise ValueError(
                f"Expected values of shape (samples, {len(self.pattern.column)}), one for each entry of the pattern, "
                f"got {tuple(self.values.shape)}."
            )

    @classmethod
    def of(cls, matrix: Any) -> Rows:
        """From a square sparse matrix of torch or scipy, or a dense tensor (n, n), whose zeros are left out.

        Raises:
            ValueError: it is not square, not of real floating point numbers, or has no diagonal entry in some row.
        """
        coo = _coordinates(matrix)
        (row, column), values, n = coo.indices(), coo.values(), len(coo)
        counts = torch.bincount(row, minlength=n)
        pattern = RowPattern(torch.cat([counts.new_zeros(1), counts.cumsum(0)]), column)
        missing = torch.ones(n, dtype=torch.bool, device=row.device)
        missing[row[row == column]] = False
        if bool(missing.any()):
            raise ValueError(
                f"Expected an entry on the diagonal of every row, got none in row {int(missing.nonzero()[0, 0])}, one "
                f"of {int(missing.sum())}. Relaxation divides by it."
            )
        return cls(pattern, values[None])

    @classmethod
    def from_couplings(cls, couplings: Couplings) -> Rows:
        """The same matrices, as rows."""
        pattern, chosen = _pattern_of(couplings.pattern)
        values, diagonal = couplings.values, couplings.diagonal[:, None]
        count = max(len(values), len(diagonal))
        every = torch.cat([part.expand(count, -1, -1) for part in (diagonal, values)], dim=1)
        return cls(pattern, every.flatten(1)[:, chosen])

    @property
    def samples(self) -> int:
        """Of the batch, 1 where all share one matrix."""
        return len(self.values)

    @property
    def shape(self) -> tuple[int, ...]:
        """(n,)."""
        return (len(self.pattern.begin) - 1,)

    @property
    def dtype(self) -> torch.dtype:
        """Of the entries."""
        return self.values.dtype

    @property
    def device(self) -> torch.device:
        """Where the entries are."""
        return self.values.device

    @property
    def diagonal(self) -> Float[Tensor, "samples n"]:
        """The diagonal."""
        return self.values[:, self.pattern.diagonal]

    @cached_property
    def asymmetry(self) -> Float[Tensor, " samples"]:
        """Largest difference from the transpose over the largest entry."""
        other, a = self.transpose(), self.values.detach()
        same = torch.equal(self.pattern.column, other.pattern.column)
        if not same or not torch.equal(self.pattern.begin, other.pattern.begin):
            return torch.full((len(a),), torch.inf, dtype=self.dtype, device=self.device)
        return unlike(a, other.values.detach())

    @cached_property
    def symmetric(self) -> bool:
        """Whether it equals its transpose, to rounding."""
        return bool((self.asymmetry <= ROUNDING * torch.finfo(self.dtype).eps).all())

    def apply(self, x: Float[Tensor, "batch n"]) -> Float[Tensor, "batch n"]:
        """A x, differentiable in x and the values."""
        products = self.values * x[:, self.pattern.column]
        return torch.zeros_like(products[:, :1]).expand(-1, self.shape[0]).index_add(1, self.pattern.row, products)

    def transpose(self) -> Rows:
        """The transpose."""
        pattern, order = self.pattern.transposed
        return Rows(pattern, self.values[:, order])

    def couplings(self) -> Couplings:
        """Row by row."""
        pattern, entries, there = self.pattern.table
        values = torch.where(there, self.values[:, entries], self.values.new_zeros(()))
        return Couplings(pattern, values, self.values[:, self.pattern.diagonal])

    def select(self, rows: Tensor) -> Rows:
        """Of these samples alone."""
        return self if len(self.values) == 1 else replace(self, values=self.values[rows])

    @property
    def entries(self) -> tuple[Tensor]:
        """The values."""
        return (self.values,)

    def with_entries(self, *entries: Tensor) -> Rows:
        """The same pattern with other values."""
        return replace(self, values=entries[0])

    def detach(self) -> Rows:
        """Without gradients."""
        return self._like(self.with_entries(self.values.detach()))

    def shifted(self, shift: float | Tensor) -> Rows:
        """A + shift I; one shift, or one for each sample (batch,)."""
        shift = torch.as_tensor(shift, dtype=self.dtype, device=self.device).reshape(-1, 1)
        unit = torch.zeros_like(self.values[0]).index_fill(0, self.pattern.diagonal, 1.0)
        return self._like(replace(self, values=self.values + shift * unit))

    def scaled(self, factor: float | Tensor) -> Rows:
        """factor A; one factor, or one for each sample (batch,)."""
        factor = torch.as_tensor(factor, dtype=self.dtype, device=self.device).reshape(-1, 1)
        return self._like(replace(self, values=self.values * factor))

    def _like(self, other: Rows) -> Rows:
        """Another matrix that is as symmetric as this one, which need not be found out again."""
        known = ("asymmetry", "symmetric")
        other.__dict__.update({name: self.__dict__[name] for name in known if name in self.__dict__})
        return other


@lru_cache(maxsize=64)
def _pattern_of(pattern: Pattern) -> tuple[RowPattern, Tensor]:
    """As rows, and where in the table of the diagonal and the couplings, one below the other, each entry is."""
    neighbours = pattern.neighbours
    own = torch.arange(neighbours.shape[1], device=neighbours.device)
    column = torch.cat([own[None], neighbours])
    there = torch.cat([torch.ones_like(own[None], dtype=torch.bool), neighbours != own])
    row = own.expand_as(column)
    order = torch.argsort((row * len(own) + column)[there])
    chosen = there.flatten().nonzero()[:, 0][order]
    counts = there.sum(dim=0)
    begin = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    return RowPattern(begin, column.flatten()[chosen]), chosen


def _coordinates(matrix: Any) -> Tensor:
    """As a coalesced sparse tensor of coordinates."""
    if not isinstance(matrix, Tensor) and not hasattr(matrix, "tocoo"):
        raise ValueError(f"Expected a sparse matrix of torch or scipy, or a dense tensor, got {type(matrix).__name__}.")
    shape = tuple(matrix.shape)
    if len(shape) != 2 or shape[0] != shape[1] or not shape[0]:
        raise ValueError(f"Expected a square matrix, got {shape}.")
    if isinstance(matrix, Tensor):
        made = matrix if matrix.layout == torch.sparse_coo else matrix.to_sparse_coo()
    else:
        coo = matrix.tocoo()
        indices = torch.stack([torch.as_tensor(coo.row), torch.as_tensor(coo.col)]).long()
        made = torch.sparse_coo_tensor(indices, torch.as_tensor(coo.data), shape, check_invariants=True)
    if not made.is_floating_point():
        raise ValueError(f"Expected a matrix of real floating point entries, got {made.dtype}.")
    return made.coalesce()
