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
    return torch.Generator().manual_seed(
        int(_sequence(seed, trajectory, _INITIAL_STATE).generate_state(1, np.uint64)[0] >> 1)
    )


def draw(seed: int, trajectory: int, name: str, bounds: tuple[float, float], *, log: bool) -> float:
    """A trajectory's own value of the parameter ``name``, uniform between ``bounds``, in the logarithm where ``log``."""
    low, high = bounds
    word = _sequence(seed, trajectory, 1 + zlib.crc32(name.encode())).generate_state(1, np.uint64)[0]
    fraction = int(word >> 11) / 2.0**53
    if log:
        return math.exp(math.log(low) + fraction * (math.log(high) - math.log(low)))
    return low + fraction * (high - low)


def _sequence(seed: int, trajectory: int, purpose: int) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(trajectory, purpose))
