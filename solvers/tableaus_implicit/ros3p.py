"""J. Lang, J. Verwer, "ROS3P: an accurate third-order Rosenbrock solver designed for parabolic problems", BIT 41
(2001).

Third order in three stages, A-stable, with no loss of order on parabolic problems; no dense output.
"""

from ..rosenbrock_tableau import RosenbrockTableau

_G = 0.5 + 3**0.5 / 6
_I = 1 / _G
_C32 = -_I * (2 - _I / 2)
_M2 = _I * (2 / 3 - _I / 6)
_M = (_I * (1 + _M2), _M2, _I / 3)
_EMBEDDED = (5 * _I / 3, 1.0, _I / 3)

ROS3P = RosenbrockTableau(
    name="ROS3P",
    order=3,
    gamma=_G,
    alpha=(0.0, 1.0, 1.0),
    d=(_G, _G - 1, -0.5 - 3**0.5 / 3),
    a=((), (_I,), (_I, 0.0)),
    C=((), (-(_I**2),), (-_I * (1 - _C32), _C32)),
    m=_M,
    m_error=tuple(m - e for m, e in zip(_M, _EMBEDDED)),
    error_order=3,
)
