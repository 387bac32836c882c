"""Heun's second-order method, with Euler's as its error estimate.

Source: K. Heun, "Neue Methoden zur approximativen Integration der Differentialgleichungen einer unabhaengigen
Veraenderlichen", Z. Math. Phys. 45 (1900). The interpolant is the natural one: the quadratic that meets the conditions
of order two at every theta.
"""

from __future__ import annotations

from ..tableau import ButcherTableau

HEUN = ButcherTableau(
    name="Heun",
    order=2,
    c=(0.0, 1.0),
    a=((), (1.0,)),
    b=(1 / 2, 1 / 2),
    b_error=(-1 / 2, 1 / 2),
    error_order=2,
    interpolant=((1.0, -1 / 2), (0.0, 1 / 2)),
    dense_order=2,
    stability=2.0,
)
