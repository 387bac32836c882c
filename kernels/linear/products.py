"""A x and b - A x, by the fastest way there is and without a gradient."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from . import native
from .matrix import Matrix


@torch.no_grad()
def product(matrix: Matrix, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
    """A x."""
    return native.product(matrix, x) if native.serves(matrix, x) else matrix.apply(x)


@torch.no_grad()
def residual(
    matrix: Matrix, b: Float[Tensor, "batch *shape"], x: Float[Tensor, "batch *shape"]
) -> Float[Tensor, "batch *shape"]:
    """b - A x."""
    return native.residual(matrix, b, x) if native.serves(matrix, b, x) else b - matrix.apply(x)
