"""Stochastic Runge-Kutta schemes of strong order 1.5 for additive noise.

Sources: A. Roessler, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential
equations", SIAM J. Numer. Anal. 48 (2010), table 6.3 (SRA1); C. Rackauckas, Q. Nie, "Stability-optimized high order
methods and stiffness detection for pathwise stiff stochastic differential equations", IEEE HPEC (2020) (SOSRA).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from ...state import broadcast
from ...stepper import Step
from ..brownian import BrownianIncrement
from ..sde import SDE, Calculus, Noise, product
from ..sde_stepper import SDEScheme
from .stages import Row, quotient, weighted


@dataclass(frozen=True)
class SRATableau:
    """y + h sum alpha_i f(t + c0_i h, H_i) + sum (beta1_i I_1 + beta2_i I_10/h) g(t + c1_i h).

    The stages are H_i = y + h sum a0_ij f_j + I_10/h sum b0_ij g_j.
    """

    a0: tuple[Row, ...]
    b0: tuple[Row, ...]
    c0: Row
    c1: Row
    alpha: Row
    beta1: Row
    beta2: Row


SRA1_TABLEAU = SRATableau(
    a0=((), (3 / 4,)),
    b0=((), (3 / 2,)),
    c0=(0.0, 3 / 4),
    c1=(1.0, 0.0),
    alpha=(1 / 3, 2 / 3),
    beta1=(1.0, 0.0),
    beta2=(-1.0, 1.0),
)
SOSRA_TABLEAU = SRATableau(
    a0=((), (0.6923962376159507,), (-3.1609142252828395, 4.1609142252828395)),
    b0=((), (1.3371632704399763,), (1.442371048468624, 1.8632741501139225)),
    c0=(0.0, 0.6923962376159507, 1.0),
    c1=(0.0, 0.041248171110700504, 1.0),
    alpha=(0.2889874966892885, 0.6859880440839937, 0.025024459226717772),
    beta1=(-16.792534242221663, 17.514995785380226, 0.27753845684143835),
    beta2=(0.4237535769069274, 0.6010381474428539, -1.0247917243497813),
)


def _step(tableau: SRATableau, sde: SDE, t: Tensor, dt: Tensor, y: Tensor, noise: BrownianIncrement) -> Step:
    h = broadcast(dt, y)
    diffusions = [sde.diffusion(t + node * dt, y) for node in tableau.c1]
    means = [product(g, noise.mean, y) for g in diffusions]
    states: list[Tensor] = []
    drifts: list[Tensor] = []
    for node, a_row, b_row in zip(tableau.c0, tableau.a0, tableau.b0, strict=True):
        states.append(y + h * weighted(a_row, drifts) + weighted(b_row, means))
        drifts.append(sde.drift(t + node * dt, states[-1]))
    shifts = [product(g, noise.w, y) for g in diffusions]
    shift = h * weighted(tableau.alpha, drifts) + weighted(tableau.beta1, shifts) + weighted(tableau.beta2, means)
    return Step(
        y=y + shift,
        error=shift - (h * drifts[0] + shifts[0]),  # Euler-Maruyama, of strong order 1 with additive noise, is embedded
        evaluations=len(drifts),
        stiffness=lambda: quotient(drifts[-1] - drifts[-2], states[-1] - states[-2]),
    )


def _scheme(name: str, tableau: SRATableau) -> SDEScheme:
    step: Callable[..., Step] = partial(_step, tableau)
    return SDEScheme(name, Calculus.ITO, {Noise.ADDITIVE: 1.5}, step, needs_area=True, error_order=1.5)


SRA1 = _scheme("SRA1", SRA1_TABLEAU)
SOSRA = _scheme("SOSRA", SOSRA_TABLEAU)
