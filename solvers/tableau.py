"""Butcher tableaus of explicit Runge-Kutta methods, as data.

``solvers/tableaus`` holds one published method a file. Each is checked in the tests against its order conditions, its
measured order and its stability interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

Row: TypeAlias = tuple[float, ...]


@dataclass(frozen=True)
class ButcherTableau:
    """An explicit Runge-Kutta method of s stages.

    Attributes:
        name: as the field names it.
        order: order of the solution that is carried on.
        c: nodes, s of them, all in [0, 1].
        a: strictly lower triangular rows, of lengths 0 to s - 1.
        b: weights of the solution.
        b_error: weights of the error estimate (``b`` minus the embedded weights), empty without one.
        error_order: power of dt with which that estimate shrinks.
        interpolant: row i holds the coefficients of theta, theta^2, ... of stage i in the dense output, empty without.
        dense_order: order of that interpolant: its local error, anywhere in a step, is of order dt^(dense_order + 1).
        extra_c, extra_a: nodes and rows of the stages that only the interpolant needs. They follow the s others in it
            and are evaluated when it is first asked for.
        stability: the step is stable for dt lambda in [-stability, 0], None where not known.

    Raises:
        ValueError: the lengths do not fit each other, or an attribute lacks its companion.
    """

    name: str
    order: int
    c: Row
    a: tuple[Row, ...]
    b: Row
    b_error: Row = ()
    error_order: int | None = None
    interpolant: tuple[Row, ...] = ()
    dense_order: int | None = None
    extra_c: Row = ()
    extra_a: tuple[Row, ...] = ()
    stability: float | None = None

    def __post_init__(self) -> None:
        stages, extra = len(self.c), len(self.extra_c)
        lengths = tuple(len(row) for row in (*self.a, *self.extra_a))
        if lengths != tuple(range(stages + extra)) or len(self.a) != stages:
            raise ValueError(
                f"Expected the rows of a, then of extra_a, of lengths 0 to {stages + extra - 1} for {stages} nodes c "
                f"and {extra} nodes extra_c, got {lengths}. Fill with zeros up to the diagonal."
            )
        self._expect("b", len(self.b), (stages,))
        self._expect("b_error", len(self.b_error), (0, stages))
        self._expect("interpolant", len(self.interpolant), (0, stages + extra))
        if bool(self.b_error) != (self.error_order is not None):
            raise ValueError(f"Expected b_error and error_order together in {self.name}, got one without the other.")
        if bool(self.interpolant) != (self.dense_order is not None):
            raise ValueError(
                f"Expected interpolant and dense_order together in {self.name}, got one without the other."
            )

    @property
    def first_same_as_last(self) -> bool:
        """Whether the last stage is the slope at the end of the step."""
        return self.c[-1] == 1 and self.b[-1] == 0 and self.a[-1] == self.b[:-1]

    @property
    def stiffness_stages(self) -> tuple[int, int] | None:
        """Two stages whose difference tells of the Jacobian: the last two at one node, else the first and the last."""
        last = range(len(self.c) - 1, 0, -1)
        pairs = ((i, j) for i in last for j in range(i - 1, 0, -1) if self.c[i] == self.c[j])
        return next(pairs, (len(self.c) - 1, 0) if len(self.c) > 1 else None)

    def _expect(self, name: str, length: int, allowed: tuple[int, ...]) -> None:
        if length not in allowed:
            raise ValueError(
                f"Expected {name} of length {' or '.join(map(str, allowed))} in {self.name}, got {length}."
            )


def hermite(b: Row) -> tuple[Row, ...]:
    """The interpolant with the values and slopes of both ends, for a method whose last stage is the slope at the end.

    Third order at most. Source: E. Hairer, S. Norsett, G. Wanner, "Solving Ordinary Differential Equations I",
    equation II.6.7.

    Args:
        b: weights of the solution, that of the last stage (0) included.
    """
    first, *inner, last = ((0.0, 3 * weight, -2 * weight) for weight in b)
    return (
        (1.0, first[1] - 2.0, first[2] + 1.0),
        *inner,
        (0.0, last[1] - 1.0, last[2] + 1.0),
    )
