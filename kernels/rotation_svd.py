"""Singular value decomposition of many 2x2 or 3x3 matrices with rotations on both sides.

M = U diag(s) V^T with det U = det V = 1, s[0] >= s[1] >= |s[2]|; the smallest singular value has the sign of det M.
It is the form that solid mechanics wants: an inverted element shows as a negative stretch, never as a reflection.

2x2 in closed form (Blinn, "Consider the lowly 2x2 matrix", IEEE CG&A 1996); 3x3 by one-sided Jacobi rotations
(Hestenes, SIAM J. 6, 1958), elementwise over the batch and accurate for small singular values too.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

_SWEEPS = {torch.float64: 6, torch.float32: 5}
"""Convergence is quadratic: random matrices reach rounding one sweep earlier."""


class RotationSVD(NamedTuple):
    """``left`` U (..., d, d), ``stretches`` s (..., d) descending, ``right`` V (..., d, d): M = U diag(s) V^T."""

    left: Tensor
    stretches: Tensor
    right: Tensor


@torch.no_grad()
def rotation_svd(matrix: Float[Tensor, "*batch d d"]) -> RotationSVD:
    """Decompose float32 or float64 matrices, d = 2 or 3; no gradient flows (see ``isotropic``).

    NaN or infinity in a matrix gives NaN for that one.

    Raises:
        ValueError: another shape or dtype.
    """
    size = matrix.shape[-1] if matrix.dim() >= 2 else 0
    if size not in (2, 3) or matrix.shape[-2] != size or matrix.dtype not in _SWEEPS:
        raise ValueError(
            f"Expected float32 or float64 matrices (..., 2, 2) or (..., 3, 3), got {tuple(matrix.shape)}, "
            f"{matrix.dtype}."
        )
    scale = matrix.abs().amax(dim=(-2, -1))  # so that squares neither overflow nor vanish
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    left, stretches, right = (_svd2 if size == 2 else _svd3)(matrix / scale[..., None, None])
    return RotationSVD(left, stretches * scale[..., None], right)


def _svd2(matrix: Tensor) -> RotationSVD:
    (a, b), (c, d) = (row.unbind(-1) for row in matrix.unbind(-2))
    same = torch.stack([a + d, c - b], dim=-1) / 2  # the part that is a rotation times a number
    anti = torch.stack([a - d, c + b], dim=-1) / 2  # the part that is a reflection times a number
    large = same.norm(dim=-1) + anti.norm(dim=-1)
    small = (a * d - b * c) / torch.where(large > 0, large, torch.ones_like(large))
    turn_same, turn_anti = torch.atan2(same[..., 1], same[..., 0]), torch.atan2(anti[..., 1], anti[..., 0])
    left, right = _rotation((turn_same + turn_anti) / 2), _rotation((turn_anti - turn_same) / 2)
    return RotationSVD(left, torch.stack([large, small], dim=-1), right)


def _rotation(angle: Tensor) -> Tensor:
    cos, sin = angle.cos(), angle.sin()
    return torch.stack([torch.stack([cos, -sin], dim=-1), torch.stack([sin, cos], dim=-1)], dim=-2)


def _svd3(matrix: Tensor) -> RotationSVD:
    columns = list(matrix.unbind(-1))
    turns = list(torch.eye(3, dtype=matrix.dtype, device=matrix.device).expand(matrix.shape).unbind(-1))
    for _ in range(_SWEEPS[matrix.dtype]):
        for p, q in ((0, 1), (0, 2), (1, 2)):
            cos, sin = _jacobi(columns[p], columns[q])
            for pair in (columns, turns):
                pair[p], pair[q] = cos * pair[p] - sin * pair[q], sin * pair[p] + cos * pair[q]
    for p, q in ((0, 1), (1, 2), (0, 1)):
        _order(columns, turns, p, q)
    first = _unit(columns[0], torch.tensor([1.0, 0.0, 0.0]))
    along = (first * columns[1]).sum(-1, keepdim=True)
    second = _unit(columns[1] - along * first, _perpendicular(first))
    third = torch.linalg.cross(first, second)
    left = torch.stack([first, second, third], dim=-1)
    stretches = torch.stack([(u * column).sum(-1) for u, column in zip((first, second, third), columns)], dim=-1)
    return RotationSVD(left, stretches, torch.stack(turns, dim=-1))


def _jacobi(first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
    """cos and sin (..., 1) of the rotation that makes two columns orthogonal."""
    product = (first * second).sum(-1, keepdim=True)
    difference = second.square().sum(-1, keepdim=True) - first.square().sum(-1, keepdim=True)
    # tan t solves t^2 + (difference / product) t = 1, the root of smaller modulus; written to have no 0 / 0.
    root = torch.hypot(difference, 2 * product)
    denominator = difference.abs() + root
    tangent = 2 * product * torch.where(difference < 0, -1.0, 1.0)
    tangent = torch.where(denominator > 0, tangent / denominator, torch.zeros_like(tangent))
    cos = torch.rsqrt(1 + tangent.square())
    return cos, cos * tangent


def _order(columns: list[Tensor], turns: list[Tensor], p: int, q: int) -> None:
    """Put the longer column first; the sign keeps the determinants."""
    swap = columns[p].square().sum(-1, keepdim=True) < columns[q].square().sum(-1, keepdim=True)
    for pair in (columns, turns):
        pair[p], pair[q] = torch.where(swap, pair[q], pair[p]), torch.where(swap, -pair[p], pair[q])


def _unit(vector: Tensor, otherwise: Tensor) -> Tensor:
    """The direction of a vector, or another one where it is zero."""
    length = vector.norm(dim=-1, keepdim=True)
    found = vector / torch.where(length > 0, length, torch.ones_like(length))
    return torch.where(length > torch.finfo(vector.dtype).tiny, found, otherwise.to(vector))


def _perpendicular(unit: Tensor) -> Tensor:
    """Some direction at right angles to a unit vector."""
    x, y, z = unit.unbind(-1)
    zero = torch.zeros_like(x)
    flat = torch.stack([-y, x, zero], dim=-1)
    return torch.where((z.abs() < 0.9)[..., None], _normalised(flat), _normalised(torch.stack([zero, -z, y], dim=-1)))


def _normalised(vector: Tensor) -> Tensor:
    return vector / vector.norm(dim=-1, keepdim=True).clamp_min(torch.finfo(vector.dtype).tiny)
