"""Heun's third-order method.

Source: K. Heun, "Neue Methoden zur approximativen Integration der Differentialgleichungen einer unabhaengigen
Veraenderlichen", Z. Math. Phys. 45 (1900). Dense output evaluates the slope at the end of the step.
"""

from __future__ import annotations

from ..tableau import ButcherTableau, hermite

_B = (1 / 4, 0.0, 3 / 4)

HEUN3 = ButcherTableau(
    name="Heun3",
    order=3,
    c=(0.0, 1 / 3, 2 / 3),
    a=((), (1 / 3,), (0.0, 2 / 3)),
    b=_B,
    interpolant=hermite((*_B, 0.0)),
    dense_order=3,
    extra_c=(1.0,),
    extra_a=(_B,),
    stability=2.5127,
)
