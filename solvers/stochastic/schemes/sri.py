"""Stochastic Runge-Kutta schemes of strong order 1.5 for diagonal and scalar noise in Ito's calculus.

Sources: A. Roessler, "Runge-Kutta methods for the strong approximation of solutions of stochastic differential
equations", SIAM J. Numer. Anal. 48 (2010), table 6.1 (SRI1W1, here SRIW1); C. Rackauckas, Q. Nie, "Adaptive methods
for stochastic differential equations via natural embeddings and rejection sampling with memory", Discrete Contin. Dyn.
Syst. B 22 (2017) (the error estimate); the same, "Stability-optimized high order methods and stiffness detection for
pathwise stiff stochastic differential equations", IEEE HPEC (2020) (SOSRI, SOSRI2).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor

from ...state import broadcast
from ...stepper import Step
from ..brownian import BrownianIncrement
from ..sde import SDE, Calculus, Noise, product
from ..sde_stepper import SDEScheme
from .stages import Row, quotient, weighted


@dataclass(frozen=True)
class SRITableau:
    """y + h sum alpha_i f_i + sum (beta1_i I_1 + beta2_i I_11/sqrt(h) + beta3_i I_10/h + beta4_i I_111/h) g_i.

    The stages are f_i = f(t + c0_i h, y + h sum a0_ij f_j + I_10/h sum b0_ij g_j) and
    g_i = g(t + c1_i h, y + h sum a1_ij f_j + sqrt(h) sum b1_ij g_j). The error estimate is the noise's part of order
    1.5, with beta3 and beta4, and h sum error_i f_i. As many drifts are evaluated as alpha has entries.
    """

    a0: tuple[Row, ...]
    b0: tuple[Row, ...]
    c0: Row
    a1: tuple[Row, ...]
    b1: tuple[Row, ...]
    c1: Row
    alpha: Row
    beta1: Row
    beta2: Row
    beta3: Row
    beta4: Row
    error: Row


# The published tableau has two more drifts. Both are taken at (t, y), as the first, and only a1 uses one of them.
SRIW1_TABLEAU = SRITableau(
    a0=((), (3 / 4,)),
    b0=((), (3 / 2,)),
    c0=(0.0, 3 / 4),
    a1=((), (1 / 4,), (1.0,), (1 / 4,)),
    b1=((), (1 / 2,), (-1.0, 0.0), (-5.0, 3.0, 1 / 2)),
    c1=(0.0, 1 / 4, 1.0, 1 / 4),
    alpha=(1 / 3, 2 / 3),
    beta1=(-1.0, 4 / 3, 2 / 3, 0.0),
    beta2=(-1.0, 4 / 3, -1 / 3, 0.0),
    beta3=(2.0, -4 / 3, -2 / 3, 0.0),
    beta4=(-2.0, 5 / 3, -2 / 3, 1.0),
    error=(-2 / 3, 2 / 3),  # the distance from Euler's step
)
SOSRI_TABLEAU = SRITableau(
    a0=(
        (),
        (-0.04199224421316468,),
        (2.842612915017106, -2.0527723684000727),
        (4.338237071435815, -2.8895936137439793, 2.3017575594644466),
    ),
    b0=(
        (),
        (-0.21641093549612528,),
        (1.5336352863679572, 0.26066223492647056),
        (-1.0536037558179159, 1.7015284721089472, -0.20725685784180017),
    ),
    c0=(0.0, -0.04199224421316468, 0.7898405466170333, 3.7504010171562823),
    a1=(
        (),
        (0.26204282091330466,),
        (0.20903646383505375, -0.1502377115150361),
        (0.05836595312746999, 0.6149440396332373, 0.08535117634046772),
    ),
    b1=(
        (),
        (-0.5119011827621657,),
        (2.67767339866713, -4.9395031322250995),
        (0.15580956238299215, 3.2361551006624674, -1.4223118283355949),
    ),
    c1=(0.0, 0.26204282091330466, 0.05879875232001766, 0.758661169101175),
    alpha=(1.140099274172029, -0.6401334255743456, 0.4736296532772559, 0.026404498125060714),
    beta1=(-1.8453464565104432, 2.688764531100726, -0.2523866501071323, 0.40896857551684956),
    beta2=(0.4969658141589478, -0.5771202869753592, -0.12919702470322217, 0.2093514975196336),
    beta3=(2.8453464565104425, -2.688764531100725, 0.2523866501071322, -0.40896857551684945),
    beta4=(0.11522663875443433, -0.57877086147738, 0.2857851028163886, 0.17775911990655704),
    error=(1.0, 1.0, 1.0, 1.0),  # as the authors' program and the regularisation papers have it: of order 1 alone
)
SOSRI2_TABLEAU = SRITableau(
    a0=(
        (),
        (0.13804532298278663,),
        (0.5818361298250374, 0.4181638701749618),
        (0.4670018408674211, 0.8046204792187386, -0.27162232008616016),
    ),
    b0=(
        (),
        (0.08852381537667678,),
        (1.0317752458971061, 0.4563552922077882),
        (1.73078280444124, -0.46089678470929774, -0.9637509618944188),
    ),
    c0=(0.0, 0.13804532298278663, 0.9999999999999992, 0.9999999999999994),
    a1=(
        (),
        (0.45605532163856893,),
        (0.7555807846451692, 0.24441921535482677),
        (0.6981181143266059, 0.3453277086024727, -0.04344582292908241),
    ),
    b1=(
        (),
        (0.6753186815412179,),
        (-0.07452812525785148, -0.49783736486149366),
        (-0.5591906709928903, 0.022696571806569924, -0.8984927888368557),
    ),
    c1=(0.0, 0.45605532163856893, 0.999999999999996, 0.9999999999999962),
    alpha=(-0.15036858140642623, 0.7545275856696072, 0.686995463807979, -0.2911544680711602),
    beta1=(-0.45315689727309133, 0.8330937231303951, 0.3792843195533544, 0.24077885458934192),
    beta2=(-0.4994383733810986, 0.9181786186154077, -0.25613778661003145, -0.16260245862427797),
    beta3=(1.4531568972730915, -0.8330937231303933, -0.3792843195533583, -0.24077885458934023),
    beta4=(-0.4976090683622265, 0.9148155835648892, -1.4102107084476505, 0.9930041932449877),
    error=(1.0, 1.0, 1.0, 1.0),
)


def _step(tableau: SRITableau, sde: SDE, t: Tensor, dt: Tensor, y: Tensor, noise: BrownianIncrement) -> Step:
    h = broadcast(dt, y)
    root = h.abs().sqrt()
    states: list[Tensor] = []
    drifts: list[Tensor] = []
    diffusions: list[Tensor] = []
    w = mean = y
    for i, node in enumerate(tableau.c1):
        if i < len(tableau.alpha):
            states.append(y + h * weighted(tableau.a0[i], drifts) + mean * weighted(tableau.b0[i], diffusions))
        place = y + h * weighted(tableau.a1[i], drifts) + root * weighted(tableau.b1[i], diffusions)
        g = sde.diffusion(t + node * dt, place)
        if i == 0:
            w, mean = _elementwise(g, noise.w, y), _elementwise(g, noise.mean, y)
        diffusions.append(g if g.dim() == y.dim() else g[..., 0])
        if i < len(tableau.alpha):
            drifts.append(sde.drift(t + tableau.c0[i] * dt, states[-1]))
    twice = 0.5 * (w * w - h) / torch.where(root > 0, root, 1.0)
    thrice = w * (w * w - 3 * h) / torch.where(h != 0, 6 * h, 1.0)
    last = mean * weighted(tableau.beta3, diffusions) + thrice * weighted(tableau.beta4, diffusions)
    shift = w * weighted(tableau.beta1, diffusions) + twice * weighted(tableau.beta2, diffusions) + last
    return Step(
        y=y + (h * weighted(tableau.alpha, drifts) + shift),
        error=h * weighted(tableau.error, drifts) + last,
        evaluations=len(diffusions),
        stiffness=lambda: quotient(drifts[-1] - drifts[-2], states[-1] - states[-2]),
    )


def _elementwise(g: Tensor, noise: Tensor, y: Tensor) -> Tensor:
    """The noise as it multiplies y's components; its shape is checked."""
    product(g, noise, y)
    return noise if g.dim() == y.dim() else noise.reshape(*noise.shape[:-1], *[1] * (y.dim() - noise.dim() + 1))


def _scheme(name: str, tableau: SRITableau, error_order: float) -> SDEScheme:
    step: Callable[..., Step] = partial(_step, tableau)
    orders = {Noise.DIAGONAL: 1.5, Noise.SCALAR: 1.5}
    return SDEScheme(name, Calculus.ITO, orders, step, needs_area=True, error_order=error_order)


SRIW1 = _scheme("SRIW1", SRIW1_TABLEAU, error_order=1.5)
SOSRI = _scheme("SOSRI", SOSRI_TABLEAU, error_order=1.0)
SOSRI2 = _scheme("SOSRI2", SOSRI2_TABLEAU, error_order=1.0)
