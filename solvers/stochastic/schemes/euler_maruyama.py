"""The Euler-Maruyama scheme.

Source: G. Maruyama, "Continuous Markov processes and stochastic equations", Rend. Circ. Mat. Palermo 4 (1955); P. E.
Kloeden, E. Platen, "Numerical Solution of Stochastic Differential Equations" (1992), section 10.2.
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
    return Step(y=y + broadcast(dt, y) * f + product(g, noise.w, y))


# No error estimate, on purpose: steps of length chosen by looking at the increments of W make this scheme converge to
# something else than the Ito solution (J. G. Gaines, T. J. Lyons, SIAM J. Appl. Math. 57 (1997)).
EULER_MARUYAMA = SDEScheme(
    name="EULER_MARUYAMA",
    calculus=Calculus.ITO,
    orders={
        Noise.ADDITIVE: 1.0,
        Noise.DIAGONAL: 0.5,
        Noise.SCALAR: 0.5,
        Noise.COMMUTATIVE: 0.5,
        Noise.GENERAL: 0.5,
    },
    step=_step,
)
