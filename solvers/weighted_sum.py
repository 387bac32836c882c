"""Weighted sums of the slopes of a step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from .host import traced
from .state import State
from .tableau import Row

_PLAIN = (torch.float32, torch.float64)
_MOST_NUMBERS = 2048  # of a state whose sums are formed together: more would cost more than the operations saved


@dataclass(frozen=True, slots=True)
class WeightedSum:
    """The sum of weight_i k_i over the stages of nonzero weight, its first weight factored out.

    The factor rides on the fused multiply-add that follows, so that a sum of n slopes takes n operations with the
    product by dt and the sum with y: in eager mode the steps of a small state cost what their number costs.
    """

    factor: float
    first: int
    others: tuple[tuple[int, float], ...]

    @classmethod
    def of(cls, weights: Row) -> WeightedSum:
        first = next((stage for stage, weight in enumerate(weights) if weight != 0.0), 0)
        factor = weights[first]
        later = ((stage, weight) for stage, weight in enumerate(weights) if weight != 0.0 and stage != first)
        return cls(factor, first, tuple((stage, weight / factor) for stage, weight in later))

    def advance(self, y: Tensor, h: Tensor, slopes: Any) -> Tensor:
        """y + h * sum_i weight_i k_i."""
        return torch.addcmul(y, h, self.total(slopes), value=self.factor)

    def increment(self, h: Tensor, slopes: Any) -> Tensor:
        """h * sum_i weight_i k_i."""
        return torch.mul(h * self.total(slopes), self.factor)

    def total(self, slopes: Any) -> Tensor:
        """sum_i weight_i k_i over the factor."""
        total = slopes[self.first]
        for stage, ratio in self.others:
            total = torch.add(total, slopes[stage], alpha=ratio)
        return total


@dataclass(frozen=True, slots=True)
class SumTable:
    """Sums over the same slopes, one for each row.

    Attributes:
        rows: each with its first weight factored out.
        weights: what is left, (rows, slopes).
        nodes: of the first rows, those that are stages.
    """

    rows: tuple[WeightedSum, ...]
    weights: Tensor
    nodes: Tensor
    _columns: dict[Any, list[Tensor]] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(cls, rows: tuple[WeightedSum, ...], nodes: Row) -> SumTable:
        entries = [{row.first: 1.0, **dict(row.others)} for row in rows]
        slopes = 1 + max((stage for entry in entries for stage in entry), default=0)
        with torch.inference_mode(False):
            listed = [[entry.get(stage, 0.0) for stage in range(slopes)] for entry in entries]
            weights = torch.tensor(listed, dtype=torch.float64)
            return cls(rows, weights, torch.tensor(nodes, dtype=torch.float64)[:, None])

    def columns(self, like: Tensor) -> list[Tensor]:
        """The weights of each slope, shaped to multiply it: (rows, 1, ..., 1)."""
        key = like.dtype, like.dim()
        if key not in self._columns:
            with torch.inference_mode(False):
                columns = self.weights.to(like.dtype).T.reshape(-1, len(self.rows), *(1,) * like.dim())
                self._columns[key] = list(columns.contiguous().unbind(0))
        return self._columns[key]


class Together:
    """The sums of a table over the slopes of a tensor: one operation adds a slope to all of them.

    It changes them in place, so that no gradient can pass, but to the last bit they are those of ``WeightedSum``.

    Attributes:
        rows: the sums over the slopes taken in so far, each over its factor.
    """

    __slots__ = ("_columns", "_nodes", "_sums", "rows")

    def __init__(self, table: SumTable, slopes: list[Tensor]) -> None:
        first, *later = slopes
        columns = table.columns(first)
        self._sums, self._columns = columns[0] * first, iter(columns[1:])
        self._nodes = table.nodes
        self.rows = self._sums.unbind(0)
        for slope in later:
            self.add(slope)

    def times(self, t: Tensor, dt: Tensor) -> tuple[Tensor, ...]:
        """The times of the stages."""
        return torch.addcmul(t, self._nodes.to(t.dtype), dt).unbind(0)

    def add(self, slope: Tensor) -> None:
        """Take in the next slope."""
        column = next(self._columns, None)
        if column is not None:
            self._sums.addcmul_(column, slope)


def is_small(y: State, dt: Tensor, slope: State) -> bool:
    """Whether a step from ``y`` gains by sums that are formed together."""
    if y.__class__ is not Tensor or y.numel() > _MOST_NUMBERS or y.device.type != "cpu" or not in_place():
        return False
    return y.dtype in _PLAIN and slope.__class__ is Tensor and dt.__class__ is Tensor


def in_place() -> bool:
    """Whether operations may work in place: no gradient passes and nothing transforms or records them."""
    return not torch.is_grad_enabled() and not traced()
