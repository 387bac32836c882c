"""Neural controlled differential equations: irregular series with missing values, read by a driven state.

P. Kidger, J. Morrill, J. Foster, T. Lyons, "Neural Controlled Differential Equations for Irregular Time Series",
NeurIPS 2020.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.solvers.controlled.cde import ControlledField
from sciml.solvers.controlled.splines import Path, hermite_cubic, observation_counts, with_time
from sciml.solvers.controller import StepSizeController
from sciml.solvers.pid import PIDController
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.solution import Solution
from sciml.solvers.solve import solve
from sciml.solvers.stepper import Stepper
from sciml.solvers.stops import Stops
from sciml.solvers.tableaus.tsit5 import TSIT5


class MatrixField(nn.Module):
    """A network from the state to a matrix (batch, state, channel), bounded by a final tanh as in the paper.

    It is smooth, unlike there, for the solver.

    Args:
        state: length of the state.
        channels: of the path that drives it.
        hidden: width.
    """

    def __init__(self, state: int, channels: int, *, hidden: int = 64) -> None:
        super().__init__()
        self.shape = (state, channels)
        self.layers = nn.Sequential(nn.Linear(state, hidden), nn.SiLU(), nn.Linear(hidden, state * channels), nn.Tanh())

    def forward(
        self, t: Float[Tensor, " batch"], z: Float[Tensor, "batch state"]
    ) -> Float[Tensor, "batch state channel"]:
        return self.layers(z).unflatten(1, self.shape)


class NeuralCDE(nn.Module):
    """Outputs from a state driven by the interpolated observations, their times and how often each was observed.

    Args:
        channels: of the observations.
        outputs: number of outputs.
        state: length of the state.
        hidden: width of the field's network.
        interpolate: the path through times and observations, such as ``hermite_cubic`` or ``linear``.
        build: makes the stepper from the vector field, by default ``RungeKutta(field, TSIT5)``.
        controller: of the steps.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        state: int = 32,
        hidden: int = 64,
        interpolate: Callable[[Tensor, Tensor], Path] = hermite_cubic,
        build: Callable[[nn.Module], Stepper] = lambda field: RungeKutta(field, TSIT5),
        controller: StepSizeController | None = None,
    ) -> None:
        super().__init__()
        path_channels = 2 * channels + 1
        self.first = nn.Linear(path_channels, state)
        self.field = MatrixField(state, path_channels, hidden=hidden)
        self.readout = nn.Linear(state, outputs)
        self.interpolate, self.build = interpolate, build
        self.controller = controller or PIDController(rtol=1e-3, atol=1e-5)

    def forward(
        self,
        ts: Float[Tensor, " time"] | Float[Tensor, "batch time"],
        values: Float[Tensor, "batch time channel"],
    ) -> Float[Tensor, "batch output"]:
        """Outputs after the last time.

        Args:
            ts: times of the observations, strictly increasing, shared or per sample.
            values: the observations, NaN where missing.
        """
        return self.readout(self.flow(ts, values).ys[:, -1])

    def flow(
        self,
        ts: Float[Tensor, " time"] | Float[Tensor, "batch time"],
        values: Float[Tensor, "batch time channel"],
        *,
        keep_steps: bool = False,
    ) -> Solution:
        """The state at the first and the last time; what penalties are taken of, with ``stepper(path)``."""
        path = self.path(ts, values)
        ends = torch.stack([path.ts[:, 0], path.ts[:, -1]], dim=1)
        y0 = self.first(path.evaluate(ends[:, 0]))
        return solve(self.stepper(path), y0, ends, self.controller, stops=_stops(path), keep_steps=keep_steps)

    def path(
        self,
        ts: Float[Tensor, " time"] | Float[Tensor, "batch time"],
        values: Float[Tensor, "batch time channel"],
    ) -> Path:
        """The driving path: time, values, counts of the observations."""
        counts = observation_counts(values) / values.shape[1]
        return self.interpolate(ts, torch.cat([with_time(ts, values), counts], dim=2))

    def stepper(self, path: Path) -> Stepper:
        """The stepper along ``path``."""
        return self.build(ControlledField(path, self.field))


def _stops(path: Path) -> Stops | None:
    """Where steps have to end: a step across a corner of the path, or of its slope, loses its order."""
    if path.smoothness > 1:
        return None
    inner = path.ts[:, 1:-1]
    return Stops(jumps=inner) if path.smoothness == 0 else Stops(steps=inner)
