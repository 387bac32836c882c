"""A periodic field on another grid, by its Fourier series."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor


def resample(x: Float[Tensor, "batch channel *space"], size: Sequence[int]) -> Float[Tensor, "batch channel *new"]:
    """The field on another number of points along each axis: trigonometric interpolation, or truncation.

    On even grids it is what the reference of Poseidon does, the wavenumber n/2 of an even grid included, which a finer
    grid takes over at its negative frequency alone, its real part being kept. Half precision is computed in float32.
    """
    dim, dtype = x.dim() - 2, x.dtype
    axes = tuple(range(2, dim + 2))
    spectrum = torch.fft.fftn(x.float() if x.element_size() < 4 else x, dim=axes, norm="forward")
    for axis, n in zip(axes, size):
        spectrum = _resized(spectrum, axis, n)
    return torch.fft.ifftn(spectrum, dim=axes, norm="forward").real.to(dtype)


def _resized(spectrum: Tensor, axis: int, n: int) -> Tensor:
    """Frequencies -m/2 ... (m - 1)/2 of the smaller number of points m; the others are zero, or dropped."""
    old = spectrum.shape[axis]
    if n == old:
        return spectrum
    kept = min(n, old)
    positive, negative = (kept + 1) // 2, kept // 2
    low, high = spectrum.narrow(axis, 0, positive), spectrum.narrow(axis, old - negative, negative)
    shape = list(spectrum.shape)
    shape[axis] = n - kept
    return torch.cat([low, spectrum.new_zeros(shape), high], dim=axis)


def check_periodic(u: Float[Tensor, "batch channel *space"], boundary: str | None) -> None:
    """Refuse to resample a field that is not periodic, which its Fourier series would not fit.

    Where nobody knows, the field is asked: across the domain's ends a periodic one changes no more than it does
    between some neighbouring points inside.

    Raises:
        ValueError: the boundary is not periodic, or the field jumps across the domain's ends.
    """
    way_out = "Give fields of the network's own size, Poseidon(..., native=True), or boundary='periodic' if it is."
    if boundary == "open":
        raise ValueError(
            f"Expected a periodic field to resample, got boundary='open', shape {tuple(u.shape)}. {way_out}"
        )
    if boundary == "periodic" or torch.compiler.is_compiling():
        return
    with torch.no_grad():
        for axis in range(2, u.dim()):
            if u.shape[axis] < 4:
                continue
            others = [k for k in range(u.dim()) if k not in (1, axis)]
            inside = u.diff(dim=axis).square().mean(dim=others).amax(dim=1)
            across = (u.select(axis, 0) - u.select(axis, -1)).square().movedim(1, 0).flatten(1).mean(dim=1)
            if bool((across > _JUMP**2 * inside).any()):
                raise ValueError(
                    f"Expected a periodic field to resample from {tuple(u.shape[2:])}, got one that jumps across the "
                    f"ends of axis {axis}. {way_out}"
                )


_JUMP = 3.0  # times the largest change between neighbouring points inside
