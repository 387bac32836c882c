"""A. Kvaerno, "Singly diagonally implicit Runge-Kutta methods with an explicit first stage", BIT 44 (2004).

Her 4/3 pair in five stages, the fourth-order method carried on; both are stiffly accurate and that one is L-stable.
Its second stage lies beyond the step, at 1.15 dt, so that a field is evaluated past the last output time.
"""

from ..tableau import ImplicitTableau

_G = 0.572816062482134855  # root of g^4 - 4 g^3 + 3 g^2 - 2/3 g + 1/24: L-stability of the fourth-order method


def _g(*coefficients: float) -> float:
    """A polynomial of gamma, its highest power first."""
    value = 0.0
    for coefficient in coefficients:
        value = value * _G + coefficient
    return value


_P, _Q, _R = _g(12, -6, 1), _g(12, -9, 2), _g(3, -1)
_A3 = (_g(144, -180, 81, -15, 1) * _G / _P**2, _g(-36, 39, -15, 2) * _G / _P**2, _G)
_A4 = (
    _g(-144, 396, -330, 117, -18, 1) / (12 * _G**2 * _Q),
    _g(72, -126, 69, -15, 1) / (12 * _G**2 * _R),
    _g(-6, 6, -1) * _P**2 / (12 * _G**2 * _Q * _R),
    _G,
)
_A5 = (
    _g(288, -312, 120, -18, 1) / (48 * _G**2 * _Q),
    _g(24, -12, 1) / (48 * _G**2 * _R),
    -(_P**3) / (48 * _G**2 * _R * _Q * _g(6, -6, 1)),
    _g(-24, 36, -12, 1) / _g(24, -24, 4),
    _G,
)

KVAERNO4 = ImplicitTableau(
    name="Kvaerno4",
    order=4,
    c=(0.0, 2 * _G, sum(_A3), 1.0, 1.0),
    a=((0.0,), (_G, _G), _A3, _A4, _A5),
    b=_A5,
    b_error=tuple(b - a for b, a in zip(_A5, (*_A4, 0.0))),
    error_order=4,
    dense_order=3,
)
