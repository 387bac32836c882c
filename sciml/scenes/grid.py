"""The box of a scene, in cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

FEWEST = 3
_ROUNDING = 1e-4


@dataclass(frozen=True)
class Grid:
    """A box of whole cells.

    Attributes:
        low, high: its corners.
        spacing: side of a cell.
        cells: along each axis.
    """

    low: tuple[float, ...]
    high: tuple[float, ...]
    spacing: float
    cells: tuple[int, ...]

    @property
    def dim(self) -> int:
        """2 or 3."""
        return len(self.low)

    @classmethod
    def of(cls, low: Sequence[float], high: Sequence[float], cells: int) -> Grid:
        """With ``cells`` along the longest side.

        Raises:
            ValueError: corners that enclose no box, too few cells, or a side that is not a whole number of cells.
        """
        first, last = tuple(float(x) for x in low), tuple(float(x) for x in high)
        finite = all(math.isfinite(x) for x in (*first, *last))
        if len(first) not in (2, 3) or len(first) != len(last) or not finite:
            raise ValueError(f"Expected box of two corners with 2 or 3 numbers each, got {first} and {last}.")
        sides = [b - a for a, b in zip(first, last)]
        if not min(sides) > 0:
            raise ValueError(f"Expected box with low < high along each axis, got {first} and {last}.")
        if cells < FEWEST:
            raise ValueError(f"Expected cells >= {FEWEST} along the longest side of the box, got {cells}.")
        spacing = max(sides) / cells
        counts = [side / spacing for side in sides]
        for axis, (count, side) in enumerate(zip(counts, sides)):
            if abs(count - round(count)) > _ROUNDING or round(count) < FEWEST:
                better = max(round(count), FEWEST) * spacing
                raise ValueError(
                    f"Expected sides of the box to be whole numbers of cells, {FEWEST} or more: {side:.6g} along "
                    f"{'xyz'[axis]} is {count:.6g} cells of {spacing:.6g}. Make it {better:.6g}, or change cells."
                )
        return cls(first, last, spacing, tuple(round(count) for count in counts))
