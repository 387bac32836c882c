"""Species that react and diffuse, u_t = D laplace u + R(u), in one, two or three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..exponential import Semilinear
from ..spectral import PeriodicGrid
from .boundary import Boundaries, Neumann, divergence_of_flux
from .parameter import register


class GrayScott(nn.Module):
    """The reaction (-u v^2 + feed (1 - u), u v^2 - (feed + kill) v).

    Source: P. Gray, S. K. Scott, Chem. Eng. Sci. 38 (1983), scaled as in J. E. Pearson, "Complex patterns in a simple
    system", Science 261 (1993), eq. 2. Calling it maps species (batch, 2, *space) to their rates.

    Args:
        feed, kill: rates, numbers or (batch,).
    """

    feed: Tensor
    kill: Tensor

    def __init__(self, feed: float | Tensor, kill: float | Tensor) -> None:
        super().__init__()
        register(self, feed=feed, kill=kill)

    def forward(self, y: Float[Tensor, "batch 2 *space"]) -> Float[Tensor, "batch 2 *space"]:
        u, v = y.split(1, dim=1)
        feed, kill = _shaped(self.feed, y), _shaped(self.kill, y)
        converted = u * v * v
        return torch.cat([feed * (1 - u) - converted, converted - (feed + kill) * v], dim=1)


class AllenCahn(nn.Module):
    """The reaction rate (u - u^3) of one order parameter, that separates into the phases -1 and 1.

    Source: S. M. Allen, J. W. Cahn, "A microscopic theory for antiphase boundary motion", Acta Metall. 27 (1979).
    With a diffusivity D interfaces are sqrt(2 D / rate) wide. Calling it maps (batch, 1, *space) to its rate of change.

    Args:
        rate: a number or (batch,).
    """

    rate: Tensor

    def __init__(self, rate: float | Tensor = 1.0) -> None:
        super().__init__()
        register(self, rate=rate)

    def forward(self, y: Float[Tensor, "batch 1 *space"]) -> Float[Tensor, "batch 1 *space"]:
        return _shaped(self.rate, y) * (y - y * y * y)


class FitzHughNagumo(nn.Module):
    """The reaction (u - u^3 - threshold - v, u - v) of an excitable medium.

    Source: R. FitzHugh, Biophys. J. 1 (1961), scaled as in M. Takamoto et al., "PDEBench: an extensive benchmark for
    scientific machine learning" (2022), appendix D.4. Calling it maps species (batch, 2, *space) to their rates.

    Args:
        threshold: k, a number or (batch,); PDEBench has 5e-3.
    """

    threshold: Tensor

    def __init__(self, threshold: float | Tensor = 5e-3) -> None:
        super().__init__()
        register(self, threshold=threshold)

    def forward(self, y: Float[Tensor, "batch 2 *space"]) -> Float[Tensor, "batch 2 *space"]:
        u, v = y.split(1, dim=1)
        return torch.cat([u - u * u * u - _shaped(self.threshold, y) - v, u - v], dim=1)


class ReactionDiffusion(nn.Module):
    """The semilinear equation on a periodic box, for ``ExponentialRungeKutta(ReactionDiffusion(...), ETDRK4)``.

    Args:
        reaction: maps species (batch, channel, *space) to their rates: ``GrayScott``, ``AllenCahn``,
            ``FitzHughNagumo``, or a module.
        diffusivity: of the species, (channel,) or per sample (batch, channel).
        length: of the box, one for all axes or one for each.
        degree: of the reaction as a polynomial. All wave numbers that it would alias onto are left out, N / 4 and above
            for the cubic ones; 1 keeps all and lets them alias, which smooth patterns bear well.
    """

    diffusivity: Tensor

    def __init__(
        self,
        reaction: nn.Module,
        diffusivity: Sequence[float] | Tensor,
        *,
        length: float | Sequence[float] = 1.0,
        degree: int = 3,
    ) -> None:
        super().__init__()
        exact = diffusivity if isinstance(diffusivity, Tensor) else torch.tensor(diffusivity, dtype=torch.float64)
        self.reaction = reaction
        register(self, diffusivity=exact)
        self.length, self.degree = length, degree

    def grid(self, y: Float[Tensor, "batch channel *space"]) -> PeriodicGrid:
        """The grid of a state.

        Raises:
            ValueError: y has no space axis or another number of species than the diffusivity.
        """
        _check_species(y, self.diffusivity)
        return PeriodicGrid.of(y, self.length, self.degree)

    def on(self, grid: PeriodicGrid) -> Semilinear:
        """The equation on a grid."""

        def reaction(t: Tensor, coefficients: Tensor) -> Tensor:
            return grid.forward(self.reaction(grid.inverse(coefficients)))

        diffusivity = _per_channel(self.diffusivity, grid.laplacian).to(grid.device, grid.dtype)
        return Semilinear(diffusivity * grid.laplacian, reaction)


class ReactionDiffusionCells(nn.Module):
    """The vector field on cells between boundaries, for ``RungeKutta``; of second order in space.

    PDEBench's problem is ``ReactionDiffusionCells(FitzHughNagumo(), (1e-3, 5e-3), spacing=2 / 128)``.

    Args:
        reaction, diffusivity: as in ``ReactionDiffusion``.
        spacing: of the cells, one for all axes or one for each.
        boundary: one for all axes or one for each; by default nothing passes.
    """

    diffusivity: Tensor

    def __init__(
        self,
        reaction: nn.Module,
        diffusivity: Sequence[float] | Tensor,
        *,
        spacing: float | Sequence[float],
        boundary: Boundaries = Neumann(),  # noqa: B008 (a frozen value)
    ) -> None:
        super().__init__()
        exact = diffusivity if isinstance(diffusivity, Tensor) else torch.tensor(diffusivity, dtype=torch.float64)
        self.reaction = reaction
        register(self, diffusivity=exact)
        self.spacing, self.boundary = spacing, boundary

    def forward(
        self, t: Float[Tensor, " batch"], y: Float[Tensor, "batch channel *space"]
    ) -> Float[Tensor, "batch channel *space"]:
        """The time derivative.

        Raises:
            ValueError: y has no space axis or another number of species than the diffusivity.
        """
        _check_species(y, self.diffusivity)
        diffusion = divergence_of_flux(y, None, self.boundary, self.spacing)
        return _per_channel(self.diffusivity, y[0, 0]).to(y) * diffusion + self.reaction(y)


def _shaped(rate: Tensor, y: Tensor) -> Tensor:
    return rate.to(y).reshape(-1, *([1] * (y.dim() - 1)))


def _per_channel(diffusivity: Tensor, space: Any) -> Tensor:
    """(channel,) or (batch, channel) as (batch or 1, channel, 1, ...)."""
    rows = diffusivity[None] if diffusivity.dim() == 1 else diffusivity
    return rows.reshape(*rows.shape, *([1] * space.dim()))


def _check_species(y: Tensor, diffusivity: Tensor) -> None:
    if y.dim() < 3 or diffusivity.dim() not in (1, 2) or y.shape[1] != diffusivity.shape[-1]:
        raise ValueError(
            f"Expected y of shape (batch, channel, *space) with one species for each entry of diffusivity, "
            f"(channel,) or (batch, channel), got y {tuple(y.shape)} and diffusivity {tuple(diffusivity.shape)}."
        )
