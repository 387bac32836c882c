"""The viscous Burgers equation, u_t + (u^2 / 2)_x = nu u_xx, on a periodic interval.

Source: J. M. Burgers, "A mathematical model illustrating the theory of turbulence", Adv. Appl. Mech. 1 (1948).
"""

from __future__ import annotations

import torch
from jaxtyping import Complex, Float
from torch import Tensor, nn

from ..exponential import Semilinear
from ..spectral import PeriodicGrid
from .parameter import register


class Burgers(nn.Module):
    """The semilinear equation, for ``ExponentialRungeKutta(Burgers(0.01), ETDRK4)``; states are (batch, 1, width).

    A grid resolves a shock of width about 4 nu / jump; below that the solution rings.

    Args:
        viscosity: nu >= 0, a number or (batch,).
        length: of the interval.
    """

    viscosity: Tensor

    def __init__(self, viscosity: float | Tensor, *, length: float = 1.0) -> None:
        super().__init__()
        register(self, viscosity=viscosity)
        self.length = length

    def grid(self, y: Float[Tensor, "batch channel *space"]) -> PeriodicGrid:
        """The grid of a state.

        Raises:
            ValueError: y is not of shape (batch, 1, width).
        """
        if y.dim() != 3 or y.shape[1] != 1:
            raise ValueError(f"Expected y of shape (batch, 1, width), got {tuple(y.shape)}.")
        return PeriodicGrid.of(y, self.length, degree=2)

    def on(self, grid: PeriodicGrid) -> Semilinear:
        """The equation on a grid."""
        derivative = -0.5 * grid.gradient(0)

        def steepening(
            t: Float[Tensor, " batch"], coefficients: Complex[Tensor, "batch 1 modes"]
        ) -> Complex[Tensor, "batch 1 modes"]:
            return derivative * grid.forward(torch.square(grid.inverse(coefficients)))

        return Semilinear(grid.per_sample(self.viscosity) * grid.laplacian, steepening)
