"""Heat conduction in a medium of variable conductivity, u_t = div(k grad u) + source, in any number of dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .boundary import Boundaries, Periodic, divergence_of_flux
from .parameter import register


class Heat(nn.Module):
    """The vector field, for ``RungeKutta(Heat(spacing=1 / 64), TSIT5)``.

    Finite volumes of second order that conserve heat but for boundaries and source. The state has the channels (u, k),
    so that the medium travels with the sample; the slope of k is zero. An explicit step must keep
    dt <= spacing^2 / (2 dims max k) times the method's real stability interval over 2.

    Args:
        spacing: of the cells, one for all axes or one for each.
        boundary: ``Periodic()``, ``Dirichlet(value)`` or ``Neumann(slope)``, one for all axes or one for each.
        source: heating rate, a field (batch or 1, 1, *space) or a function of t (batch,) that returns one.
    """

    def __init__(
        self,
        *,
        spacing: float | Sequence[float],
        boundary: Boundaries = Periodic(),  # noqa: B008 (a frozen value)
        source: Tensor | Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        super().__init__()
        self.spacing, self.boundary = spacing, boundary
        self.source: Tensor | Callable[[Tensor], Tensor] | None
        if isinstance(source, Tensor):
            register(self, source=source)
        else:
            self.source = source

    def forward(
        self, t: Float[Tensor, " batch"], y: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch channel *space"]:
        """The time derivative.

        Raises:
            ValueError: y has other than two channels.
        """
        if y.dim() < 3 or y.shape[1] != 2:
            raise ValueError(f"Expected y of shape (batch, 2, *space) with channels (u, k), got {tuple(y.shape)}.")
        u, k = y.split(1, dim=1)
        rate = divergence_of_flux(u, k, self.boundary, self.spacing)
        if self.source is not None:
            rate = rate + (self.source.to(u) if isinstance(self.source, Tensor) else self.source(t))
        return torch.cat([rate, torch.zeros_like(k)], dim=1)
