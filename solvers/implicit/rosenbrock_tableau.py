"""Tableaus of Rosenbrock methods, as a data type; the methods are in tableaus_implicit/."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

Rows = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class RosenbrockTableau:
    """A Rosenbrock method in the form that needs no products with the Jacobian.

    Stage i solves (I - gamma dt J) u_i = gamma dt (f(t + alpha_i dt, y + sum_j a_ij u_j) + d_i dt df/dt)
    + gamma sum_j C_ij u_j, and the solution is y + sum_i m_i u_i (E. Hairer, G. Wanner, "Solving Ordinary Differential
    Equations II", equation IV.7.25).

    Attributes:
        name: as the field names it.
        order: order of the solution that is carried on.
        gamma: the one on the diagonal.
        alpha: nodes, s of them.
        d: weights of the time derivative.
        a, C: strictly lower triangular rows, of lengths 0 to s - 1.
        m: weights of the solution.
        m_error: weights of the error estimate.
        error_order: power of dt with which that estimate shrinks.
        interpolant: row i holds the coefficients of theta, theta^2, ... of u_i in the dense output; empty without.
        dense_order: order of that interpolant.
    """

    name: str
    order: int
    gamma: float
    alpha: tuple[float, ...]
    d: tuple[float, ...]
    a: Rows
    C: Rows
    m: tuple[float, ...]
    m_error: tuple[float, ...]
    error_order: int
    interpolant: Rows = ()
    dense_order: int | None = None

    @cached_property
    def last(self) -> int | None:
        """The stage, if any, whose evaluation of the field is at the solution: the next step's first."""
        padded = [row + (0.0,) * (len(self.m) - len(row)) for row in self.a]
        return next((i for i, row in enumerate(padded) if row == self.m and self.alpha[i] == 1), None)


def hairer_interpolant(m: tuple[float, ...], h: Rows) -> Rows:
    """Coefficients of m theta + theta (1 - theta) (h_1 + theta h_2 + ...), how the Rodas codes write their output."""
    rows = []
    for i, weight in enumerate(m):
        powers = [row[i] for row in h]
        differences = [b - a for a, b in zip(powers, [*powers[1:], 0.0])]
        rows.append((weight + powers[0], *differences))
    return tuple(rows)
