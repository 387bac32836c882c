"""The Euler-Heun scheme: Euler in the drift, Heun in the diffusion.

Source: P. E. Kloeden, E. Platen, "Numerical Solution of Stochastic Differential Equations" (1992), section 4.9; A. J.
Roberts, "Modify the improved Euler scheme to integrate stochastic differential equations", arXiv:1210.0933 (2012).
"""

from __future__ import annotations

from torch import Tensor

from ...state import broadcast
from ...stepper import Step
from ..brownian import BrownianIncrement
from ..sde import SDE, Calculus, Noise, product
from ..sde_stepper import SDEScheme


def _step(sde: SDE, t: Tensor, dt: Tensor, y: Tensor, noise: BrownianIncrement) -> Step:
    f, g = sde(t, y)
    shift = product(g, noise.w, y)
    end = product(sde.diffusion(t + dt, y + shift), noise.w, y)
    return Step(y=y + broadcast(dt, y) * f + 0.5 * (shift + end), evaluations=2)


EULER_HEUN = SDEScheme(
    name="EULER_HEUN",
    calculus=Calculus.STRATONOVICH,
    orders={Noise.ADDITIVE: 1.0, Noise.DIAGONAL: 1.0, Noise.SCALAR: 1.0, Noise.COMMUTATIVE: 1.0, Noise.GENERAL: 0.5},
    step=_step,
)
