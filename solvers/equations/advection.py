"""Linear advection, u_t + velocity . grad u = 0, on a periodic box in any number of dimensions."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ..spectral import PeriodicGrid
from ..stepper import Step
from .parameter import register


class Advection(nn.Module):
    """A stepper that shifts the state's trigonometric interpolant by velocity dt, exactly for any dt.

    Between grid points the Nyquist mode of an even number of points has no defined shift; its amplitude follows the
    real part, cos(k velocity dt). States are (batch, channel, *space).

    Args:
        velocity: of one axis: a number or (batch,); of d axes: (d,) alike for all samples or (batch, d).
        length: of the box, one for all axes or one for each.
    """

    velocity: Tensor

    def __init__(self, velocity: float | Sequence[float] | Tensor, *, length: float | Sequence[float] = 1.0) -> None:
        super().__init__()
        exact = velocity if isinstance(velocity, Tensor) else torch.tensor(velocity, dtype=torch.float64)
        register(self, velocity=exact)
        self.length = length

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Float[Tensor, "batch channel *space"]
    ) -> Step:
        """One step.

        Raises:
            ValueError: the velocity is not shaped for y.
        """
        grid = PeriodicGrid.of(y, self.length)
        shift = self._velocity_of(y) * dt[:, None].to(y.dtype)
        coefficients = torch.fft.rfftn(y, s=grid.shape, dim=tuple(range(2, y.dim())))
        for axis, (points, length) in enumerate(zip(grid.shape, grid.lengths)):
            coefficients = coefficients * self._phase(shift[:, axis], axis, points, length, y)
        return Step(y=torch.fft.irfftn(coefficients, s=grid.shape, dim=tuple(range(2, y.dim()))))

    def _velocity_of(self, y: Tensor) -> Tensor:
        """The velocity as (batch or 1, axes)."""
        velocity, axes = self.velocity.to(y), y.dim() - 2
        velocity = velocity.reshape(-1, 1) if axes == 1 and velocity.dim() < 2 else velocity
        velocity = velocity[None] if velocity.dim() == 1 else velocity
        if velocity.dim() != 2 or velocity.shape[0] not in (1, len(y)) or velocity.shape[1] != axes:
            raise ValueError(
                f"Expected velocity of shape ({axes},) or ({len(y)}, {axes}) for y of shape {tuple(y.shape)}, "
                f"got {tuple(self.velocity.shape)}."
            )
        return velocity

    @staticmethod
    def _phase(shift: Tensor, axis: int, points: int, length: float, y: Tensor) -> Tensor:
        """exp(-i k shift) along one axis, (batch, 1, ..., modes, ..., 1)."""
        last = axis == y.dim() - 3
        modes = (torch.fft.rfftfreq if last else torch.fft.fftfreq)(points, d=1 / points, device=y.device)
        angle = (2 * math.pi / length) * modes.to(y.dtype) * shift[:, None]
        nyquist = 2 * modes.abs() == points
        phase = torch.complex(torch.cos(angle), torch.where(nyquist, torch.zeros_like(angle), -torch.sin(angle)))
        shape = [1] * y.dim()
        shape[0], shape[axis + 2] = phase.shape
        return phase.reshape(shape)
