"""The strong stability preserving method of order three, for total variation diminishing schemes.

Source: C.-W. Shu, S. Osher, "Efficient implementation of essentially non-oscillatory shock-capturing schemes",
J. Comput. Phys. 77 (1988). Dense output evaluates the slope at the end of the step.
"""

from __future__ import annotations

from ..tableau import ButcherTableau, hermite

_B = (1 / 6, 1 / 6, 2 / 3)

SSPRK3 = ButcherTableau(
    name="SSPRK3",
    order=3,
    c=(0.0, 1.0, 0.5),
    a=((), (1.0,), (0.25, 0.25)),
    b=_B,
    interpolant=hermite((*_B, 0.0)),
    dense_order=3,
    extra_c=(1.0,),
    extra_a=(_B,),
    stability=2.5127,
)
