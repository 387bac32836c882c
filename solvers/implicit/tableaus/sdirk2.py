"""R. Alexander, "Diagonally implicit Runge-Kutta methods for stiff O.D.E.'s", SIAM J. Numer. Anal. 14 (1977).

Second order, L-stable, two implicit stages; the error is estimated by the difference to the first-order y_0 + dt k_2.
"""

from ..tableau import ImplicitTableau

_GAMMA = 1 - 0.5**0.5

SDIRK2 = ImplicitTableau(
    name="SDIRK2",
    order=2,
    c=(0.0, _GAMMA, 1.0),
    a=((0.0,), (0.0, _GAMMA), (0.0, 1 - _GAMMA, _GAMMA)),
    b=(0.0, 1 - _GAMMA, _GAMMA),
    b_error=(0.0, -_GAMMA, _GAMMA),
    error_order=2,
    filtered=True,
    dense_order=2,
)
