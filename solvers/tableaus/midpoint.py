"""The explicit midpoint method, with Euler's as its error estimate.

Source: C. Runge, "Ueber die numerische Aufloesung von Differentialgleichungen", Math. Ann. 46 (1895). The interpolant
is the natural one: the quadratic that meets the conditions of order two at every theta.
"""

from __future__ import annotations

from ..tableau import ButcherTableau

MIDPOINT = ButcherTableau(
    name="Midpoint",
    order=2,
    c=(0.0, 1 / 2),
    a=((), (1 / 2,)),
    b=(0.0, 1.0),
    b_error=(-1.0, 1.0),
    error_order=2,
    interpolant=((1.0, -1.0), (0.0, 1.0)),
    dense_order=2,
    stability=2.0,
)
