"""From the solver's grid to the stored one."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor


def average(field: Float[Tensor, "*shape"], factor: int, dimensions: int) -> Float[Tensor, "*coarse"]:
    """Means over blocks of ``factor`` cells along each of the last ``dimensions`` axes: exact for finite volumes."""
    for axis in range(-dimensions, 0):
        field = field.unflatten(axis, (field.shape[axis] // factor, factor)).mean(dim=axis)
    return field


def truncate(field: Float[Tensor, "*shape"], factor: int, dimensions: int) -> Float[Tensor, "*coarse"]:
    """The Fourier interpolant with the modes that the coarse grid cannot carry left out, at the coarse nodes.

    Exact for periodic fields without those modes. The coarse grid's Nyquist modes, whose sign it cannot tell, are
    dropped too. The mean is kept.
    """
    if factor == 1:
        return field
    axes = tuple(range(-dimensions, 0))
    sizes = [field.shape[axis] // factor for axis in axes]
    modes = torch.fft.fftn(field, dim=axes)
    for axis, size in zip(axes, sizes):
        modes = torch.where(_kept(modes, axis, size), modes, torch.zeros_like(modes))
        modes = modes.index_select(axis, _low(modes, axis, size))
    return torch.fft.ifftn(modes, dim=axes).real / factor**dimensions


def _low(modes: Tensor, axis: int, size: int) -> Tensor:
    """Where the coarse grid's modes lie among the fine grid's, along one axis."""
    frequencies = torch.arange(size, device=modes.device)
    return torch.where(frequencies < (size + 1) // 2, frequencies, frequencies + modes.shape[axis] - size)


def _kept(modes: Tensor, axis: int, size: int) -> Tensor:
    """Whether a mode lies strictly below the coarse Nyquist frequency, shaped to broadcast against ``modes``."""
    n = modes.shape[axis]
    index = torch.arange(n, device=modes.device)
    kept = torch.minimum(index, n - index) * 2 < size
    return kept.reshape(-1, *([1] * (-axis - 1)))
