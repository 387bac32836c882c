"""Each trajectory's randomness, a pure function of (seed, trajectory, purpose).

Nothing depends on how many trajectories there are, nor on which were drawn before, so shards can be made anywhere and
in any order; a parameter that the user fixes does not change what the others draw.
"""

from __future__ import annotations

import math
import zlib

import numpy as np
import torch

_INITIAL_STATE = 0


def trajectory_generator(seed: int, trajectory: int) -> torch.Generator:
    """The generator, on the CPU, that a trajectory's initial state is drawn with."""
    return torch.Generator().manual_seed(_word(seed, trajectory, _INITIAL_STATE) >> 1)


def draw(seed: int, trajectory: int, name: str, bounds: tuple[float, float], *, log: bool) -> float:
    """A trajectory's own value of a parameter, uniform between ``bounds``, in the logarithm where ``log``."""
    low, high = bounds
    fraction = (_word(seed, trajectory, 1 + zlib.crc32(name.encode())) >> 11) / 2.0**53
    if log:
        return math.exp(math.log(low) + fraction * (math.log(high) - math.log(low)))
    return low + fraction * (high - low)


def _word(seed: int, trajectory: int, purpose: int) -> int:
    """64 random bits."""
    sequence = np.random.SeedSequence(seed, spawn_key=(trajectory, purpose))
    return int(sequence.generate_state(1, np.uint64)[0])
