"""TayNODE: the squared K-th time derivative along the solution, integrated with it.

Source: J. Kelly, J. Bettencourt, M. Johnson, D. Duvenaud, "Learning Differential Equations that are Easy to Solve",
NeurIPS 2020, equation 1. There Taylor-mode differentiation makes the cost quadratic in K; here the derivatives are
nested Jacobian-vector products, which serve any vector field and cost 2^K: use K = 2 or 3.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

Field = Callable[[Tensor, Tensor], Tensor]


class TaylorEnergy(nn.Module):
    """The vector field of (y, r) with r' = mean over the state of (d^K y / dt^K)^2; start r at zeros (batch,).

    Args:
        vector_field: of y alone, (t, y) -> dy/dt, y a tensor (batch, ...).
        order: K, the derivative that is penalised, at least 1.

    Raises:
        ValueError: ``order`` is below 1.
    """

    def __init__(self, vector_field: Field, *, order: int = 2) -> None:
        super().__init__()
        if order < 1:
            raise ValueError(f"Expected order >= 1, got {order}.")
        self.vector_field, self.order = vector_field, order

    def forward(
        self, t: Float[Tensor, " batch"], state: tuple[Tensor, Float[Tensor, " batch"]]
    ) -> tuple[Tensor, Float[Tensor, " batch"]]:
        slope, highest = _slope_and_derivative(self.vector_field, self.order, t, state[0])
        return slope, highest.square().flatten(1).mean(dim=1)

    @staticmethod
    def initial(y0: Tensor) -> tuple[Tensor, Float[Tensor, " batch"]]:
        """The state to start from."""
        return y0, y0.new_zeros(len(y0))


def time_derivative(vector_field: Field, order: int) -> Field:
    """``(t, y) -> d^order y / dt^order`` along the solution through (t, y) of y' = vector_field(t, y)."""
    if order == 1:
        return vector_field
    lower = time_derivative(vector_field, order - 1)
    return lambda t, y: _along(lower, t, y, vector_field(t, y))


def _slope_and_derivative(vector_field: Field, order: int, t: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
    slope = vector_field(t, y)
    if order == 1:
        return slope, slope
    return slope, _along(time_derivative(vector_field, order - 1), t, y, slope)


def _along(function: Field, t: Tensor, y: Tensor, slope: Tensor) -> Tensor:
    """The derivative of ``function`` in the direction in which (t, y) moves."""
    # Forward differentiation refuses expanded tensors, such as a clock that all samples share.
    return torch.func.jvp(function, (t.contiguous(), y.contiguous()), (torch.ones_like(t), slope))[1]
