"""Heun's scheme for Stratonovich SDEs, with the distance from its own predictor as error estimate.

Source: W. Ruemelin, "Numerical treatment of stochastic differential equations", SIAM J. Numer. Anal. 19 (1982).
"""

from __future__ import annotations

from torch import Tensor

from ...state import broadcast
from ...stepper import Step
from ..brownian import BrownianIncrement
from ..sde import SDE, Calculus, Noise, product
from ..sde_stepper import SDEScheme


def _step(sde: SDE, t: Tensor, dt: Tensor, y: Tensor, noise: BrownianIncrement) -> Step:
    h = broadcast(dt, y)
    f, g = sde(t, y)
    shift = h * f + product(g, noise.w, y)
    f_end, g_end = sde(t + dt, y + shift)
    correction = 0.5 * (h * f_end + product(g_end, noise.w, y) - shift)
    return Step(y=y + (shift + correction), error=correction, evaluations=2)


STOCHASTIC_HEUN = SDEScheme(
    name="STOCHASTIC_HEUN",
    calculus=Calculus.STRATONOVICH,
    orders={Noise.ADDITIVE: 1.0, Noise.DIAGONAL: 1.0, Noise.SCALAR: 1.0, Noise.COMMUTATIVE: 1.0, Noise.GENERAL: 0.5},
    step=_step,
    error_order=1.0,
)
