"""Cheap approximations of a matrix's inverse, for Krylov methods."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias, runtime_checkable

import torch
from torch import Tensor

from sciml.kernels.linear.matrix import Matrix
from sciml.kernels.linear.sweeps import Sweeper, precondition

Apply: TypeAlias = Callable[[Tensor], Tensor]
"""r (batch, *shape) to M^-1 r."""


@runtime_checkable
class Preconditioner(Protocol):
    """``preconditioner(matrix)`` is done once for a solve, what it returns once for each iteration; for conjugate
    gradients it has to be symmetric and positive definite."""

    def __call__(self, matrix: Matrix) -> Apply: ...


class Diagonal:
    """M = D, of Jacobi."""

    def __call__(self, matrix: Matrix) -> Apply:
        """See ``Preconditioner``."""
        diagonal = matrix.diagonal.detach()
        return lambda r: r / diagonal


class SSORPreconditioner:
    """M = omega / (2 - omega) (D / omega + L) D^-1 (D / omega + L^T), of symmetric successive over-relaxation.

    Args:
        omega: between 0 and 2.
        red_black: with the unknowns colour by colour: then omega has little effect, and 1 is best.

    Raises:
        ValueError: omega outside (0, 2).
    """

    def __init__(self, omega: float = 1.0, *, red_black: bool = False) -> None:
        if not 0 < omega < 2:
            raise ValueError(f"Expected 0 < omega < 2, got {omega}.")
        self.omega, self.red_black = omega, red_black

    def __call__(self, matrix: Matrix) -> Apply:
        """See ``Preconditioner``."""
        if matrix.device.type == "cpu":
            return lambda r: precondition(matrix, r, self._each(r), colours=self.red_black)
        sweeper = Sweeper(matrix, colours=self.red_black)
        return lambda r: sweeper.given(sweeper.precondition(sweeper.taken(r), self._each(r)))

    def _each(self, r: Tensor) -> Tensor:
        return torch.full((len(r),), self.omega, dtype=torch.float64, device=r.device)
