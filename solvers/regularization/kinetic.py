"""Kinetic energy and the Jacobian's Frobenius norm, integrated along the solution.

Source: C. Finlay, J.-H. Jacobsen, L. Nurbekyan, A. Oberman, "How to Train Your Neural ODE: the World of Jacobian and
Kinetic Regularization", ICML 2020, equations 10 and 11. The norm is estimated by one random direction a solve (M. F.
Hutchinson, 1990): E |eps^T J|^2 = |J|_F^2 for eps of independent entries of variance 1.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

KineticState = tuple[Tensor, Float[Tensor, " batch"], Float[Tensor, " batch"]]


class KineticEnergy(nn.Module):
    """The vector field of (y, k, j): k' = mean of dy/dt squared, j' = |eps^T J|^2 over the size of y.

    ``solve(RungeKutta(KineticEnergy(field), TSIT5), KineticEnergy.initial(y0), ts, ..., args=(PerSample(direction),))``

    Args:
        vector_field: of y alone, (t, y) -> dy/dt, y a tensor (batch, ...).
    """

    def __init__(self, vector_field: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.vector_field = vector_field

    def forward(self, t: Float[Tensor, " batch"], state: KineticState, direction: Tensor) -> KineticState:
        """``direction``: eps, of y's shape, the same throughout a solve."""
        outcome = torch.func.vjp(lambda y: self.vector_field(t, y), state[0])
        slope, pull = outcome[0], outcome[1]
        (product,) = pull(direction)
        return slope, slope.square().flatten(1).mean(dim=1), product.square().flatten(1).mean(dim=1)

    @staticmethod
    def initial(y0: Tensor) -> KineticState:
        """The state to start from."""
        zeros = y0.new_zeros(len(y0))
        return y0, zeros, zeros

    @staticmethod
    def direction(y0: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Random signs of y0's shape."""
        device = y0.device if generator is None else generator.device
        signs = torch.randint(0, 2, y0.shape, generator=generator, device=device).to(y0.device)
        return (2 * signs - 1).to(y0.dtype)
