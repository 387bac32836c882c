"""The classical fourth-order method.

Source: W. Kutta, "Beitrag zur naeherungsweisen Integration totaler Differentialgleichungen", Z. Math. Phys. 46 (1901).
The third-order interpolant needs no stage of its own: M. Zennaro, "Natural continuous extensions of Runge-Kutta
methods", Math. Comp. 46 (1986).
"""

from __future__ import annotations

from ..tableau import ButcherTableau

RK4 = ButcherTableau(
    name="RK4",
    order=4,
    c=(0.0, 0.5, 0.5, 1.0),
    a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
    interpolant=((1.0, -3 / 2, 2 / 3), (0.0, 1.0, -2 / 3), (0.0, 1.0, -2 / 3), (0.0, -1 / 2, 2 / 3)),
    dense_order=3,
    stability=2.7853,
)
