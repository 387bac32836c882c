"""Random numbers that are functions of a seed and of how many have been drawn, so that a learner's state is small."""

from __future__ import annotations

from statistics import NormalDist

import numpy as np

_GOLDEN, _MIX1, _MIX2 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_NORMAL = NormalDist()


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
        with np.errstate(over="ignore"):
            self._start = _mixed(np.array([seed % 2**64], dtype=np.uint64))[0]

    def uniform(self, size: int) -> np.ndarray:
        """Numbers in (0, 1)."""
        numbers = np.arange(self.count + 1, self.count + size + 1, dtype=np.uint64)
        self.count += size
        with np.errstate(over="ignore"):
            bits = _mixed(self._start + numbers * _GOLDEN)
        return ((bits >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53

    def normal(self, size: int) -> np.ndarray:
        """Of mean 0 and variance 1."""
        return np.array([_NORMAL.inv_cdf(u) for u in self.uniform(size)])


def choose(probabilities: np.ndarray, uniform: np.ndarray) -> np.ndarray:
    """An arm for each number: of one distribution (arm,), or of one each (number, arm)."""
    total = probabilities.cumsum(axis=-1)
    if total.ndim == 1:
        return np.minimum(total.searchsorted(uniform * total[-1], side="right"), len(total) - 1)
    below = total <= uniform[:, None] * total[:, -1:]
    return np.minimum(below.sum(axis=1), total.shape[1] - 1)


def _mixed(z: np.ndarray) -> np.ndarray:
    z = (z ^ (z >> np.uint64(30))) * _MIX1
    z = (z ^ (z >> np.uint64(27))) * _MIX2
    return z ^ (z >> np.uint64(31))
