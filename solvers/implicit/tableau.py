"""Tableaus of implicit Runge-Kutta methods, as data types; the methods are in tableaus_implicit/.

Each is checked in the tests against its order conditions and its measured order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class ImplicitTableau:
    """A diagonally implicit Runge-Kutta method, its first stage explicit: k_1 is the slope at the start of the step.

    A method without such a stage is written with one of weight zero; its slope then serves as the first guess.

    Attributes:
        name: as the field names it.
        order: order of the solution that is carried on.
        c: nodes, s of them, the first 0.
        a: lower triangular rows with their diagonal, of lengths 1 to s; where not 0, the diagonal is the same
            number everywhere, so that one factorisation serves all stages. Stages with diagonal 0 are explicit.
        b: weights of the solution.
        b_error: weights of the error estimate (``b`` minus the embedded weights), empty without one.
        error_order: power of dt with which that estimate shrinks.
        filtered: whether the estimate is multiplied by (I - gamma dt J)^-1, which leaves its order alone and takes out
            of it the stiff components that the solution does not have (Hairer, Wanner II, equation IV.8.20).
        interpolant: row i holds the coefficients of theta, theta^2, ... of stage i in the dense output; empty for the
            cubic Hermite polynomial, where the method has the slope at the end of the step.
        dense_order: order of the dense output, None without.
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: Rows
    b: tuple[float, ...]
    b_error: tuple[float, ...] = ()
    error_order: int | None = None
    filtered: bool = False
    interpolant: Rows = ()
    dense_order: int | None = None

    @cached_property
    def diagonal(self) -> float:
        """gamma, the number on the diagonal."""
        return next(row[-1] for row in self.a if row[-1] != 0)

    @cached_property
    def last(self) -> int | None:
        """The stage that is the solution (of a stiffly accurate method): its slope starts the next step."""
        padded = [row + (0.0,) * (len(self.b) - len(row)) for row in self.a]
        return next((i for i, row in enumerate(padded) if row == self.b and self.c[i] == 1), None)

    @cached_property
    def guesses(self) -> Rows:
        """Weights of the earlier slopes that extrapolate a stage's slope: linearly, through the nearest two nodes."""
        return tuple(_extrapolation(self.c[:i], self.c[i]) for i in range(len(self.c)))


@dataclass(frozen=True)
class AdditiveTableau:
    """A pair of methods for y' = f_explicit + f_implicit with the same nodes and weights.

    Attributes:
        implicit: the diagonally implicit method, with its weights, error estimate and dense output.
        a: strictly lower triangular rows of the explicit method, of lengths 0 to s - 1.
    """

    implicit: ImplicitTableau
    a: Rows


@dataclass(frozen=True)
class CollocationTableau:
    """A fully implicit method by collocation at the nodes.

    Attributes:
        name: as the field names it.
        order: order of the solution.
        c: nodes, s of them; a last one of 1 makes the method stiffly accurate.
        error_order: power of dt with which the error estimate of Hairer and Wanner's Radau code shrinks; None for a
            method that has none, for want of a real eigenvalue of its matrix.
        dense_order: order of the collocation polynomial between the nodes, None where it is not to be used since it
            falls behind the order at the end of the step.
    """

    name: str
    order: int
    c: tuple[float, ...]
    error_order: int | None = None
    dense_order: int | None = None


def _extrapolation(nodes: tuple[float, ...], at: float) -> tuple[float, ...]:
    """Weights of values at ``nodes``, the later ones preferred, that give the linear extrapolation to ``at``."""
    weights = [0.0] * len(nodes)
    if not nodes:
        return ()
    nearest = sorted(range(len(nodes)), key=lambda i: (abs(nodes[i] - at), -i))
    first = nearest[0]
    other = next((i for i in nearest if nodes[i] != nodes[first]), None)
    if other is None or nodes[first] == at:
        weights[first] = 1.0
        return tuple(weights)
    slope = (at - nodes[first]) / (nodes[other] - nodes[first])
    weights[first], weights[other] = 1 - slope, slope
    return tuple(weights)
