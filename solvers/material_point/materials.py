"""Named materials."""

from __future__ import annotations

from .elasticity import FixedCorotated, Hencky, Volumetric
from .material import Solid
from .plasticity import DruckerPrager, VonMises


def jelly(young: float = 1e5, poisson: float = 0.2, *, density: float = 1000.0) -> Solid:
    """NCLaw's jelly (Ma et al., "Learning Neural Constitutive Laws From Motion Observations", ICML 2023)."""
    return Solid(FixedCorotated(young, poisson), density=density)


def plasticine(
    young: float = 3e5, poisson: float = 0.25, *, yield_stress: float = 5e3, density: float = 1000.0
) -> Solid:
    """NCLaw's plasticine."""
    return Solid(Hencky(young, poisson), VonMises(yield_stress), density=density)


def sand(young: float = 1e6, poisson: float = 0.2, *, friction_angle: float = 25.0, density: float = 1000.0) -> Solid:
    """NCLaw's sand."""
    return Solid(Hencky(young, poisson), DruckerPrager(friction_angle), density=density)


def water(young: float = 1e5, poisson: float = 0.3, *, density: float = 1000.0) -> Solid:
    """NCLaw's water: its pressure is bounded, so that it lets itself be crushed; ``Fluid`` does not."""
    return Solid(Volumetric(young, poisson), density=density, volume_only=True)
