"""The pair of orders 5 and 4 of Tsitouras.

Source: C. Tsitouras, "Runge-Kutta pairs of order 5(4) satisfying only the first column simplifying assumption",
Computers & Mathematics with Applications 62 (2011), with its fourth-order interpolant.
"""

from __future__ import annotations

from ..tableau import ButcherTableau

# The solution is the fifth-order one, the last row of a. The paper's weights b with a hat are the difference to the
# fourth-order one: a scheme that advances with either of them instead is of order four at most.
_B = (0.09646076681806523, 0.01, 0.4798896504144996, 1.379008574103742, -3.290069515436081, 2.324710524099774, 0.0)

TSIT5 = ButcherTableau(
    name="Tsit5",
    order=5,
    c=(0.0, 0.161, 0.327, 0.9, 0.9800255409045097, 1.0, 1.0),
    a=(
        (),
        (0.161,),
        (-0.008480655492356989, 0.335480655492357),
        (2.8971530571054935, -6.359448489975075, 4.3622954328695815),
        (5.325864828439257, -11.748883564062828, 7.4955393428898365, -0.09249506636175525),
        (5.86145544294642, -12.92096931784711, 8.159367898576159, -0.071584973281401, -0.028269050394068383),
        _B[:-1],
    ),
    b=_B,
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
    stability=3.5068,
)
