"""Plastic flow as a return mapping: where a trial elastic strain is beyond yield, it is put back after each step.

All act on the logarithmic principal strains e = ln s of the elastic deformation gradient, with the part e^ that has no
trace. s is kept above ``LEAST_STRETCH``.
"""

from __future__ import annotations

import math
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..equations.parameter import register
from .lame import Lame

LEAST_STRETCH = 0.05

Strains = Float[Tensor, "batch node d"]


class Plasticity(Protocol):
    """A return mapping of the logarithmic principal strains."""

    def project(self, strain: Strains, lame: Lame, dt: Float[Tensor, "batch 1 1"]) -> Strains:
        """The strain that remains elastic; ``lame`` is already aligned with ``strain``."""
        ...


class VonMises(nn.Module):
    """Flow where the deviatoric Kirchhoff stress exceeds a bound: |dev tau| <= sigma_y; metal, plasticine.

    Args:
        yield_stress: sigma_y, the norm of dev tau itself, without the factor sqrt(2/3) of uniaxial tests.
    """

    yield_stress: Tensor

    def __init__(self, yield_stress: float | Tensor) -> None:
        super().__init__()
        _positive(yield_stress=yield_stress)
        register(self, yield_stress=yield_stress)

    def project(self, strain: Strains, lame: Lame, dt: Float[Tensor, "batch 1 1"]) -> Strains:
        deviator, norm = _deviator(strain)
        excess = norm - _aligned(self.yield_stress, strain) / (2 * lame.shear)
        return strain - excess.clamp_min(0) * _direction(deviator, norm)


class DruckerPrager(nn.Module):
    """Sand: shear up to a multiple of the pressure, no tension (Klar et al., "Drucker-Prager Elastoplasticity for Sand
    Animation", SIGGRAPH 2016, without their correction of the volume).

    Args:
        friction_angle: in degrees; dry sand 25 to 40.
        cohesion: the logarithmic strain that it bears in tension, along each axis.
    """

    friction_angle: Tensor
    cohesion: Tensor

    def __init__(self, friction_angle: float | Tensor = 25.0, cohesion: float | Tensor = 0.0) -> None:
        super().__init__()
        angle = torch.as_tensor(friction_angle)
        if not bool(((angle > 0) & (angle < 90)).all()):
            raise ValueError(f"Expected 0 < friction_angle < 90 degrees, got {friction_angle}.")
        register(self, friction_angle=friction_angle, cohesion=cohesion)

    def slope(self) -> Tensor:
        """alpha: how much shear a unit of pressure bears."""
        sine = torch.sin(self.friction_angle * (math.pi / 180))
        return math.sqrt(2 / 3) * 2 * sine / (3 - sine)

    def project(self, strain: Strains, lame: Lame, dt: Float[Tensor, "batch 1 1"]) -> Strains:
        size, alpha = strain.shape[-1], _aligned(self.slope(), strain)
        cohesion = _aligned(self.cohesion, strain)
        trace = strain.sum(-1, keepdim=True) - size * cohesion
        deviator, norm = _deviator(strain)
        excess = norm + (size * lame.volumetric + 2 * lame.shear) / (2 * lame.shear) * trace * alpha
        sheared = strain - excess.clamp_min(0) * _direction(deviator, norm)
        return torch.where(trace >= 0, cohesion.expand_as(strain), sheared)


