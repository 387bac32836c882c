"""Gradients of what a residual defines implicitly, whatever found it.

Where r(x, p) = 0, dx = -(dr/dx)^-1 (dr/dp) dp. The root is found without a graph; one evaluation of the residual
there, with a graph, gives dr/dp, and one linear solve in the backward pass the rest: neither memory nor gradient
depends on the iterations.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .jacobian import jacobian, transformed
from .krylov import gmres


def implicit(
    root: Tensor,
    residual: Callable[[Tensor], Tensor],
    precondition: Callable[[Tensor, bool], Tensor],
    *,
    derivatives: int = 1,
) -> Tensor:
    """``root`` unchanged, with the derivatives that residual(root) = 0 gives it.

    Args:
        root: (batch, n) with residual(root) = 0 about.
        residual: of rows (batch, n), sample by sample; dr/dx near minus the identity where nothing is stiff.
        precondition: ``(v, adjoint) -> about -(dr/dx)^-1 v``, or its adjoint.
        derivatives: how many orders of derivatives are exact; each costs one evaluation of the residual. (A Newton
            step with a frozen matrix has the right first derivative; two of them have the right second one.)
    """
    value = root.detach()
    if transformed(root):
        return _by_matrix(value, residual, derivatives)
    system = _System(residual, value, precondition)
    for _ in range(derivatives):
        value = value + _Correction.apply(residual(value), system)
    return value


def _by_matrix(root: Tensor, residual: Callable[[Tensor], Tensor], derivatives: int) -> Tensor:
    """The same under torch.func, whose levels our autograd functions would mix up: with the matrix -(dr/dx)."""
    matrix = -jacobian(lambda _, rows: residual(rows), root[:, 0], root)
    lu, pivots, _ = torch.linalg.lu_factor_ex(matrix)
    value = root
    for _ in range(derivatives):
        remainder = residual(value)
        remainder = remainder - remainder.detach() if value is root else remainder
        value = value + torch.linalg.lu_solve(lu, pivots, remainder[..., None])[..., 0]
    return value


class _System:
    """Solves with -(dr/dx) at the root, or with its adjoint, to rounding."""

    def __init__(
        self,
        residual: Callable[[Tensor], Tensor],
        root: Tensor,
        precondition: Callable[[Tensor, bool], Tensor],
    ) -> None:
        self.residual, self.root, self.precondition = residual, root, precondition

    @torch.no_grad()
    def solve(self, v: Tensor, adjoint: bool) -> Tensor:
        if adjoint:
            pull = torch.func.vjp(self.residual, self.root)[1]
            product = lambda w: -pull(w)[0]  # noqa: E731
        else:
            product = lambda w: -torch.func.jvp(self.residual, (self.root,), (w,))[1]  # noqa: E731
        rtol = torch.finfo(v.dtype).eps ** 0.8
        return gmres(product, v, rtol=rtol, precondition=lambda w: self.precondition(w, adjoint), restarts=10).x


class _Correction(torch.autograd.Function):
    """The Newton correction of a root: nothing, but for its derivative."""

    @staticmethod
    def forward(remainder: Tensor, system: _System) -> Tensor:
        return torch.zeros_like(remainder)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        ctx.system = inputs[1]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        return _Solve.apply(grad, ctx.system, True), None


class _Solve(torch.autograd.Function):
    """A linear solve with the system or its adjoint; its own derivative is the other one."""

    @staticmethod
    def forward(v: Tensor, system: _System, adjoint: bool) -> Tensor:
        return system.solve(v, adjoint)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, ctx.system, ctx.adjoint = inputs

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        return _Solve.apply(grad, ctx.system, not ctx.adjoint), None, None
