"""Jacobians of vector fields, sample by sample, and linear systems I - shift J with them.

Samples do not see each other, so the Jacobian of a whole batch is block diagonal: n products with all samples at once
give all blocks. Nothing here builds a matrix over the batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from jaxtyping import Float
from torch import Tensor

from .elimination import SMALL, Elimination, Solved
from .flat import RowField

LOOPED = 16
"""Up to this dimension the rows of a Jacobian are computed in a loop, beyond it by vmap, whose start costs more."""


class Factor(Protocol):
    """The matrices I - shift J of all samples, ready to be solved with."""

    def solve(self, v: Tensor) -> Solved:
        """(I - shift J)^-1 v for v of shape (batch, n)."""
        ...

    def precondition(self, v: Tensor, adjoint: bool) -> Tensor:
        """Roughly the same, or with the adjoint matrix, at no evaluation of the field."""
        ...


class Linearisation(Protocol):
    """The Jacobian at one point."""

    @property
    def evaluations(self) -> int:
        """Evaluations of the field that it cost."""
        ...

    def factor(self, shift: Tensor) -> Factor:
        """I - shift J for ``shift`` (batch,), real or complex."""
        ...


class LinearSolver(Protocol):
    """How an implicit scheme solves its linear systems: ``Dense()`` or ``GMRES()``."""

    def linearise(self, field: RowField, t: Tensor, y: Tensor) -> Linearisation:
        """The Jacobian of ``field`` at (t, y)."""
        ...


class Dense:
    """Dense Jacobians and their LU factors, for states of up to some hundreds of numbers.

    Args:
        jacobian: ``(t, y) -> (batch, n, n)``, entry i, j the derivative of slope i by y_j, with n the numbers of a
            sample in the order of ``y.flatten(1)``; complex for a holomorphic field of a complex state. None to
            differentiate the field, which costs as much as n evaluations and is counted so.
    """

    def __init__(self, jacobian: Callable[[Tensor, Tensor], Tensor] | None = None) -> None:
        self.jacobian = jacobian

    def linearise(self, field: RowField, t: Tensor, y: Tensor) -> DenseLinearisation:
        """The Jacobian at (t, y); a gradient does not flow into it.

        Raises:
            ValueError: the user's Jacobian is of another shape.
        """
        if self.jacobian is None:
            return DenseLinearisation(jacobian(field, t, y), evaluations=y.shape[1])
        with torch.no_grad():
            return DenseLinearisation(_checked(self.jacobian(t, field.layout.restore(y)), y), evaluations=1)


@dataclass(frozen=True)
class DenseLinearisation:
    """Jacobians (batch, n, n)."""

    matrix: Tensor
    evaluations: int

    def factor(self, shift: Tensor) -> Factor:
        eye = torch.eye(self.matrix.shape[1], dtype=self.matrix.dtype, device=self.matrix.device)
        scale = shift.to(self.matrix.dtype.to_complex() if shift.is_complex() else self.matrix.dtype)
        matrix = eye - scale[:, None, None] * self.matrix
        if torch.compiler.is_compiling() and matrix.shape[1] <= SMALL and not matrix.is_complex():
            return Elimination.of(matrix)
        lu, pivots, _ = torch.linalg.lu_factor_ex(matrix)  # a singular one gives infinities: the step is rejected
        return DenseFactor(lu, pivots)


@dataclass(frozen=True)
class DenseFactor:
    """LU factors (batch, n, n)."""

    lu: Tensor
    pivots: Tensor

    def solve(self, v: Tensor) -> Solved:
        return Solved(self.precondition(v, adjoint=False))

    def precondition(self, v: Tensor, adjoint: bool) -> Tensor:
        columns = v.to(self.lu.dtype)[..., None]
        return torch.linalg.lu_solve(self.lu, self.pivots, columns, adjoint=adjoint)[..., 0]


def jacobian(
    field: Callable[[Tensor, Tensor], Tensor], t: Float[Tensor, " batch"], y: Float[Tensor, "batch n"]
) -> Float[Tensor, "batch n n"]:
    """The derivative of slope i by y_j of every sample, without a graph."""
    size = y.shape[1]
    eye = torch.eye(size, dtype=y.dtype, device=y.device)
    if torch.compiler.is_compiling():
        columns = [torch.func.jvp(lambda rows: field(t, rows), (y,), (e.expand_as(y).contiguous(),))[1] for e in eye]
        return torch.stack(columns, dim=2)
    if size > LOOPED:
        pull = torch.func.vjp(lambda rows: field(t, rows), y.detach())[1]
        rows = torch.func.vmap(pull, out_dims=1)(eye[:, None].expand(size, *y.shape))[0]
        return rows.detach()
    pull = _pull_back(field, t, y)
    return torch.stack([pull(row.expand_as(y)) for row in eye], dim=1)


def transformed(tensor: Tensor) -> bool:
    """Whether torch.func transforms the computation of this tensor: then autograd's own functions refuse to work."""
    try:
        tensor.detach().requires_grad_()
    except RuntimeError:
        return True
    return False


def _pull_back(field: Callable[[Tensor, Tensor], Tensor], t: Tensor, y: Tensor) -> Callable[[Tensor], Tensor]:
    """Products of row vectors with the Jacobian: by autograd, or inside torch.func by that, at twice the cost."""
    if transformed(y):
        pull = torch.func.vjp(lambda rows: field(t, rows), y.detach())[1]
        return lambda v: pull(v)[0].detach()
    leaf = y.detach().requires_grad_()
    with torch.enable_grad():
        slope = field(t, leaf)
    if not slope.requires_grad:
        return torch.zeros_like

    def product(v: Tensor) -> Tensor:
        (row,) = torch.autograd.grad(slope, leaf, v, retain_graph=True, allow_unused=True, materialize_grads=True)
        return row

    return product


def _checked(matrix: Tensor, y: Tensor) -> Tensor:
    """The user's Jacobian, acting on real rows."""
    batch, size = y.shape
    if isinstance(matrix, Tensor) and matrix.is_complex() and matrix.shape == (batch, size // 2, size // 2):
        real, imag = matrix.real, matrix.imag
        blocks = torch.stack([torch.stack([real, -imag], dim=-1), torch.stack([imag, real], dim=-1)], dim=-2)
        return blocks.permute(0, 1, 3, 2, 4).reshape(batch, size, size).to(y.dtype)
    if not isinstance(matrix, Tensor) or matrix.shape != (batch, size, size):
        came = tuple(matrix.shape) if isinstance(matrix, Tensor) else type(matrix).__name__
        raise ValueError(
            f"Expected jacobian(t, y) of shape ({batch}, {size}, {size}), one matrix a sample, got {came}. "
            "Entry [b, i, j] is the derivative of slope i by y_j of sample b; without it the field is differentiated."
        )
    return matrix.to(y.dtype)
