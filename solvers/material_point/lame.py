"""The constants of an isotropic elastic solid."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..equations.parameter import register


class Lame(NamedTuple):
    """Lame's constants, in units of stress, in a shape that multiplies (batch, node).

    Attributes:
        shear: mu = E / (2 (1 + nu)).
        volumetric: lambda = E nu / ((1 + nu) (1 - 2 nu)); in 2D too, which is plane strain.
    """

    shear: Tensor
    volumetric: Tensor

    @property
    def p_wave(self) -> Tensor:
        """lambda + 2 mu, what a pressure wave meets."""
        return self.volumetric + 2 * self.shear

    def at(self, values: Tensor, axes: int) -> Lame:
        """In the dtype of ``values``, with ``axes`` more axes at the end."""
        return Lame(*(_aligned(constant, values, axes) for constant in self))


class Moduli(nn.Module):
    """What every isotropic law holds.

    Args:
        young: Young's modulus, in units of stress.
        poisson: Poisson's ratio.

    Raises:
        ValueError: young is not positive, or poisson not between -1 and 0.5.
    """

    young: Tensor
    poisson: Tensor

    def __init__(self, young: float | Tensor, poisson: float | Tensor) -> None:
        super().__init__()
        if not bool((torch.as_tensor(young) > 0).all()):
            raise ValueError(f"Expected young > 0, Young's modulus in units of stress, got {young}.")
        ratio = torch.as_tensor(poisson)
        if not bool(((ratio > -1) & (ratio < 0.5)).all()):
            raise ValueError(
                f"Expected -1 < poisson < 0.5, got {poisson}. Near 0.5 the solid is incompressible; try 0.49."
            )
        register(self, young=young, poisson=poisson)

    def lame(self) -> Lame:
        """Lame's constants."""
        shear = self.young / (2 * (1 + self.poisson))
        return Lame(shear, self.young * self.poisson / ((1 + self.poisson) * (1 - 2 * self.poisson)))


def _aligned(constant: Tensor, values: Tensor, axes: int) -> Tensor:
    constant = constant.to(values.dtype)
    return constant if constant.dim() == 0 else constant.reshape(*constant.shape, *(1,) * axes)
