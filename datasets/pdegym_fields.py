"""The channels of PDEGym items: put together, normalised, and on fewer points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from .pdegym_record import KOLMOGOROV, Quantity

Column = Float[np.ndarray, "channel 1 1"]


@dataclass(frozen=True, eq=False)
class Scale:
    """How stored values become the channels of an item.

    Attributes:
        quantities: the channels.
        constant: (channel, x, y), normalised values of those that are not stored, zero elsewhere.
        shift, mean, std: (channel, 1, 1), of the stored ones.
    """

    quantities: tuple[Quantity, ...]
    constant: Float[np.ndarray, "channel x y"]
    shift: Column
    mean: Column
    std: Column

    @classmethod
    def of(cls, quantities: Sequence[Quantity], points: tuple[int, ...]) -> Scale:
        """For fields of that many points."""
        constant = np.stack([_constant(quantity, points) for quantity in quantities])
        return cls(tuple(quantities), constant, *_columns(quantities))

    @property
    def named(self) -> tuple[str, ...]:
        """Variables beside the set's main one."""
        return tuple(quantity.source for quantity in self.quantities if isinstance(quantity.source, str))

    def of_frame(
        self, frame: Float[np.ndarray, "stored x y"], named: Mapping[str, np.ndarray]
    ) -> Float[np.ndarray, "channel x y"]:
        """The channels, from those that are stored at a time and from other variables, normalised, in float32."""
        out = np.array(self.constant)
        for k, quantity in enumerate(self.quantities):
            if quantity.source is None:
                continue
            values = frame[quantity.source] if isinstance(quantity.source, int) else named[quantity.source]
            out[k] = values
            if quantity.shift:
                out[k] -= self.shift[k]
            out[k] -= self.mean[k]
            out[k] /= self.std[k]
        return out


def in_units(quantities: Sequence[Quantity], fields: Float[Tensor, "*batch channel x y"]) -> Tensor:
    """Normalised channels in the units of the file."""
    shift, mean, std = (torch.from_numpy(column).to(fields) for column in _columns(quantities))
    return fields * std + (mean + shift)


def normalised(quantities: Sequence[Quantity], fields: Float[Tensor, "*batch channel x y"]) -> Tensor:
    """Channels in the units of the file, normalised."""
    shift, mean, std = (torch.from_numpy(column).to(fields) for column in _columns(quantities))
    return (fields - shift - mean) / std


def truncated(field: Float[Tensor, "channel x y"], size: int | None) -> Float[Tensor, "channel newx newy"]:
    """The field on ``size`` points along each axis: its Fourier series up to size/2, of which -size/2 is kept."""
    if size is None:
        return field
    spectrum = torch.fft.fft2(field, norm="forward")
    for axis in (1, 2):
        old, low, high = spectrum.shape[axis], (size + 1) // 2, size // 2
        parts = (spectrum.narrow(axis, 0, low), spectrum.narrow(axis, old - high, high))
        spectrum = torch.cat(parts, dim=axis)
    return torch.fft.ifft2(spectrum, norm="forward").real


def _columns(quantities: Sequence[Quantity]) -> tuple[Column, Column, Column]:
    names = ("shift", "mean", "std")
    shift, mean, std = (
        np.array([getattr(quantity, name) for quantity in quantities], np.float32)[:, None, None] for name in names
    )
    return shift, mean, std


def _constant(quantity: Quantity, points: tuple[int, ...]) -> np.ndarray:
    if quantity.source is not None:
        return np.zeros(points, np.float32)
    if quantity.value == KOLMOGOROV:
        x, y = (np.linspace(0.0, 1.0, n, dtype=np.float32) for n in points)
        values = np.float32(0.1) * np.sin(np.float32(2 * np.pi) * (x[:, None] + y))
    else:
        values = np.full(points, quantity.value, np.float32)
    return ((values - np.float32(quantity.mean)) / np.float32(quantity.std)).astype(np.float32)
