"""A x and b - A x, by the fastest way there is: with a gradient where one is asked for."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from . import native
from .matrix import Matrix


def product(matrix: Matrix, x: Float[Tensor, "batch *shape"]) -> Float[Tensor, "batch *shape"]:
    """A x."""
    return native.product(matrix, x) if _plain(matrix, x) and native.serves(matrix, x) else matrix.apply(x)


def residual(
    matrix: Matrix, b: Float[Tensor, "batch *shape"], x: Float[Tensor, "batch *shape"]
) -> Float[Tensor, "batch *shape"]:
    """b - A x."""
    plain = _plain(matrix, b, x) and native.serves(matrix, b, x)
    return native.residual(matrix, b, x) if plain else b - matrix.apply(x)


def _plain(matrix: Matrix, *fields: Tensor) -> bool:
    """Whether no gradient is asked for."""
    return not torch.is_grad_enabled() or not any(x.requires_grad for x in (*matrix.entries, *fields))
