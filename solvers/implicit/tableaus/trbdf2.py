"""A trapezoidal stage, then a step of BDF2; second order, L-stable, with a third-order companion.

Source: M. Hosea, L. Shampine, "Analysis and implementation of TR-BDF2", Appl. Numer. Math. 20 (1996), with their error
estimate, filtered as they propose.
"""

from ..tableau import ImplicitTableau

_W = 2**0.5 / 4
_D = 1 - 2**0.5 / 2

TRBDF2 = ImplicitTableau(
    name="TRBDF2",
    order=2,
    c=(0.0, 2 * _D, 1.0),
    a=((0.0,), (_D, _D), (_W, _W, _D)),
    b=(_W, _W, _D),
    b_error=(_W - (1 - _W) / 3, _W - (3 * _W + 1) / 3, _D - _D / 3),
    error_order=3,
    filtered=True,
    dense_order=2,
)
