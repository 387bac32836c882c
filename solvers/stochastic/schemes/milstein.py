"""Milstein's scheme in Ito's and Stratonovich's calculus, with derivatives of the diffusion and without.

Source: P. E. Kloeden, E. Platen, "Numerical Solution of Stochastic Differential Equations" (1992), sections 10.3 (with
commutative noise) and 11.1 (derivative-free).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...state import broadcast
from ...stepper import Step
from ..brownian import BrownianIncrement
from ..sde import SDE, Calculus, Noise, derivative_along, product, self_derivative
from ..sde_stepper import SDEScheme


def _with_derivatives(sde: SDE, t: Tensor, dt: Tensor, y: Tensor, noise: BrownianIncrement) -> Step:
    h = broadcast(dt, y)
    f, g = sde(t, y)
    shift = product(g, noise.w, y)
    if sde.noise is Noise.ADDITIVE:
        return Step(y=y + h * f + shift)
    # With commuting columns the double integrals are products of increments: one derivative along the noise.
    second = product(derivative_along(sde.diffusion, t, y, shift), noise.w, y)
    if sde.calculus is Calculus.ITO:
        second = second - h * self_derivative(sde.diffusion, t, y, g)
    return Step(y=y + h * f + shift + 0.5 * second)


def _derivative_free(sde: SDE, t: Tensor, dt: Tensor, y: Tensor, noise: BrownianIncrement) -> Step:
    h = broadcast(dt, y)
    f, g = sde(t, y)
    moved = y + h * f
    result = moved + product(g, noise.w, y)
    if sde.noise is Noise.ADDITIVE:
        return Step(y=result)
    ito = sde.calculus is Calculus.ITO
    less = h if ito else torch.zeros_like(h)
    diagonal = g.dim() == y.dim()
    columns = [g] if diagonal else g.unbind(dim=-1)
    for j, column in enumerate(columns):
        shift = h.abs().sqrt() * column
        if ito:
            difference = sde.diffusion(t, moved + shift) - g
        else:
            # Stratonovich's double integral has a mean, which would carry a one-sided difference's error on.
            difference = 0.5 * (sde.diffusion(t, y + shift) - sde.diffusion(t, y - shift))
        if diagonal:
            second = difference * (noise.w * noise.w - less)
        else:
            second = product(difference, noise.w * noise.w[..., j : j + 1], y) - less * difference[..., j]
        result = result + second / torch.where(h == 0, 1.0, 2 * h.abs().sqrt())
    return Step(y=result, evaluations=1 + len(columns) * (1 if ito else 2))


_ORDERS = {Noise.ADDITIVE: 1.0, Noise.DIAGONAL: 1.0, Noise.SCALAR: 1.0, Noise.COMMUTATIVE: 1.0}
MILSTEIN = SDEScheme("MILSTEIN", None, _ORDERS, _with_derivatives)
MILSTEIN_PLATEN = SDEScheme("MILSTEIN_PLATEN", None, _ORDERS, _derivative_free)
