"""Random fields that are the same functions on every grid.

The field is drawn on a reference grid and its Fourier series summed on the one asked for: a finer solver grid, or
another stored size, starts from the same state (as far as it can carry it), so that trajectories of one seed can be
compared across resolutions.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.generation.grid import Grid
from sciml.solvers.initial import gaussian_random_field

REFERENCE = 64  # points along each axis that fields are drawn on: wave numbers up to 31


def random_field(
    generator: torch.Generator, grid: Grid, spectrum: Callable[[Tensor], Tensor]
) -> Float[Tensor, "*space"]:
    """A stationary periodic Gaussian field of zero mean and, on the reference grid, unit variance; float64.

    Args:
        generator: source of randomness.
        grid: the points.
        spectrum: relative power as a function of the angular wave number |k|.
    """
    drawn = gaussian_random_field(
        1,
        (REFERENCE,) * grid.domain.dimensions,
        spectrum=spectrum,
        generator=generator,
        length=grid.domain.lengths,
        dtype=torch.float64,
    )
    return series_on(drawn[0, 0], grid)


def series_on(reference: Float[Tensor, "*space"], grid: Grid) -> Float[Tensor, "*fine"]:
    """The Fourier interpolant of a field on the nodes of a coarse or fine grid, at the points of ``grid``."""
    modes = torch.fft.fftn(reference)
    offset = 0.5 if grid.domain.centred else 0.0
    for axis, points in enumerate(reference.shape):
        kept = (min(points, grid.size) - 1) // 2
        k = torch.cat([torch.arange(kept + 1), torch.arange(-kept, 0)])
        wide = torch.zeros(*modes.shape[:axis], grid.size, *modes.shape[axis + 1 :], dtype=modes.dtype)
        shift = torch.polar(torch.ones(len(k), dtype=torch.float64), 2 * math.pi * offset / grid.size * k.double())
        column = [1] * modes.dim()
        column[axis] = len(k)
        modes = wide.index_copy(axis, k % grid.size, modes.index_select(axis, k % points) * shift.reshape(column))
    return torch.fft.ifftn(modes, norm="forward").real / reference.numel()
