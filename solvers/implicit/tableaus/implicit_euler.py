"""The implicit Euler method: first order, L-stable; its error estimated by the trapezoidal rule."""

from ..tableau import ImplicitTableau

IMPLICIT_EULER = ImplicitTableau(
    name="ImplicitEuler",
    order=1,
    c=(0.0, 1.0),
    a=((0.0,), (0.0, 1.0)),
    b=(0.0, 1.0),
    b_error=(-0.5, 0.5),
    error_order=2,
    filtered=True,
    dense_order=1,
)
