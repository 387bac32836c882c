"""What sweeps, products and solves need to know of a matrix, whatever it is stored as."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .schedule import Schedule, colours, wavefronts


@dataclass(frozen=True, eq=False)
class Pattern:
    """Which unknowns are coupled: row i to ``neighbours[k, i]``, or to nothing where that is i itself.

    Attributes:
        neighbours: (coupling, unknown).
    """

    neighbours: Int[Tensor, "coupling unknown"]

    @cached_property
    def wavefronts(self) -> Schedule:
        """Sets of unknowns that a sweep in natural order may visit at once."""
        return wavefronts(self.neighbours)

    @cached_property
    def colours(self) -> Schedule:
        """Sets of unknowns none of which is coupled to another: red and black on a grid of nearest neighbours."""
        return colours(self.neighbours)


ROUNDING = 8
"""Machine epsilons of asymmetry that count as rounding."""


@dataclass(frozen=True, eq=False)
class Couplings:
    """A matrix row by row, in flat unknowns.

    Attributes:
        pattern: of its off-diagonal entries.
        values: the entries, 0 where the pattern has none, (batch or 1, coupling, unknown).
        diagonal: (1 or batch, unknown), whatever the values have.
    """

    pattern: Pattern
    values: Float[Tensor, "samples coupling unknown"]
    diagonal: Float[Tensor, "its_samples unknown"]


@runtime_checkable
class Matrix(Protocol):
    """A batch of square matrices over fields (batch, *shape): ``Stencil``, ``Rows``, or your own.

    Attributes:
        samples: of the batch, 1 where all share one matrix.
        shape: of a field.
        entries: the tensors that it is made of, which gradients are for.
        diagonal: (samples, ...).
        asymmetry: largest difference from the transpose over the largest entry, (samples,).
        symmetric: whether it equals its transpose to rounding; conjugate gradients ask.
    """

    @property
    def samples(self) -> int: ...

    @property
    def shape(self) -> tuple[int, ...]: ...

    @property
    def dtype(self) -> torch.dtype: ...

    @property
    def device(self) -> torch.device: ...

    @property
    def entries(self) -> tuple[Tensor, ...]: ...

    @property
    def diagonal(self) -> Tensor: ...

    @property
    def asymmetry(self) -> Float[Tensor, " samples"]: ...

    @property
    def symmetric(self) -> bool: ...

    def apply(self, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
        """A x, differentiable in x and the entries."""
        ...

    def transpose(self) -> Matrix:
        """The transpose."""
        ...

    def couplings(self) -> Couplings:
        """Row by row."""
        ...

    def select(self, rows: Tensor) -> Matrix:
        """Of these samples alone."""
        ...

    def with_entries(self, *entries: Tensor) -> Matrix:
        """The same matrix of other tensors."""
        ...


def check_batch(matrix: Matrix, omega: Tensor, *fields: Tensor) -> None:
    """That fields, relaxation and matrix are of the same samples and points.

    Raises:
        ValueError: they are not; C++ would read beyond their ends.
    """
    batch, shape = len(omega), tuple(matrix.shape)
    got = [tuple(x.shape) for x in (*fields, omega)]
    if got != [(batch, *shape)] * len(fields) + [(batch,)]:
        raise ValueError(f"Expected fields (batch, *{shape}) and omega (batch,), got {got}.")
    if matrix.samples not in (1, batch):
        raise ValueError(f"Expected a matrix of 1 or {batch} samples, got {matrix.samples}. Choose with select.")


def unlike(a: Float[Tensor, "samples *entry"], b: Float[Tensor, "samples *entry"]) -> Float[Tensor, " samples"]:
    """Largest difference of the entries of each sample, over its largest."""
    if not a[0].numel():
        return a.new_zeros(len(a))
    gap, size = (x.abs().flatten(1).amax(dim=1) for x in (a - b, a))
    return gap / size.clamp(min=torch.finfo(a.dtype).tiny)
