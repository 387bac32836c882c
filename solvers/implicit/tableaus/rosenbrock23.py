"""L. Shampine, M. Reichelt, "The MATLAB ODE suite", SIAM J. Sci. Comput. 18 (1997), section 3.1: ode23s.

Second order in three stages, L-stable, its third stage an estimate of the error and the first of the next step; here in
the form that needs no products with the Jacobian.
"""

from ..rosenbrock_tableau import RosenbrockTableau

_D = 1 / (2 + 2**0.5)
_E = 6 + 2**0.5
_R = 1 / _D

ROSENBROCK23 = RosenbrockTableau(
    name="Rosenbrock23",
    order=2,
    gamma=_D,
    alpha=(0.0, 0.5, 1.0),
    d=(_D, 0.0, -_D),
    a=((), (_R / 2,), (_R, _R)),
    C=((), (-_R,), (-2 * _R, -_E * _R)),
    m=(_R, _R, 0.0),
    m_error=(_R / 6, (_E - 2) * _R / 6, _R / 6),
    error_order=3,
    interpolant=((_R,), (-2 / (1 - 2 * _D), _R / (1 - 2 * _D)), ()),
    dense_order=2,
)
