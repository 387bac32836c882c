"""Isotropic functions of a matrix: f(U diag(s) V^T) = U diag(g(s)) V^T, with the gradient that is right everywhere.

The gradient of U and V alone has terms 1 / (s_i - s_j), infinite where two stretches agree, as they do in every body at
rest. Those of f have a limit there, (g_i - g_j) / (s_i - s_j) -> dg_i/ds_i - dg_i/ds_j (Stomakhin, Howes, Schroeder and
Teran, "Energetically Consistent Invertible Elasticity", SCA 2012, section 5), which is what is used.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.rotation_svd import RotationSVD, rotation_svd
from sciml.kernels.small_product import small_product

Principal = Callable[[Float[Tensor, "*batch d"]], Float[Tensor, "*batch d"]]
"""Maps the stretches to as many values, without a preferred order: g of permuted stretches is g permuted."""


def isotropic(matrix: Float[Tensor, "*batch d d"], *functions: Principal) -> list[Float[Tensor, "*batch d d"]]:
    """U diag(g(s)) V^T for each of ``functions``, from one decomposition M = U diag(s) V^T with rotations U and V.

    Differentiable once, with respect to the matrix and to whatever the functions hold; second derivatives are wrong.
    """
    svd = rotation_svd(matrix)
    if not (torch.is_grad_enabled() and matrix.requires_grad):
        return [_assemble(svd, torch.diag_embed(function(svd.stretches))) for function in functions]
    # In the frame of U and V, held fixed, dM is U^T dM V: its diagonal is ds, the rest turns U and V.
    inner = small_product(small_product(svd.left.mT, matrix), svd.right)
    stretches = inner.diagonal(dim1=-2, dim2=-1)
    return [_assemble(svd, _inner(function, svd.stretches, stretches, inner)) for function in functions]


def _assemble(svd: RotationSVD, inner: Tensor) -> Tensor:
    return small_product(small_product(svd.left, inner), svd.right.mT)


def _inner(function: Principal, fixed: Tensor, stretches: Tensor, inner: Tensor) -> Tensor:
    """diag(g(s)) with the derivative of f along the off-diagonal part of ``inner`` (whose value is zero)."""
    values, jacobian = _jacobian(function, fixed)
    rows, columns = fixed[..., :, None], fixed[..., None, :]
    gaps, sums = rows - columns, rows + columns
    scale = fixed.abs().amax(-1)[..., None, None].clamp_min(torch.finfo(fixed.dtype).tiny)
    near = gaps.abs() < torch.finfo(fixed.dtype).eps ** (1 / 3) * scale
    slope = jacobian.diagonal(dim1=-2, dim2=-1)[..., :, None] - jacobian
    limit = (slope + slope.mT) / 2
    quotient = (values[..., :, None] - values[..., None, :]) / torch.where(near, 1.0, gaps)
    symmetric = torch.where(near, limit, quotient)
    # s_i + s_j = 0 only where an element is inverted through a mirror image of itself.
    floor = torch.finfo(fixed.dtype).eps * scale
    twist = (values[..., :, None] + values[..., None, :]) / torch.where(sums.abs() < floor, floor, sums)
    off = symmetric * (inner + inner.mT) / 2 + twist * (inner - inner.mT) / 2
    diagonal = torch.eye(fixed.shape[-1], dtype=torch.bool, device=fixed.device)
    return torch.diag_embed(function(stretches)) + torch.where(diagonal, 0.0, off - off.detach())


@torch.enable_grad()
def _jacobian(function: Principal, fixed: Tensor) -> tuple[Tensor, Tensor]:
    """g(s) (..., d) and dg_i/ds_j (..., d, d), detached."""
    point = fixed.detach().requires_grad_()
    values = function(point)
    if not values.requires_grad:
        return values, values.new_zeros(*values.shape, values.shape[-1])
    size = values.shape[-1]
    rows = [
        torch.autograd.grad(values[..., i].sum(), point, retain_graph=i + 1 < size, allow_unused=True)[0]
        for i in range(size)
    ]
    filled = [torch.zeros_like(point) if row is None else row for row in rows]
    return values.detach(), torch.stack(filled, dim=-2)
