"""Explicit one-step methods of any even order, by extrapolating the midpoint rule."""

from __future__ import annotations

from fractions import Fraction
from functools import cache

from .tableau import ButcherTableau

_Row = dict[int, Fraction]


@cache
def extrapolated_midpoint(columns: int) -> ButcherTableau:
    """The Gragg-Bulirsch-Stoer method as a Runge-Kutta tableau of order 2 * ``columns``, in exact arithmetic.

    The explicit midpoint rule with 2, 4, 6, ... substeps has errors in even powers of their length, which a polynomial
    through the results removes. The error estimate is the difference to the extrapolation without the first result.

    Source: E. Hairer, S. Norsett, G. Wanner, "Solving Ordinary Differential Equations I", section II.9: equations 9.13
    (midpoint rule), 9.10 (extrapolation); the sequence of Deuflhard (1983).

    Args:
        columns: how many results are extrapolated, at least 1. The method has columns^2 + 1 stages.

    Raises:
        ValueError: columns < 1.
    """
    if columns < 1:
        raise ValueError(f"Expected columns >= 1, got {columns}.")
    counts = [2 * k for k in range(1, columns + 1)]
    nodes, rows, results = [Fraction(0)], [_Row()], []
    for count in counts:
        result = _midpoint(count, nodes, rows)
        results.append(result)
    weights = _combined(results, _at_zero(counts))
    embedded = _combined(results[1:], _at_zero(counts[1:])) if columns > 1 else None
    stages = len(nodes)
    return ButcherTableau(
        name=f"extrapolated midpoint of order {2 * columns}",
        order=2 * columns,
        c=tuple(float(node) for node in nodes),
        a=tuple(_dense(row, stage) for stage, row in enumerate(rows)),
        b=_dense(weights, stages),
        b_error=() if embedded is None else _dense(_combined([weights, embedded], [Fraction(1), Fraction(-1)]), stages),
        error_order=None if embedded is None else 2 * columns - 1,
    )


def _midpoint(count: int, nodes: list[Fraction], rows: list[_Row]) -> _Row:
    """Append the stages of ``count`` substeps; the weights of their result."""
    length = Fraction(1, count)
    before, now = _Row(), _Row({0: length})
    for k in range(1, count):
        nodes.append(k * length)
        rows.append(now)
        stage = len(nodes) - 1
        before, now = now, {**before, stage: before.get(stage, Fraction(0)) + 2 * length}
    return now


def _at_zero(counts: list[int]) -> list[Fraction]:
    """Weights that extrapolate results with errors in even powers of 1 / count to length zero."""
    weights = []
    for i in counts:
        weight = Fraction(1)
        for j in counts:
            if j != i:
                weight *= Fraction(i * i, i * i - j * j)
        weights.append(weight)
    return weights


def _combined(rows: list[_Row], weights: list[Fraction]) -> _Row:
    total: _Row = {}
    for row, weight in zip(rows, weights, strict=True):
        for stage, value in row.items():
            total[stage] = total.get(stage, Fraction(0)) + weight * value
    return total


def _dense(row: _Row, length: int) -> tuple[float, ...]:
    return tuple(float(row.get(stage, 0)) for stage in range(length))
