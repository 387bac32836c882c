"""Levy areas between the channels of a Brownian motion, from its increment and space-time Levy area.

Sources: A. M. Davie, "Pathwise approximation of stochastic differential equations using coupling" (2014); J. Foster,
"Numerical approximations for stochastic differential equations", thesis, Oxford (2020), chapter 4.
"""

from __future__ import annotations

import hashlib
import struct

import torch
from torch import Tensor

BETWEEN_CHANNELS = ("davie", "foster")


def channel_area(w: Tensor, h: Tensor, length: float, kind: str, noise: Tensor) -> Tensor:
    """A_ij, half the integral of W_i dW_j - W_j dW_i over an interval: (..., channels, channels), antisymmetric.

    Given w and h it is h_i w_j - w_i h_j and a remainder of mean 0. "davie" gives that the right variance, "foster" the
    right one given h. (torchsde's are too large and too small: its variances of A_ij are length^2 / 3 and 0.22 length^2
    instead of length^2 / 4.)

    Args:
        w: increment, (..., channels).
        h: space-time Levy area, of w's shape.
        length: of the interval.
        kind: "davie" or "foster".
        noise: standard normal, (..., channels, channels).
    """
    known = h[..., :, None] * w[..., None, :] - w[..., :, None] * h[..., None, :]
    rest = (noise - noise.mT) * 0.5**0.5
    if kind == "davie":
        return known + length / 12**0.5 * rest
    squares = h * h
    variance = length / 20 * length + length / 5 * (squares[..., :, None] + squares[..., None, :])
    return known + variance.sqrt() * rest


def noise_of(entropy: int, start: float, stop: float, w: Tensor) -> Tensor:
    """Standard normal numbers (..., channels, channels) that depend on the entropy and the interval alone."""
    digest = hashlib.blake2b(struct.pack("<qdd", _signed(entropy), start, stop), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
    shape = (*w.shape, w.shape[-1])
    return torch.randn(shape, dtype=w.dtype, generator=generator).to(w.device)


def _signed(entropy: int) -> int:
    return (int(entropy) + 2**63) % 2**64 - 2**63


def no_area(w: Tensor) -> Tensor:
    """The area of an empty interval, or of a motion whose only axis is its samples', as torchsde shapes it."""
    return torch.zeros_like(w) if w.dim() < 2 else w.new_zeros(*w.shape, w.shape[-1])
