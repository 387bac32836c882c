"""Fourier coefficients of real fields on periodic grids, kept only where the equation can use them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Complex, Float
from torch import Tensor


@dataclass(frozen=True)
class PeriodicGrid:
    """An equidistant periodic grid and its truncated Fourier basis, in any number of space dimensions.

    Point i of an axis lies at i * length / points. Of N points only the wave numbers |k| <= K with (degree + 1) K < N
    are kept: then no product of ``degree`` fields is aliased onto a kept mode (S. A. Orszag, "On the elimination of
    aliasing in finite-difference schemes by filtering high-wavenumber components", J. Atmos. Sci. 28 (1971); degree 2
    is the 2/3 rule). The transforms run over the kept lines alone.

    Coefficients have shape (batch, channel, *modes) with the space axes in reverse, so that every transform but the
    first runs along contiguous memory: wave numbers 0..K of the last space axis, then 0..K, -K..-1 of each one before.
    The coefficient of wave number 0 is the mean, at any resolution.

    Attributes:
        shape: points of each space axis.
        lengths: length of each space axis.
        degree: degree of the nonlinearity; 1 keeps every mode but that of Nyquist.
        dtype: of the fields, float32 or float64.
        device: of the fields.
    """

    shape: tuple[int, ...]
    lengths: tuple[float, ...]
    degree: int
    dtype: torch.dtype
    device: torch.device

    @classmethod
    def of(cls, field: Tensor, length: float | Sequence[float], degree: int = 1) -> PeriodicGrid:
        """The grid of a field (batch, channel, *space) on a box of the given length, one for all axes or one for each.

        Raises:
            ValueError: the field has no space axis or is not real, or the lengths are not positive or not one per axis.
        """
        if field.dim() < 3 or not field.is_floating_point():
            raise ValueError(
                f"Expected a real field of shape (batch, channel, *space), got {field.dtype} {tuple(field.shape)}. "
                "Add the missing axes: field[:, None] for the channel."
            )
        shape = tuple(field.shape[2:])
        lengths = (float(length),) * len(shape) if isinstance(length, (int, float)) else tuple(map(float, length))
        if len(lengths) != len(shape) or min(lengths) <= 0:
            raise ValueError(f"Expected length > 0, one for all or one for each of {len(shape)} axes, got {length}.")
        return cls(shape, lengths, degree, field.dtype, field.device)

    @cached_property
    def cutoffs(self) -> tuple[int, ...]:
        """The largest kept wave number of each axis."""
        return tuple((points - 1) // (self.degree + 1) for points in self.shape)

    @cached_property
    def wavenumbers(self) -> tuple[Tensor, ...]:
        """Angular wave numbers 2 pi k / length of each axis, shaped to broadcast over the modes."""
        lines = []
        for axis, (cutoff, length) in enumerate(zip(self.cutoffs, self.lengths)):
            positive = torch.arange(cutoff + 1, dtype=torch.float64)
            last = axis == len(self.shape) - 1
            k = positive if last else torch.cat([positive, -positive[1:].flip(0)])
            shape = [1] * len(self.shape)
            shape[len(shape) - 1 - axis] = len(k)
            lines.append((2 * math.pi / length * k).reshape(shape).to(self.device, self.dtype))
        return tuple(lines)

    @cached_property
    def laplacian(self) -> Tensor:
        """The symbol -|k|^2 of the Laplacian, (*modes)."""
        return -sum((k.square() for k in self.wavenumbers), torch.zeros((), dtype=self.dtype, device=self.device))

    def gradient(self, axis: int) -> Tensor:
        """The symbol i k of the derivative along a space axis, broadcastable to the modes."""
        return 1j * self.wavenumbers[axis]

    def forward(self, field: Float[Tensor, "batch channel *space"]) -> Complex[Tensor, "batch channel *modes"]:
        """The kept coefficients of a field."""
        coefficients = torch.fft.rfft(field, dim=-1, norm="forward")[..., : self.cutoffs[-1] + 1]
        for axis in range(len(self.shape) - 2, -1, -1):
            cutoff = self.cutoffs[axis]
            line = torch.fft.fft(coefficients.movedim(axis + 2, -1), dim=-1, norm="forward")
            coefficients = torch.cat([line[..., : cutoff + 1], line[..., self.shape[axis] - cutoff :]], dim=-1)
        return coefficients

    def inverse(self, coefficients: Complex[Tensor, "batch channel *modes"]) -> Float[Tensor, "batch channel *space"]:
        """The field with these coefficients."""
        for axis, (cutoff, points) in enumerate(zip(self.cutoffs[:-1], self.shape[:-1])):
            head, tail = coefficients.split([cutoff + 1, cutoff], dim=-1)
            padded = torch.cat([head, _zeros(head, points - 2 * cutoff - 1), tail], dim=-1)
            coefficients = torch.fft.ifft(padded, dim=-1, norm="forward").movedim(-1, axis + 2)
        points = self.shape[-1]
        padded = torch.cat([coefficients, _zeros(coefficients, points // 2 - self.cutoffs[-1])], dim=-1)
        return torch.fft.irfft(padded, n=points, dim=-1, norm="forward")

    def per_sample(self, value: Tensor) -> Tensor:
        """Shape a physical parameter, a scalar or (batch,), to multiply fields and coefficients (batch, channel, ...).

        Raises:
            ValueError: the value has more than one axis.
        """
        if value.dim() > 1:
            raise ValueError(f"Expected a parameter of shape () or (batch,), got {tuple(value.shape)}.")
        return value.to(self.device, self.dtype).reshape(-1, *([1] * (len(self.shape) + 1)))


def _zeros(like: Tensor, length: int) -> Tensor:
    """Zeros to lengthen the last axis with, that take no memory."""
    return like.new_zeros(()).expand(*like.shape[:-1], length)
