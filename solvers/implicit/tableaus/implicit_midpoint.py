"""The implicit midpoint rule: second order, A-stable, symplectic, keeps quadratic invariants; no error estimate."""

from ..tableau import ImplicitTableau

IMPLICIT_MIDPOINT = ImplicitTableau(
    name="ImplicitMidpoint",
    order=2,
    c=(0.0, 0.5),
    a=((0.0,), (0.0, 0.5)),
    b=(0.0, 1.0),
)
