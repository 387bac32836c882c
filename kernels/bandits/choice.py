"""An arm at random, by given probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np


def choose(probabilities: np.ndarray, uniform: np.ndarray | float) -> Any:
    """An arm for each number in (0, 1), or for one."""
    total = probabilities.cumsum()
    return total.searchsorted(uniform * total[-1], side="right")
