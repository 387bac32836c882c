"""Random media: positive coefficient fields that an operator reads as a static channel."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.generation.fields import random_field
from sciml.generation.grid import Grid
from sciml.solvers.initial import matern_spectrum


def random_medium(
    generator: torch.Generator, grid: Grid, *, typical: float, contrast: float
) -> Float[Tensor, "*space"]:
    """typical * contrast^g, with a smooth random field g between -1 and 1."""
    field = random_field(generator, grid, matern_spectrum(exponent=3.0, scale=15.0))
    return typical * contrast ** (field / field.abs().max())
