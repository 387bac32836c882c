"""Butcher tableaus, as data.

Each is checked in the tests against its order conditions and its measured order.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ButcherTableau:
    """An explicit Runge-Kutta method of s stages.

    Attributes:
        name: as the field names it.
        order: order of the solution that is carried on.
        c: nodes, s of them.
        a: strictly lower triangular rows, of lengths 0 to s - 1.
        b: weights of the solution.
        b_error: weights of the error estimate (``b`` minus the embedded weights), empty without one.
        error_order: power of dt with which that estimate shrinks.
        interpolant: row i holds the coefficients of theta, theta^2, ... of stage i in the dense output, empty without.
        dense_order: order of that interpolant.
    """

    name: str
    order: int
    c: tuple[float, ...]
    a: tuple[tuple[float, ...], ...]
    b: tuple[float, ...]
    b_error: tuple[float, ...] = ()
    error_order: int | None = None
    interpolant: tuple[tuple[float, ...], ...] = ()
    dense_order: int | None = None

    @property
    def first_same_as_last(self) -> bool:
        """Whether the last stage is the slope at the end of the step."""
        return self.c[-1] == 1 and self.b[-1] == 0 and self.a[-1] == self.b[:-1]


# C. Tsitouras, "Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying assumption",
# Computers & Mathematics with Applications 62 (2011). The solution is the fifth-order one (the last row of a);
# b_error is the difference to the fourth-order one. The fourth-order interpolant is the paper's.
_TSIT5_A = (
    (),
    (0.161,),
    (-0.008480655492356989, 0.335480655492357),
    (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
    (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
    (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
    (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774),
)
TSIT5 = ButcherTableau(
    name="Tsit5",
    order=5,
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    a=_TSIT5_A,
    b=(*_TSIT5_A[-1], 0.0),
    b_error=(
        -0.001780011052226,
        -0.000816434459657,
        0.007880878010262,
        -0.144711007173263,
        0.582357165452555,
        -0.458082105929187,
        1.0 / 66.0,
    ),
    error_order=5,
    interpolant=(
        (1.0, -2.763706197274826, 2.9132554618219126, -1.0530884977290216),
        (0.0, 0.13169999999999998, -0.2234, 0.1017),
        (0.0, 3.9302962368947516, -5.941033872131505, 2.490627285651253),
        (0.0, -12.411077166933676, 30.33818863028232, -16.548102889244902),
        (0.0, 37.50931341651104, -88.1789048947664, 47.37952196281928),
        (0.0, -27.896526289197286, 65.09189467479366, -34.87065786149661),
        (0.0, 1.5, -4.0, 2.5),
    ),
    dense_order=4,
)

# The classical fourth-order method (W. Kutta, 1901).
RK4 = ButcherTableau(
    name="RK4",
    order=4,
    c=(0.0, 0.5, 0.5, 1.0),
    a=((), (0.5,), (0.0, 0.5), (0.0, 0.0, 1.0)),
    b=(1 / 6, 1 / 3, 1 / 3, 1 / 6),
)

# C.-W. Shu, S. Osher, J. Comput. Phys. 77 (1988): strong stability preserving, for total variation diminishing schemes.
SSPRK3 = ButcherTableau(
    name="SSPRK3",
    order=3,
    c=(0.0, 1.0, 0.5),
    a=((), (1.0,), (0.25, 0.25)),
    b=(1 / 6, 1 / 6, 2 / 3),
)
