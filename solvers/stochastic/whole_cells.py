"""A Brownian path asked for whole cells alone: a formula without branches, as compiled programs need it."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from .brownian import BrownianIncrement, BrownianPath
from .splitmix import one_of_pair


class WholeCells:
    """The increments of a path over steps that are each one of its cells, or of length zero.

    Args:
        path: whose increments these are.
    """

    def __init__(self, path: BrownianPath) -> None:
        self.cell, self.origin, self.dtype = path.cell, path.origin, path.dtype
        self.of_w, self.of_area = path.keys_of_cells()

    @property
    def shape(self) -> torch.Size:
        """(batch, *channels)."""
        return self.of_w.shape

    def select(self, rows: Tensor) -> WholeCells:
        """The paths of these samples alone."""
        selected = object.__new__(WholeCells)
        selected.cell, selected.origin, selected.dtype = self.cell, self.origin, self.dtype
        selected.of_w, selected.of_area = self.of_w[rows], self.of_area[rows]
        return selected

    def __call__(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], *, area: bool = False
    ) -> BrownianIncrement:
        """The increment over each sample's cell, which t and t + dt bound."""
        earlier = torch.minimum(t, t + dt).to(torch.float64)
        number = ((earlier - self.origin) / self.cell).round().to(torch.int64)
        w = self._draw(self.of_w, number, self.cell)
        direction = self._behind(torch.sign(dt)).to(self.dtype)
        moved = self._behind(dt != 0)
        levy = torch.where(moved, self._draw(self.of_area, number, self.cell / 12), 0.0) if area else None
        return BrownianIncrement(torch.where(moved, direction * w, 0.0), levy)

    def _draw(self, key: Int[Tensor, "batch *channels"], number: Int[Tensor, " batch"], variance: float) -> Tensor:
        number = self._behind(number)
        return one_of_pair(key, number >> 1, number & 1, self.dtype) * variance**0.5

    def _behind(self, value: Tensor) -> Tensor:
        return value.reshape(*value.shape, *[1] * (len(self.shape) - 1))


def whole_cells(path: Any, ts: Float[Tensor, "batch time"], dt: Any) -> WholeCells:
    """The path in this form, for fixed steps of ``dt`` over ``ts``.

    Raises:
        ValueError: some step would not be a cell of the path.
    """
    fits = isinstance(path, BrownianPath) and isinstance(dt, (int, float)) and abs(dt / path.cell - 1) < 1e-6
    if not fits or not bool(path.at_boundaries(ts).all()):
        cell = getattr(path, "cell", None)
        raise ValueError(
            f"Expected FixedStep(dt) with dt the cell of a BrownianPath and output times at its cells' boundaries, for "
            f"a compiled solve of an SDE; got dt={dt} and cell={cell}. Use BrownianPath(..., cell=dt), or "
            "compiled=False."
        )
    return WholeCells(path)
