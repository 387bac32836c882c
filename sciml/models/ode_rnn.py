"""ODE-RNN: an irregular series with gaps read by a state that flows between observations.

Y. Rubanova, R. Chen, D. Duvenaud, "Latent ODEs for Irregularly-Sampled Time Series", NeurIPS 2019, algorithm 1 and,
for the backward reading that encodes a latent ODE, section 3.2.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from sciml.solvers.controller import StepSizeController
from sciml.solvers.pid import PIDController
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.solve import solve
from sciml.solvers.stepper import Stepper
from sciml.solvers.tableaus.tsit5 import TSIT5

from .latent_field import LatentField
from .series_encoder import observations


class ODERNN(nn.Module):
    """A hidden state that flows from the last time to the first, and is updated by a GRU at each observation.

    The GRU sees [values, which are seen]; the time between observations is in the flow, a neural ODE. The state is zero
    up to a sample's last observation: times after it change nothing, and times without observations elsewhere do not
    either, up to the error of the steps. An encoder of ``LatentODE``, in place of ``BackwardGRU``.

    Args:
        channels: of the observations.
        hidden: length of the state.
        width: of the vector field's layers.
        build: makes the stepper from the vector field, by default ``RungeKutta(field, TSIT5)``.
        controller: of the steps.
    """

    def __init__(
        self,
        channels: int,
        hidden: int,
        *,
        width: int = 50,
        build: Callable[[nn.Module], Stepper] = lambda field: RungeKutta(field, TSIT5),
        controller: StepSizeController | None = None,
    ) -> None:
        super().__init__()
        self.cell = nn.GRUCell(2 * channels, hidden)
        self.field = LatentField(hidden, hidden=width)
        self.stepper = build(self.field)
        self.hidden = hidden
        self.controller = controller or PIDController(rtol=1e-3, atol=1e-4)

    def forward(
        self,
        ts: Float[Tensor, " time"] | Float[Tensor, "batch time"],
        values: Float[Tensor, "batch time channel"],
    ) -> Float[Tensor, "batch time hidden"]:
        """The state at each time, what is observed there included: what is known from that time on.

        Args:
            ts: times, strictly increasing, shared or per sample.
            values: observations, NaN where missing.
        """
        ts = ts.expand(values.shape[:2])
        inputs, observed = observations(values)
        begun = torch.zeros_like(observed[:, 0])
        state, states = values.new_zeros(len(values), self.hidden), []
        for i in reversed(range(values.shape[1])):
            if bool(begun.any()):
                state = self._flow(state, ts[:, i : i + 2].flip(1), begun)
            state = torch.where(observed[:, i, None], self.cell(inputs[:, i], state), state)
            begun = begun | observed[:, i]
            states.append(state)
        return torch.stack(states[::-1], dim=1)

    def _flow(
        self, state: Float[Tensor, "batch hidden"], ts: Float[Tensor, "batch 2"], rows: Bool[Tensor, " batch"]
    ) -> Float[Tensor, "batch hidden"]:
        """Carry the states of ``rows`` from the first of two times to the second; the others rest."""
        moved = solve(self.stepper, state[rows], ts[rows], self.controller).ys[:, -1]
        return state.index_put((rows,), moved)
