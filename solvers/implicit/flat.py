"""A state of any structure as one real row per sample: what linear algebra wants."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils import _pytree as pytree  # as in state.py

from ..state import State, leaves, map_state, real_dtype


@dataclass(frozen=True)
class Layout:
    """Where the entries of a state lie in its row; complex entries lie there as real and imaginary part.

    Attributes:
        like: a state of the structure, of which only shapes and dtypes are read.
    """

    like: State

    @property
    def is_plain(self) -> bool:
        """Whether the state is its own row."""
        return isinstance(self.like, Tensor) and self.like.dim() == 2 and not self.like.is_complex()

    def flatten(self, state: State) -> Tensor:
        """The rows (batch, n) of a state."""
        if self.is_plain:
            return state
        rows = [_real_rows(leaf) for leaf in leaves(state)]
        return rows[0] if len(rows) == 1 else torch.cat(rows, dim=1)

    def restore(self, rows: Tensor) -> State:
        """The state whose rows these are; there may be fewer or more of them than samples."""
        if self.is_plain:
            return rows
        shapes, spec = pytree.tree_flatten(self.like)
        parts = rows.split([_width(leaf) for leaf in shapes], dim=1)
        return pytree.tree_unflatten([_from_rows(part, leaf) for part, leaf in zip(parts, shapes)], spec)

    def weights(self, rtol: float | Tensor, atol: float | Tensor, state: State) -> Tensor:
        """atol + rtol |y|, as rows; a complex entry's modulus stands for both of its parts."""

        def leaf(y: Tensor) -> Tensor:
            weight = (atol + rtol * y.abs()).to(real_dtype(y)).expand_as(y)
            return torch.complex(weight, weight) if y.is_complex() else weight

        return self.flatten(map_state(leaf, state))


@dataclass(frozen=True)
class RowField:
    """A vector field on rows: ``(t, rows) -> slopes`` with t of shape (batch,), rows and slopes (batch, n)."""

    vector_field: Callable[[Tensor, State], State]
    layout: Layout

    def __call__(self, t: Tensor, rows: Tensor) -> Tensor:
        """The slopes.

        Raises:
            ValueError: the field returns another shape than the state's.
        """
        state = self.layout.restore(rows)
        slope = self.vector_field(t, state)
        return self.layout.flatten(map_state(_checked, slope, state))


def _real_rows(leaf: Tensor) -> Tensor:
    real = torch.view_as_real(leaf) if leaf.is_complex() else leaf
    return real.reshape(leaf.shape[0], -1)


def _from_rows(rows: Tensor, like: Tensor) -> Tensor:
    shape = (-1, *like.shape[1:])
    if like.is_complex():
        return torch.view_as_complex(rows.reshape(*shape, 2).contiguous()).to(like.dtype)
    return rows.reshape(shape).to(like.dtype)


def _width(leaf: Tensor) -> int:
    return leaf[:1].numel() * (2 if leaf.is_complex() else 1)


def _checked(slope: Tensor, y: Tensor) -> Tensor:
    if not isinstance(slope, Tensor) or slope.shape != y.shape:
        came = tuple(slope.shape) if isinstance(slope, Tensor) else type(slope).__name__
        raise ValueError(f"Expected vector_field(t, y) of y's shape {tuple(y.shape)}, got {came}.")
    return slope
