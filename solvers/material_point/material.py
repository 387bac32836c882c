"""What a material point is made of: a solid that yields or not, or a weakly compressible fluid.

A material keeps the elastic deformation gradient F of its points and gives their Kirchhoff stress. Any ``nn.Module``
with the same methods is a material too, a network that was trained on motion among them.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.kernels.small_product import small_product

from ..equations.parameter import register
from .elasticity import Elasticity, Matrices, Stretches, determinant
from .fused import Flow, flow_of, fused_deform
from .isotropic import isotropic
from .plasticity import LEAST_STRETCH, Plasticity


class Deformed(NamedTuple):
    """The elastic deformation gradient F and the Kirchhoff stress tau of it, both (batch, node, d, d)."""

    deformation: Tensor
    stress: Tensor


class Material(Protocol):
    """What a method of material points asks of a material.

    Attributes:
        density: mass per volume of the undeformed body.
    """

    density: float

    def stress(self, deformation: Matrices, gradient: Matrices) -> Matrices:
        """Kirchhoff stress tau of F and of the velocity gradient."""
        ...

    def deform(self, deformation: Matrices, gradient: Matrices, dt: Float[Tensor, " batch"]) -> Deformed:
        """F after dt with the velocity gradient, mapped back to yield, and its stress."""
        ...

    def sound_speed(self) -> Tensor:
        """Of the fastest wave at rest, a number or broadcasting against (batch, node)."""
        ...

    def diffusivity(self) -> Tensor:
        """Kinematic viscosity, which bounds an explicit step too; zero without."""
        ...


class Solid(nn.Module):
    """An elastic or elastoplastic solid, or NCLaw's water (``Volumetric`` elasticity, ``volume_only``).

    F <- (1 + dt grad v) F, then the return mapping.

    Args:
        elasticity: such as ``FixedCorotated(young=1e5, poisson=0.2)``.
        plasticity: such as ``VonMises(yield_stress=5e3)``; None for none.
        density: mass per volume.
        volume_only: keep J of F alone, F <- J^(1/d) 1: what has no shear resistance forgets its shear.
    """

    def __init__(
        self,
        elasticity: Elasticity,
        plasticity: Plasticity | None = None,
        *,
        density: float = 1000.0,
        volume_only: bool = False,
    ) -> None:
        super().__init__()
        check_density(density)
        if volume_only and plasticity is not None:
            raise ValueError("Expected no plasticity with volume_only=True, which leaves no shear to flow.")
        self.elasticity, self.plasticity = elasticity, plasticity
        self.density, self.volume_only = density, volume_only

    def stress(self, deformation: Matrices, gradient: Matrices) -> Matrices:
        """tau of F; the velocity gradient plays no part."""
        fused = fused_deform(self, self.elasticity, _elastic, deformation, gradient, None)
        return self.elasticity.kirchhoff(deformation) if fused is None else fused[1]

    def deform(self, deformation: Matrices, gradient: Matrices, dt: Float[Tensor, " batch"]) -> Deformed:
        fused = fused_deform(self, self.elasticity, self._flow, deformation, gradient, dt)
        return self.deform_reference(deformation, gradient, dt) if fused is None else Deformed(*fused)

    def deform_reference(self, deformation: Matrices, gradient: Matrices, dt: Float[Tensor, " batch"]) -> Deformed:
        """``deform`` in torch, which is differentiable."""
        trial = deformation + small_product(dt[:, None, None, None] * gradient, deformation)
        if self.volume_only:
            new = ball(determinant(trial), trial)
            return Deformed(new, self.elasticity.kirchhoff(new))
        if self.plasticity is None:
            return Deformed(trial, self.elasticity.kirchhoff(trial))
        plasticity, constants, step = self.plasticity, self.elasticity.lame().at(trial, 1), dt[:, None, None]

        def remaining(stretches: Stretches) -> Stretches:
            strain = stretches.clamp_min(LEAST_STRETCH).log()
            return plasticity.project(strain, constants, step).exp()

        new, piola = isotropic(trial, remaining, lambda stretches: self.elasticity.principal(remaining(stretches)))
        return Deformed(new, small_product(piola, new.mT))

    def sound_speed(self) -> Tensor:
        """sqrt((lambda + 2 mu) / density)."""
        return (self.elasticity.lame().p_wave / self.density).sqrt()

    def diffusivity(self) -> Tensor:
        return torch.zeros(())

    def _flow(self) -> Flow:
        return ("volume only", []) if self.volume_only else flow_of(self.plasticity)


class Fluid(nn.Module):
    """A weakly compressible Newtonian fluid: p = K (J^-gamma - 1), sigma = -p 1 + eta (grad v + grad v^T).

    Only J is kept: J <- J (1 + dt div v), as F = J^(1/d) 1. Tait's equation (Monaghan, "Simulating Free Surface Flows
    with SPH", 1994).

    Args:
        bulk_modulus: K, in units of stress; see ``stiffness_for``.
        gamma: 7 for water.
        viscosity: eta, dynamic.
        density: mass per volume.
        deviatoric: leave the expansion out of the viscous stress: eta (grad v + grad v^T - 2/d div v 1).
    """

    bulk_modulus: Tensor
    gamma: Tensor
    viscosity: Tensor

    def __init__(
        self,
        bulk_modulus: float | Tensor,
        *,
        gamma: float | Tensor = 7.0,
        viscosity: float | Tensor = 0.0,
        density: float = 1000.0,
        deviatoric: bool = False,
    ) -> None:
        super().__init__()
        check_density(density)
        for name, value in (("bulk_modulus", bulk_modulus), ("gamma", gamma)):
            if not bool((torch.as_tensor(value) > 0).all()):
                raise ValueError(f"Expected {name} > 0, got {value}.")
        if not bool((torch.as_tensor(viscosity) >= 0).all()):
            raise ValueError(f"Expected viscosity >= 0, got {viscosity}.")
        register(self, bulk_modulus=bulk_modulus, gamma=gamma, viscosity=viscosity)
        self.density, self.deviatoric = density, deviatoric

    def stress(self, deformation: Matrices, gradient: Matrices) -> Matrices:
        fused = fused_deform(self, None, self._flow, deformation, gradient, None)
        return self.stress_reference(deformation, gradient) if fused is None else fused[1]

    def stress_reference(self, deformation: Matrices, gradient: Matrices) -> Matrices:
        """``stress`` in torch, which is differentiable."""
        size = deformation.shape[-1]
        volume = determinant(deformation)
        bulk, gamma, viscosity = (x.to(volume.dtype) for x in (self.bulk_modulus, self.gamma, self.viscosity))
        pressure = bulk * (volume**-gamma - 1)
        rate = gradient + gradient.mT
        spherical = -pressure
        if self.deviatoric:
            spherical = spherical - viscosity * 2 / size * gradient.diagonal(dim1=-2, dim2=-1).sum(-1)
        identity = torch.eye(size, dtype=volume.dtype, device=volume.device)
        # Added as shaped numbers: a viscosity per particle multiplies (batch, node).
        return volume[..., None, None] * (spherical[..., None, None] * identity + _shaped(viscosity) * rate)

    def deform(self, deformation: Matrices, gradient: Matrices, dt: Float[Tensor, " batch"]) -> Deformed:
        fused = fused_deform(self, None, self._flow, deformation, gradient, dt)
        return self.deform_reference(deformation, gradient, dt) if fused is None else Deformed(*fused)

    def deform_reference(self, deformation: Matrices, gradient: Matrices, dt: Float[Tensor, " batch"]) -> Deformed:
        """``deform`` in torch, which is differentiable."""
        divergence = gradient.diagonal(dim1=-2, dim2=-1).sum(-1)
        new = ball(determinant(deformation) * (1 + dt[:, None] * divergence), deformation)
        return Deformed(new, self.stress_reference(new, gradient))

    def sound_speed(self) -> Tensor:
        """sqrt(gamma K / density)."""
        return (self.gamma * self.bulk_modulus / self.density).sqrt()

    def diffusivity(self) -> Tensor:
        return self.viscosity / self.density

    def _flow(self) -> Flow:
        return "Newtonian", [self.bulk_modulus, self.gamma, self.viscosity, torch.tensor(float(self.deviatoric))]


def stiffness_for(speed: float, *, density: float = 1000.0, gamma: float = 7.0, mach: float = 0.1) -> float:
    """The bulk modulus of a ``Fluid`` in which ``speed`` is ``mach`` of sound: the density then varies by about mach^2.

    Args:
        speed: the largest expected; sqrt(2 g h) where water falls by h.
        density, gamma: of the fluid.
        mach: at most about 0.1.
    """
    return density * (speed / mach) ** 2 / gamma


def ball(volume: Float[Tensor, "batch node"], like: Matrices) -> Matrices:
    """The deformation gradient J^(1/d) 1 of a pure change of volume."""
    size = like.shape[-1]
    radius = volume.sqrt() if size == 2 else _cube_root(volume)
    return radius[..., None, None] * torch.eye(size, dtype=like.dtype, device=like.device)


def check_density(density: float) -> None:
    """Raises ValueError unless it is positive."""
    if not density > 0:
        raise ValueError(f"Expected density > 0, got {density}.")


def _elastic() -> Flow:
    return "elastic", []


def _cube_root(values: Tensor) -> Tensor:
    """NaN of what is negative, as a square root is."""
    return values ** (1 / 3)


def _shaped(value: Tensor) -> Tensor:
    return value if value.dim() == 0 else value[..., None, None]
