"""Random numbers that are functions of a seed and of how many have been drawn, so that a learner's state is small."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import torch

_GOLDEN, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_BITS = 2**64 - 1
_FEW = 4  # numbers that Python computes sooner than numpy

Words = TypeVar("Words", int, np.ndarray)


class Draws:
    """Uniform and normal numbers: SplitMix64 of a counter (Steele, Lea, Flood, "Fast splittable pseudorandom number
    generators", OOPSLA 2014).

    Args:
        seed: of the sequence.

    Attributes:
        count: numbers drawn so far; setting it goes back, or ahead.
    """

    def __init__(self, seed: int) -> None:
        self.seed, self.count = seed, 0

    @property
    def seed(self) -> int:
        """Of the sequence."""
        return self._seed

    @seed.setter
    def seed(self, seed: int) -> None:
        self._seed, self._start = seed, _mixed(seed & _BITS)

    def state_dict(self) -> dict[str, int]:
        """Seed and count."""
        return {"seed": self.seed, "count": self.count}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on from there."""
        self.seed, self.count = int(state["seed"]), int(state["count"])

    def next(self) -> float:
        """One number in (0, 1)."""
        self.count += 1
        return float(_fraction(_mixed((self._start + self.count * _GOLDEN) & _BITS)))

    def uniform(self, size: int) -> np.ndarray:
        """Numbers in (0, 1)."""
        if size <= _FEW:
            return np.array([self.next() for _ in range(size)])
        first, self.count = self.count + 1, self.count + size
        counters = np.arange(first, first + size, dtype=np.uint64)
        return _fraction(_mixed(counters * _GOLDEN + self._start))

    def normal(self, size: int) -> np.ndarray:
        """Of mean 0 and variance 1."""
        return torch.special.ndtri(torch.from_numpy(self.uniform(size))).numpy()


def _mixed(z: Words) -> Words:
    """A bijection of 64 bits whose every output bit depends on every input bit. Arrays of uint64 wrap by themselves."""
    z = ((z ^ (z >> 30)) * _FIRST) & _BITS
    z = ((z ^ (z >> 27)) * _SECOND) & _BITS
    return z ^ (z >> 31)


def _fraction(word: int | np.ndarray) -> Any:
    """The upper 52 bits as a number in (0, 1): with 53 the largest would round to 1."""
    return ((word >> 12) + 0.5) * 2.0**-52
