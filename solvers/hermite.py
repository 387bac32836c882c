"""Dense output from the states and slopes at both ends of a step."""

from __future__ import annotations

from torch import Tensor

from .state import State, broadcast, map_state


class Hermite:
    """The cubic with given values and slopes at both ends: third order, for any scheme of order three or more.

    Source: E. Hairer, S. Norsett, G. Wanner, "Solving Ordinary Differential Equations I", equation II.6.7.

    Args:
        dt: signed length of the step, (batch,).
        y0, y1: states at its ends.
        f0, f1: time derivatives there.
    """

    def __init__(self, dt: Tensor, y0: State, y1: State, f0: State, f1: State) -> None:
        self.dt, self.y0, self.y1, self.f0, self.f1 = dt, y0, y1, f0, f1

    def __call__(self, theta: Tensor, rows: Tensor) -> State:
        """The states of samples ``rows`` at t + theta dt."""

        def leaf(y0: Tensor, y1: Tensor, f0: Tensor, f1: Tensor) -> Tensor:
            s, h = broadcast(theta, y0), broadcast(self.dt[rows], y0)
            change = y1[rows] - y0[rows]
            bend = (1 - 2 * s) * change + h * ((s - 1) * f0[rows] + s * f1[rows])
            return y0[rows] + s * change + s * (s - 1) * bend

        return map_state(leaf, self.y0, self.y1, self.f0, self.f1)
