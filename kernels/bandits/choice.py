"""An arm at random, by given probabilities."""

from __future__ import annotations

import numpy as np


def choose(probabilities: np.ndarray, uniform: np.ndarray | float) -> np.ndarray | int:
    """An arm for each number in (0, 1), or for one."""
    total = probabilities.cumsum()
    chosen: np.ndarray | int = total.searchsorted(uniform * total[-1], side="right")
    return chosen
