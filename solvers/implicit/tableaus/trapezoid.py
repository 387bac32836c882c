"""The trapezoidal rule: second order, A-stable.

Its error is estimated by Simpson's rule: the third stage is the slope at the middle of the cubic Hermite polynomial
through the ends of the step, (y_0 + y_1)/2 + dt (k_1 - k_2)/8 = y_0 + dt (3 k_1 + k_2)/8.
"""

from ..tableau import ImplicitTableau

TRAPEZOID = ImplicitTableau(
    name="Trapezoid",
    order=2,
    c=(0.0, 1.0, 0.5),
    a=((0.0,), (0.5, 0.5), (3 / 8, 1 / 8, 0.0)),
    b=(0.5, 0.5, 0.0),
    b_error=(1 / 3, 1 / 3, -2 / 3),
    error_order=3,
    filtered=True,
    dense_order=2,
)
