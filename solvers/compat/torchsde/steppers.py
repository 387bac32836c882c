"""Steps that this library's own steppers do not take: with products g w in place of g, and with Levy areas."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ...state import broadcast
from ...stepper import Step
from ...stochastic.brownian import BrownianIncrement
from ...stochastic.sde import SDE, Noise, derivative_along
from ...stochastic.sde_stepper import SDEScheme
from .equation import Coefficients, matrix_product
from .motion import Motion


class ProductStepper(nn.Module):
    """A scheme that the diffusion enters in products with one increment a step alone, so that g need not be known.

    In each step ``g(t, y) w`` is the diffusion, of the state's shape, and the increment is one.

    Args:
        coefficients: of the SDE.
        motion: of shape (1, batch, noise).
        scheme: Euler's, Heun's, the midpoint scheme or Euler-Heun.
    """

    def __init__(self, coefficients: Coefficients, motion: Motion, scheme: SDEScheme) -> None:
        super().__init__()
        self.order, self.error_order = scheme.order(coefficients.to_sde()), scheme.error_order
        self.coefficients, self.motion, self.scheme = coefficients, motion, scheme

    def forward(self, t: Tensor, dt: Tensor, y: Tensor) -> Step:
        """One step along the motion."""
        w = self.motion(t, dt).w.to(y.dtype)[0]
        coefficients = self.coefficients

        def diffusion(t: Tensor, y: Tensor) -> Tensor:
            return coefficients.product(t, y, w)

        def joint(t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            return coefficients.drift_and_product(t, y, w)

        sde = SDE(coefficients.drift, diffusion, Noise.GENERAL, coefficients.calculus, joint=joint)
        return self.scheme.step(sde, t, dt, y, BrownianIncrement(torch.ones_like(y)))


class LogODE(nn.Module):
    """The midpoint scheme with the Levy areas between channels: a log-ODE of depth 2, taken in two steps.

    Source: J. Foster, T. Lyons, H. Oberhauser, "An optimal polynomial approximation of Brownian motion", SIAM J. Numer.
    Anal. 58 (2020), section 5, which splits it so.

    Args:
        sde: a Stratonovich SDE of states (1, batch, dimension) with a matrix diffusion.
        motion: of shape (1, batch, noise), with Levy areas between channels.
    """

    error_order = None

    def __init__(self, sde: SDE, motion: Motion) -> None:
        super().__init__()
        self.order = 0.5 if sde.noise is Noise.GENERAL else 1.0
        self.vector_field, self.motion = sde, motion

    def forward(self, t: Tensor, dt: Tensor, y: Tensor) -> Step:
        """One step along the motion."""
        w, areas = (found.to(y.dtype) for found in self.motion.between_channels(t, dt))
        h = broadcast(dt, y)
        f, g = self.vector_field(t, y)
        half, middle = t + 0.5 * dt, y + 0.5 * (h * f + matrix_product(g, w))
        f, g = self.vector_field(half, middle)
        along = (g[..., None, :] @ areas[..., None, :, :]).squeeze(-2) if g.dim() > y.dim() else g
        turned = [
            derivative_along(self.vector_field.diffusion, half, middle, along[..., column])[..., column]
            for column in range(g.shape[-1])
        ]
        return Step(y=y + h * f + matrix_product(g, w) + torch.stack(turned).sum(dim=0), evaluations=2)
