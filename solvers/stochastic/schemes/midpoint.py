"""The explicit midpoint scheme for Stratonovich SDEs, with its distance from Euler's step as error estimate.

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
    first = h * f + product(g, noise.w, y)
    f_middle, g_middle = sde(t + 0.5 * dt, y + 0.5 * first)
    shift = h * f_middle + product(g_middle, noise.w, y)
    return Step(y=y + shift, error=shift - first, evaluations=2)


STOCHASTIC_MIDPOINT = SDEScheme(
    name="STOCHASTIC_MIDPOINT",
    calculus=Calculus.STRATONOVICH,
    orders={Noise.ADDITIVE: 1.0, Noise.DIAGONAL: 1.0, Noise.SCALAR: 1.0, Noise.COMMUTATIVE: 1.0, Noise.GENERAL: 0.5},
    step=_step,
    error_order=1.0,
)
