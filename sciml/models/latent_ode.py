"""Latent ordinary differential equations: a series with gaps as the shadow of one smooth latent trajectory.

R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, "Neural Ordinary Differential Equations", NeurIPS 2018, section 5;
Y. Rubanova, R. Chen, D. Duvenaud, "Latent ODEs for Irregularly-Sampled Time Series", NeurIPS 2019.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.solvers.controller import StepSizeController
from sciml.solvers.pid import PIDController
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.solution import Solution
from sciml.solvers.solve import solve
from sciml.solvers.stepper import Stepper
from sciml.solvers.tableaus.tsit5 import TSIT5

from .latent_field import LatentField
from .series_encoder import BackwardGRU


@dataclass(frozen=True)
class Posterior:
    """A normal distribution of the first latent state for each sample."""

    mean: Float[Tensor, "batch latent"]
    deviation: Float[Tensor, "batch latent"]

    def sample(self) -> Float[Tensor, "batch latent"]:
        """One draw for each sample, differentiable in mean and deviation."""
        return self.mean + self.deviation * torch.randn_like(self.mean)

    def divergence(self) -> Float[Tensor, " batch"]:
        """The Kullback-Leibler divergence from the standard normal distribution."""
        return 0.5 * (self.mean**2 + self.deviation**2 - 1 - 2 * self.deviation.log()).sum(dim=1)


class LatentODE(nn.Module):
    """Encoder, latent flow and decoder of a series.

    Args:
        channels: of the observations.
        latent: length of the latent state.
        hidden: features of the encoder and width of the vector field.
        encoder: reads a series, ``(ts, values) -> (batch, time, encoder.hidden)``, the features at the first time
            knowing the whole of it: by default ``BackwardGRU(channels, hidden)``, or ``ODERNN(channels, hidden)``.
        build: makes the stepper from the vector field, by default ``RungeKutta(field, TSIT5)``.
        controller: of the steps.
    """

    def __init__(
        self,
        channels: int,
        *,
        latent: int = 20,
        hidden: int = 50,
        encoder: nn.Module | None = None,
        build: Callable[[nn.Module], Stepper] = lambda field: RungeKutta(field, TSIT5),
        controller: StepSizeController | None = None,
    ) -> None:
        super().__init__()
        self.encoder = BackwardGRU(channels, hidden) if encoder is None else encoder
        features: int = self.encoder.hidden  # type: ignore[assignment]
        self.moments = nn.Sequential(nn.Linear(features, hidden), nn.Tanh(), nn.Linear(hidden, 2 * latent))
        self.field = LatentField(latent, hidden=hidden)
        self.stepper = build(self.field)
        self.decoder = nn.Linear(latent, channels)
        self.controller = controller or PIDController(rtol=1e-4, atol=1e-5)

    def forward(
        self,
        ts: Float[Tensor, " time"] | Float[Tensor, "batch time"],
        values: Float[Tensor, "batch time channel"],
        query: Float[Tensor, " query"] | Float[Tensor, "batch query"] | None = None,
    ) -> Float[Tensor, "batch query channel"]:
        """The most likely course at the query times (by default ``ts``), filled in and carried on.

        Args:
            ts: times of the observations, strictly increasing, shared or per sample.
            values: the observations, NaN where missing.
            query: times asked for, from ``ts``'s first time on, which they must begin with.
        """
        return self.decoder(self.flow(self.encode(ts, values).mean, ts if query is None else query).ys)

    def encode(
        self, ts: Float[Tensor, " time"] | Float[Tensor, "batch time"], values: Float[Tensor, "batch time channel"]
    ) -> Posterior:
        """What the observations say of the latent state at the first time."""
        mean, width = self.moments(self.encoder(ts, values)[:, 0]).chunk(2, dim=1)
        return Posterior(mean, nn.functional.softplus(width) + 1e-4)

    def flow(
        self,
        z0: Float[Tensor, "batch latent"],
        ts: Float[Tensor, " time"] | Float[Tensor, "batch time"],
        *,
        keep_steps: bool = False,
    ) -> Solution:
        """The latent trajectory; what penalties are taken of."""
        return solve(self.stepper, z0, ts, self.controller, keep_steps=keep_steps)


def masked_error(
    predicted: Float[Tensor, "batch time channel"], values: Float[Tensor, "batch time channel"]
) -> Float[Tensor, " batch"]:
    """Mean squared error over what was observed of each sample; 0 where nothing was."""
    seen = ~torch.isnan(values)
    squares = torch.where(seen, predicted - torch.where(seen, values, 0.0), 0.0).square()
    return squares.sum(dim=(1, 2)) / seen.sum(dim=(1, 2)).clamp(min=1)
