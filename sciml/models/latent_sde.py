"""Latent stochastic differential equations: a posterior process held close to a learned prior.

X. Li, T.-K. L. Wong, R. Chen, D. Duvenaud, "Scalable Gradients for Stochastic Differential Equations", AISTATS 2020,
section 5. Posterior dz = f(t, z, context) dt + g(t, z) dW and prior dz = h(t, z) dt + g(t, z) dW share the diffusion;
the Kullback-Leibler divergence of their paths is the mean of the integral of |(f - h)/g|^2 / 2 (Girsanov), which is
carried along as a last component of the state.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.solvers.controller import FixedStep, StepSizeController
from sciml.solvers.solution import Solution
from sciml.solvers.solve import solve
from sciml.solvers.stochastic.brownian import BrownianPath
from sciml.solvers.stochastic.schemes.heun import STOCHASTIC_HEUN
from sciml.solvers.stochastic.sde import SDE, Calculus, Noise
from sciml.solvers.stochastic.sde_stepper import SDEScheme, SDEStepper

from .latent_ode import Posterior
from .series_encoder import BackwardGRU

# Length of the Brownian path's cells: about that of the steps.
_CELL = 0.02


class DiagonalDiffusion(nn.Module):
    """A positive function of time and each component alone, between 0.05 and 1.05."""

    def __init__(self, latent: int, *, hidden: int = 16) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.5 * torch.randn(latent, hidden))
        self.bias = nn.Parameter(torch.zeros(latent, hidden))
        self.out = nn.Parameter(0.5 * torch.randn(latent, hidden))

    def forward(self, t: Float[Tensor, " batch"], z: Float[Tensor, "batch latent"]) -> Float[Tensor, "batch latent"]:
        hidden = torch.tanh(z[..., None] * self.weight + self.bias)
        return 0.05 + torch.sigmoid((hidden * self.out).sum(dim=-1))


class PosteriorDrift(nn.Module):
    """The drift of (z, divergence): f, and |(f - h)/g|^2 / 2.

    Args:
        posterior: f, from [z, context, t].
        prior: h, from [z, t].
        diffusion: g.
        ts: times of the context, (batch, time).
        context: features of the observations from each time on, (batch, time, hidden).
    """

    def __init__(self, posterior: nn.Module, prior: nn.Module, diffusion: nn.Module, ts: Tensor, context: Tensor):
        super().__init__()
        self.posterior, self.prior, self.diffusion = posterior, prior, diffusion
        self.ts, self.context = ts, context

    def forward(self, t: Float[Tensor, " batch"], state: Float[Tensor, "batch extended"]) -> Tensor:
        z, time = state[:, :-1], t[:, None].to(state.dtype)
        # The first context that lies ahead: all that is still to be met.
        index = torch.searchsorted(self.ts.contiguous(), t.contiguous()[:, None].to(self.ts.dtype)).clamp(
            max=self.ts.shape[1] - 1
        )
        context = self.context[torch.arange(len(t), device=t.device), index[:, 0]]
        drift = self.posterior(torch.cat([z, context, time], dim=1))
        apart = (drift - self.prior(torch.cat([z, time], dim=1))) / self.diffusion(t, z)
        return torch.cat([drift, 0.5 * apart.square().sum(dim=1, keepdim=True)], dim=1)

    def select(self, rows: Tensor) -> PosteriorDrift:
        """The drift of these samples alone."""
        return PosteriorDrift(self.posterior, self.prior, self.diffusion, self.ts[rows], self.context[rows])


class LatentSDE(nn.Module):
    """Encoder, latent process and decoder of a series.

    Args:
        channels: of the observations.
        latent: length of the latent state.
        hidden: features of the encoder and width of the drifts.
        scheme: valid for diagonal noise in Stratonovich's calculus.
        controller: of the steps, by default fixed ones of 1/50.
    """

    def __init__(
        self,
        channels: int,
        *,
        latent: int = 8,
        hidden: int = 32,
        scheme: SDEScheme = STOCHASTIC_HEUN,
        controller: StepSizeController | None = None,
    ) -> None:
        super().__init__()
        self.encoder = BackwardGRU(channels, hidden)
        self.moments = nn.Linear(hidden, 2 * latent)
        self.posterior = _network(latent + hidden + 1, hidden, latent)
        self.prior = _network(latent + 1, hidden, latent)
        self.diffusion = DiagonalDiffusion(latent)
        self.decoder = nn.Linear(latent, channels)
        self.scheme, self.controller = scheme, controller or FixedStep(0.02)

    def forward(
        self, ts: Float[Tensor, "batch time"], values: Float[Tensor, "batch time channel"], seed: int = 0
    ) -> tuple[Float[Tensor, "batch time channel"], Float[Tensor, " batch"]]:
        """The observations' means along one path of the posterior for each sample, and the divergence from the prior.

        Args:
            ts: times of the observations, strictly increasing.
            values: the observations, NaN where missing.
            seed: of the first state's and the path's randomness.
        """
        features = self.encoder(ts, values)
        mean, width = self.moments(features[:, 0]).chunk(2, dim=1)
        start = Posterior(mean, nn.functional.softplus(width) + 1e-4)
        ys = self.flow(start.sample(), ts, features, seed).ys
        return self.decoder(ys[..., :-1]), start.divergence() + ys[:, -1, -1]

    def flow(
        self,
        z0: Float[Tensor, "batch latent"],
        ts: Float[Tensor, "batch time"],
        features: Float[Tensor, "batch time hidden"],
        seed: int,
        *,
        keep_steps: bool = False,
    ) -> Solution:
        """The posterior's path of (z, divergence so far)."""
        stepper = self.stepper(z0, ts, features, seed)
        y0 = torch.cat([z0, z0.new_zeros(len(z0), 1)], dim=1)
        return solve(stepper, y0, ts, self.controller, keep_steps=keep_steps)

    def stepper(self, z0: Tensor, ts: Tensor, features: Tensor, seed: int) -> SDEStepper:
        """The stepper of the posterior along a Brownian path of its own."""
        drift = PosteriorDrift(self.posterior, self.prior, self.diffusion, ts, features)
        sde = SDE(drift, self._extended_diffusion, Noise.DIAGONAL, Calculus.STRATONOVICH)
        shape = (len(z0), z0.shape[1] + 1)
        return SDEStepper(sde, BrownianPath(seed, shape, cell=_CELL, dtype=z0.dtype, device=z0.device), self.scheme)

    def _extended_diffusion(self, t: Tensor, state: Tensor) -> Tensor:
        return torch.cat([self.diffusion(t, state[:, :-1]), torch.zeros_like(state[:, -1:])], dim=1)


def _network(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, hidden), nn.Softplus(), nn.Linear(hidden, outputs))
