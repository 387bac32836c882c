"""Hyperelastic laws: the energy density of a deformation gradient F and its Kirchhoff stress tau = (d psi / dF) F^T.

With J = det F and the stretches s, the singular values of F as rotations leave them. Moduli are numbers, or tensors
that broadcast against (batch, node): (batch, 1) for a value per sample, (node,) for one per particle; an
``nn.Parameter`` is learned.
"""

from __future__ import annotations

from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.small_product import small_product

from .isotropic import isotropic
from .lame import Lame, Moduli

Matrices = Float[Tensor, "batch node d d"]
Stretches = Float[Tensor, "batch node d"]


class Elasticity(Protocol):
    """An isotropic hyperelastic law."""

    def lame(self) -> Lame:
        """Lame's constants."""
        ...

    def energy(self, deformation: Matrices) -> Float[Tensor, "batch node"]:
        """psi, per volume of the undeformed body."""
        ...

    def kirchhoff(self, deformation: Matrices) -> Matrices:
        """tau; the Cauchy stress is tau / J."""
        ...

    def principal(self, stretches: Stretches) -> Stretches:
        """The first Piola-Kirchhoff stress of a diagonal F: d psi / d s."""
        ...


class FixedCorotated(Moduli):
    """psi = mu |s - 1|^2 + lambda / 2 (J - 1)^2 (Stomakhin et al. 2012): robust in any compression, inverted too.

    Args:
        young: Young's modulus, in units of stress.
        poisson: Poisson's ratio.
    """

    def energy(self, deformation: Matrices) -> Float[Tensor, "batch node"]:
        mu, la = self.lame().at(deformation, 0)
        (rotation,) = isotropic(deformation, torch.ones_like)
        shear = (deformation - rotation).square().sum((-2, -1))
        return mu * shear + la / 2 * (determinant(deformation) - 1).square()

    def kirchhoff(self, deformation: Matrices) -> Matrices:
        mu, la = self.lame().at(deformation, 2)
        (rotation,) = isotropic(deformation, torch.ones_like)
        volume = determinant(deformation)[..., None, None]
        return small_product(2 * mu * (deformation - rotation), deformation.mT) + la * volume * (
            volume - 1
        ) * _identity(deformation)

    def principal(self, stretches: Stretches) -> Stretches:
        mu, la = self.lame().at(stretches, 1)
        volume = stretches.prod(-1, keepdim=True)
        return 2 * mu * (stretches - 1) + la * (volume - 1) * _products_of_others(stretches)


class NeoHookean(Moduli):
    """psi = mu / 2 (tr F^T F - d) - mu ln J + lambda / 2 (ln J)^2; infinite as J -> 0, not defined beyond.

    Args:
        young: Young's modulus, in units of stress.
        poisson: Poisson's ratio.
    """

    def energy(self, deformation: Matrices) -> Float[Tensor, "batch node"]:
        mu, la = self.lame().at(deformation, 0)
        log = determinant(deformation).log()
        return mu / 2 * (deformation.square().sum((-2, -1)) - deformation.shape[-1]) - mu * log + la / 2 * log.square()

    def kirchhoff(self, deformation: Matrices) -> Matrices:
        mu, la = self.lame().at(deformation, 2)
        identity = _identity(deformation)
        log = determinant(deformation).log()[..., None, None]
        return mu * (small_product(deformation, deformation.mT) - identity) + la * log * identity

    def principal(self, stretches: Stretches) -> Stretches:
        mu, la = self.lame().at(stretches, 1)
        log = stretches.prod(-1, keepdim=True).log()
        return mu * (stretches - 1 / stretches) + la * log / stretches


