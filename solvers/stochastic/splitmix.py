"""Normal numbers from counters: the same key and counter give the same numbers on any device, in any order.

Source: G. L. Steele, D. Lea, C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA 2014 (SplitMix64);
G. E. P. Box, M. E. Muller, "A note on the generation of random normal deviates", Ann. Math. Statist. 29 (1958).
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15 - 2**64  # 2^64 over the golden ratio; like the next two, signed with the same bits
_FIRST, _SECOND = 0xBF58476D1CE4E5B9 - 2**64, 0x94D049BB133111EB - 2**64


def split(key: Int[Tensor, "*shape"], counter: Int[Tensor, "*counters"]) -> Int[Tensor, "*out"]:
    """The ``counter``-th key derived from ``key``, their shapes broadcast."""
    return _mix(key + counter * _GOLDEN)


def normal_pairs(
    key: Int[Tensor, "*shape"], counter: Int[Tensor, "*counters"], dtype: torch.dtype
) -> tuple[Float[Tensor, "*out"], Float[Tensor, "*out"]]:
    """Two independent standard normals for every key and counter, their shapes broadcast; |z| < 6.7."""
    angle, radius = _polar(split(key, counter), dtype)
    return angle.cos().mul_(radius), angle.sin_().mul_(radius)


def one_of_pair(
    key: Int[Tensor, "*shape"], counter: Int[Tensor, "*counters"], which: Int[Tensor, "*counters"], dtype: torch.dtype
) -> Float[Tensor, "*out"]:
    """The first normal of each pair where ``which`` is 0, the second where it is 1; up to rounding."""
    angle, radius = _polar(split(key, counter), dtype)
    return torch.cos(angle - which.to(dtype) * (0.5 * math.pi)) * radius


def _polar(words: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Angle and radius of two normals, from 64 random bits."""
    low, high = _halves(words)
    angle = low.to(dtype).mul_(2.0 * math.pi / 2**32)
    uniform = (high & (2**31 - 1)).to(dtype).add_(0.5).mul_(2.0**-31)
    return angle, uniform.log_().mul_(-2.0).sqrt_()


def _halves(words: Tensor) -> tuple[Tensor, Tensor]:
    """The lower and the upper 32 bits of int64, signed."""
    if torch.compiler.is_compiling():  # a view of another dtype would be a barrier in the program
        return (words << 32) >> 32, words >> 32
    pairs = words[..., None].view(torch.int32)
    return pairs[..., 0], pairs[..., 1]


def _mix(x: Tensor) -> Tensor:
    """A bijection of int64 whose every output bit depends on every input bit."""
    # torch shifts signed numbers arithmetically: the masks make the shifts logical. Products wrap.
    if torch.compiler.is_compiling():  # which has no use for results in place
        x = (x ^ ((x >> 30) & (2**34 - 1))) * _FIRST
        x = (x ^ ((x >> 27) & (2**37 - 1))) * _SECOND
        return x ^ ((x >> 31) & (2**33 - 1))
    shifted = (x >> 30).bitwise_and_(2**34 - 1)
    mixed = (x ^ shifted).mul_(_FIRST)
    torch.bitwise_right_shift(mixed, 27, out=shifted).bitwise_and_(2**37 - 1)
    mixed = mixed.bitwise_xor_(shifted).mul_(_SECOND)
    torch.bitwise_right_shift(mixed, 31, out=shifted).bitwise_and_(2**33 - 1)
    return mixed.bitwise_xor_(shifted)
