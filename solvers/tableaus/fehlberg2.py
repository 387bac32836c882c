"""Fehlberg's pair of orders 1 and 2, advanced with the second-order solution.

Source: E. Fehlberg, "Low-order classical Runge-Kutta formulas with stepsize control", NASA TR R-315 (1969). The
interpolant meets the conditions of order two at every theta.
"""

from __future__ import annotations

from ..tableau import ButcherTableau

FEHLBERG2 = ButcherTableau(
    name="Fehlberg2",
    order=2,
    c=(0.0, 1 / 2, 1.0),
    a=((), (1 / 2,), (1 / 256, 255 / 256)),
    b=(1 / 512, 255 / 256, 1 / 512),
    b_error=(-1 / 512, 0.0, 1 / 512),
    error_order=2,
    interpolant=((1.0, -511 / 512), (0.0, 255 / 256), (0.0, 1 / 512)),
    dense_order=2,
    stability=2.0078,
)