class HerschelBulkley(nn.Module):
    """Yield and then flow at a rate that grows with the excess stress: foam, paste, mud (Yue, Smith, Batty, Zheng and
    Grinspun, "Continuum Foam", TOG 34, 2015, section 3.2). A Bingham fluid with exponent 1.

    Args:
        yield_stress: sigma_y of a uniaxial test: flow begins at |dev tau| = sqrt(2/3) sigma_y.
        viscosity: eta, in units of stress times time^exponent.
        exponent: h; below 1 it thins under shear, above it thickens.
    """

    yield_stress: Tensor
    viscosity: Tensor
    exponent: Tensor

    def __init__(self, yield_stress: float | Tensor, viscosity: float | Tensor, exponent: float | Tensor = 1.0) -> None:
        super().__init__()
        _positive(viscosity=viscosity, exponent=exponent)
        if not bool((torch.as_tensor(yield_stress) >= 0).all()):
            raise ValueError(f"Expected yield_stress >= 0, in units of stress, got {yield_stress}.")
        register(self, yield_stress=yield_stress, viscosity=viscosity, exponent=exponent)

    def project(self, strain: Strains, lame: Lame, dt: Float[Tensor, "batch 1 1"]) -> Strains:
        deviator, norm = _deviator(strain)
        trial = 2 * lame.shear * norm
        bound = math.sqrt(2 / 3) * _aligned(self.yield_stress, strain)
        shear = lame.shear * (2 * strain).exp().mean(-1, keepdim=True)
        flowing = trial > bound
        beyond = torch.where(flowing, trial - bound, torch.ones_like(trial))
        rate = 2 * shear * dt
        left = _excess(beyond, rate, _aligned(self.viscosity, strain), _aligned(self.exponent, strain))
        factor = torch.where(flowing, (bound + left) / torch.where(flowing, trial, torch.ones_like(trial)), 1.0)
        return strain + (factor - 1) * deviator


_NEWTON_STEPS = 50
"""Enough for any exponent from 0.1 to 10 in float64: convergence from below is monotone, then quadratic."""


def _excess(trial: Tensor, rate: Tensor, viscosity: Tensor, exponent: Tensor) -> Tensor:
    """The excess stress q > 0 with q + rate (q / viscosity)^(1 / exponent) = trial, > 0.

    Differentiable: the last step of Newton's method carries the gradient of the implicit function.
    """
    with torch.no_grad():
        q = _solve_excess(trial, rate, viscosity, exponent)
    flow = (q / viscosity) ** (1 / exponent)
    slope = 1 + rate * flow / (exponent * q.clamp_min(torch.finfo(q.dtype).tiny))
    return q - (q + rate * flow - trial) / slope.detach()


def _solve_excess(trial: Tensor, rate: Tensor, viscosity: Tensor, exponent: Tensor) -> Tensor:
    # In w = (q / viscosity)^(1 / exponent), or in q, whichever makes the equation convex: from above, Newton descends.
    in_q = exponent <= 1
    viscosity, exponent, rate = (x.expand_as(trial) for x in (viscosity, exponent, rate))
    unknown = torch.where(in_q, trial, torch.minimum(trial / rate, (trial / viscosity) ** (1 / exponent)))
    for _ in range(_NEWTON_STEPS):
        flow = (unknown / viscosity) ** (1 / exponent)
        stress = viscosity * unknown**exponent
        value = torch.where(in_q, unknown + rate * flow, stress + rate * unknown) - trial
        slope = torch.where(in_q, 1 + rate * flow / (exponent * unknown), exponent * stress / unknown + rate)
        step = value / slope
        unknown = (unknown - step).clamp_min(torch.finfo(trial.dtype).tiny)
        if bool((step.abs() <= 2 * torch.finfo(trial.dtype).eps * unknown).all()):
            break
    return torch.where(in_q, unknown, viscosity * unknown**exponent)


def _deviator(strain: Strains) -> tuple[Tensor, Tensor]:
    """e^ = e - tr(e) / d and its norm (..., 1), whose gradient at zero is zero."""
    deviator = strain - strain.mean(-1, keepdim=True)
    return deviator, torch.linalg.vector_norm(deviator, dim=-1, keepdim=True)


def _direction(deviator: Tensor, norm: Tensor) -> Tensor:
    return deviator / torch.where(norm > 0, norm, torch.ones_like(norm))


def _aligned(value: Tensor, strain: Tensor) -> Tensor:
    value = value.to(strain.dtype)
    return value if value.dim() == 0 else value[..., None]


def _positive(**values: float | Tensor) -> None:
    for name, value in values.items():
        if not bool((torch.as_tensor(value) > 0).all()):
            raise ValueError(f"Expected {name} > 0, got {value}.")
