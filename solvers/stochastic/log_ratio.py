"""The log-ratio of two SDEs' path measures, the term that trains a latent SDE's posterior against its prior.

Source: X. Li, T.-K. L. Wong, R. T. Q. Chen, D. Duvenaud, "Scalable gradients for stochastic differential equations",
AISTATS 2020, section 5 (from Girsanov's theorem).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .sde import SDE, Coefficient


@dataclass(frozen=True, slots=True)
class LogRatio:
    """An SDE, the posterior, together with its log-ratio against the prior of another drift and the same diffusion.

    The state gets one more component that grows by 1/2 |u|^2 dt, where u solves diffusion u = drift - prior_drift; its
    mean is the Kullback-Leibler divergence of the posterior's law from the prior's. Where the noise is of the state's
    shape, so is the path's, and its last channel is not used: the others are as they would be without it.

    ``solve(SDEStepper(log_ratio.sde, path, scheme), log_ratio.begin(y0), ...)``, then ``log_ratio.split(ys)``.

    Attributes:
        posterior: an SDE of states (batch, dimension), or with further axes before the last.
        prior_drift: ``(t, y)`` to y's shape, in the posterior's calculus.
        least: diffusion coefficients of a smaller modulus are taken for this one when divided by, where the noise is
            of the state's shape.
    """

    posterior: SDE
    prior_drift: Coefficient
    least: float = 1e-7

    @property
    def sde(self) -> SDE:
        """The SDE of (batch, dimension + 1)."""
        return SDE(self._drift, self._diffusion, self.posterior.noise, self.posterior.calculus)

    def begin(self, y0: Float[Tensor, "*batch dimension"]) -> Float[Tensor, "*batch dimension_plus_one"]:
        """The state with a log-ratio of 0."""
        return torch.cat([y0, torch.zeros_like(y0[..., :1])], dim=-1)

    def split(
        self, ys: Float[Tensor, "*batch dimension_plus_one"]
    ) -> tuple[Float[Tensor, "*batch dimension"], Float[Tensor, "*batch"]]:
        """The states, and the log-ratio accumulated so far."""
        return ys[..., :-1], ys[..., -1]

    def _drift(self, t: Tensor, y: Tensor) -> Tensor:
        state = y[..., :-1]
        f, g = self.posterior(t, state)
        u = self._quotient(g, f - self.prior_drift(t, state))
        return torch.cat([f, 0.5 * (u * u).sum(dim=-1, keepdim=True)], dim=-1)

    def _diffusion(self, t: Tensor, y: Tensor) -> Tensor:
        g = self.posterior.diffusion(t, y[..., :-1])
        axis = y.dim() - 1
        return torch.cat([g, torch.zeros_like(g.narrow(axis, 0, 1))], dim=axis)

    def _quotient(self, g: Tensor, difference: Tensor) -> Tensor:
        if g.dim() == difference.dim():
            sign = torch.where(g < 0, -1.0, 1.0)
            return difference / torch.where(g.abs() < self.least, sign * self.least, g)
        if g.shape[-1] == 1:  # without the singular value decomposition, which is slow for small matrices
            return (g[..., 0] * difference).sum(dim=-1, keepdim=True) / (g * g).sum(dim=-2).clamp(min=self.least**2)
        return (torch.linalg.pinv(g) * difference[..., None, :]).sum(dim=-1)
