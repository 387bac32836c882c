"""Ralston's second-order method, of least error bound among its kind, with Euler's as its error estimate.

Source: A. Ralston, "Runge-Kutta methods with minimum error bounds", Math. Comp. 16 (1962). The interpolant is the
natural one: the quadratic that meets the conditions of order two at every theta.
"""

from __future__ import annotations

from ..tableau import ButcherTableau

RALSTON = ButcherTableau(
    name="Ralston",
    order=2,
    c=(0.0, 2 / 3),
    a=((), (2 / 3,)),
    b=(1 / 4, 3 / 4),
    b_error=(-3 / 4, 3 / 4),
    error_order=2,
    interpolant=((1.0, -3 / 4), (0.0, 3 / 4)),
    dense_order=2,
    stability=2.0,
)
