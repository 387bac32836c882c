"""A. Kvaerno, "Singly diagonally implicit Runge-Kutta methods with an explicit first stage", BIT 44 (2004).

Her 3/2 pair in four stages: both methods L-stable and stiffly accurate; the third-order one is carried on.
"""

from ..tableau import ImplicitTableau

_G = 0.435866521508458999  # root of g^3 - 3 g^2 + 3/2 g - 1/6: L-stability
_A3 = ((-4 * _G**2 + 6 * _G - 1) / (4 * _G), (1 - 2 * _G) / (4 * _G), _G)
_A4 = ((6 * _G - 1) / (12 * _G), -1 / ((24 * _G - 12) * _G), (-6 * _G**2 + 6 * _G - 1) / (6 * _G - 3), _G)

KVAERNO3 = ImplicitTableau(
    name="Kvaerno3",
    order=3,
    c=(0.0, 2 * _G, 1.0, 1.0),
    a=((0.0,), (_G, _G), _A3, _A4),
    b=_A4,
    b_error=tuple(b - a for b, a in zip(_A4, (*_A3, 0.0))),
    error_order=3,
    dense_order=3,
)
