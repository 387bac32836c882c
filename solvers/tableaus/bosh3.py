"""The pair of orders 3 and 2 of Bogacki and Shampine.

Source: P. Bogacki, L. F. Shampine, "A 3(2) pair of Runge-Kutta formulas", Appl. Math. Lett. 2 (1989).
"""

from __future__ import annotations

from ..tableau import ButcherTableau, hermite

_B = (2 / 9, 1 / 3, 4 / 9, 0.0)

BOSH3 = ButcherTableau(
    name="Bosh3",
    order=3,
    c=(0.0, 1 / 2, 3 / 4, 1.0),
    a=((), (1 / 2,), (0.0, 3 / 4), _B[:-1]),
    b=_B,
    b_error=(2 / 9 - 7 / 24, 1 / 3 - 1 / 4, 4 / 9 - 1 / 3, -1 / 8),
    error_order=3,
    interpolant=hermite(_B),
    dense_order=3,
    stability=2.5127,
)