class StVenantKirchhoff(Moduli):
    """psi = mu |E|^2 + lambda / 2 (tr E)^2 with Green's strain E = (F^T F - 1) / 2; it softens in compression.

    Args:
        young: Young's modulus, in units of stress.
        poisson: Poisson's ratio.
    """

    def energy(self, deformation: Matrices) -> Float[Tensor, "batch node"]:
        mu, la = self.lame().at(deformation, 0)
        strain = _green(deformation)
        return mu * strain.square().sum((-2, -1)) + la / 2 * _trace(strain).square()

    def kirchhoff(self, deformation: Matrices) -> Matrices:
        mu, la = self.lame().at(deformation, 2)
        strain = _green(deformation)
        second = 2 * mu * strain + la * _trace(strain)[..., None, None] * _identity(strain)
        return small_product(small_product(deformation, second), deformation.mT)

    def principal(self, stretches: Stretches) -> Stretches:
        mu, la = self.lame().at(stretches, 1)
        strain = (stretches.square() - 1) / 2
        return stretches * (2 * mu * strain + la * strain.sum(-1, keepdim=True))


class Hencky(Moduli):
    """psi = mu |e|^2 + lambda / 2 (tr e)^2 with the logarithmic strain e = ln s: the law that plasticity is written in.

    Args:
        young: Young's modulus, in units of stress.
        poisson: Poisson's ratio.
    """

    def energy(self, deformation: Matrices) -> Float[Tensor, "batch node"]:
        mu, la = self.lame().at(deformation, 0)
        strain = isotropic(deformation, torch.log)[0]  # U e V^T has the same squares and, in its own frame, trace
        return mu * strain.square().sum((-2, -1)) + la / 2 * determinant(deformation).log().square()

    def kirchhoff(self, deformation: Matrices) -> Matrices:
        return small_product(isotropic(deformation, self.principal)[0], deformation.mT)

    def principal(self, stretches: Stretches) -> Stretches:
        mu, la = self.lame().at(stretches, 1)
        strain = stretches.log()
        return (2 * mu * strain + la * strain.sum(-1, keepdim=True)) / stretches


class Volumetric(Moduli):
    """psi = lambda / 2 (J - 1)^2: no resistance to shear; NCLaw's water, of bounded pressure lambda (1 - J).

    Args:
        young, poisson: give lambda.
    """

    def lame(self) -> Lame:
        """With no shear modulus."""
        constants = super().lame()
        return Lame(torch.zeros_like(constants.shear), constants.volumetric)

    def energy(self, deformation: Matrices) -> Float[Tensor, "batch node"]:
        la = self.lame().at(deformation, 0).volumetric
        return la / 2 * (determinant(deformation) - 1).square()

    def kirchhoff(self, deformation: Matrices) -> Matrices:
        la = self.lame().at(deformation, 2).volumetric
        volume = determinant(deformation)[..., None, None]
        return la * volume * (volume - 1) * _identity(deformation)

    def principal(self, stretches: Stretches) -> Stretches:
        la = self.lame().at(stretches, 1).volumetric
        return la * (stretches.prod(-1, keepdim=True) - 1) * _products_of_others(stretches)


def determinant(matrix: Matrices) -> Float[Tensor, "batch node"]:
    """det of 2x2 or 3x3 matrices, written out: a general routine factorises each of them."""
    if matrix.shape[-1] == 2:
        return matrix[..., 0, 0] * matrix[..., 1, 1] - matrix[..., 0, 1] * matrix[..., 1, 0]
    first, second, third = matrix.unbind(-1)
    return (first * torch.linalg.cross(second, third)).sum(-1)


def _products_of_others(stretches: Stretches) -> Stretches:
    """J / s_i, without the division."""
    if stretches.shape[-1] == 2:
        return stretches.flip(-1)
    return stretches.roll(1, -1) * stretches.roll(2, -1)


def _green(deformation: Matrices) -> Matrices:
    return (small_product(deformation.mT, deformation) - _identity(deformation)) / 2


def _trace(matrix: Matrices) -> Tensor:
    return matrix.diagonal(dim1=-2, dim2=-1).sum(-1)


def _identity(matrix: Matrices) -> Tensor:
    return torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
