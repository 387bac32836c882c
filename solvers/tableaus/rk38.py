"""Kutta's fourth-order method after the 3/8 rule.

Source: W. Kutta, "Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen", Z. Math. Phys. 46 (1901).
The interpolant is the one cubic in its four stages that meets the conditions of order three at every theta.
"""

from __future__ import annotations

from ..tableau import ButcherTableau

RK38 = ButcherTableau(
    name="RK38",
    order=4,
    c=(0.0, 1 / 3, 2 / 3, 1.0),
    a=((), (1 / 3,), (-1 / 3, 1.0), (1.0, -1.0, 1.0)),
    b=(1 / 8, 3 / 8, 3 / 8, 1 / 8),
    interpolant=((1.0, -15 / 8, 1.0), (0.0, 15 / 8, -3 / 2), (0.0, 3 / 8, 0.0), (0.0, -3 / 8, 1 / 2)),
    dense_order=3,
    stability=2.7853,
)
