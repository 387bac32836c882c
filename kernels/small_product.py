"""Products of many small matrices."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def small_product(
    left: Float[Tensor, "*batch rows inner"], right: Float[Tensor, "*batch inner columns"]
) -> Float[Tensor, "*batch rows columns"]:
    """``left @ right``, on a GPU and in compiled programs as a sum of outer products.

    Batched products of a GPU's library take 90 us for 100,000 matrices of 3 x 3 on an H200, longer than a scatter of as
    many points to a grid, and a compiler cannot join them with what stands around them.
    """
    if not (left.is_cuda or torch.compiler.is_compiling()):
        return left @ right
    product = left[..., :, 0, None] * right[..., 0, None, :]
    for k in range(1, left.shape[-1]):
        product = product + left[..., :, k, None] * right[..., k, None, :]
    return product
