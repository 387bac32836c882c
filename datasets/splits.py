"""Which trajectories are for training, validation and test."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

FRACTIONS: Mapping[str, float] = {"train": 0.8, "valid": 0.1, "test": 0.1}


def assign_splits(count: int, *, fractions: Mapping[str, float] = FRACTIONS, seed: int = 0) -> dict[str, np.ndarray]:
    """Trajectories of each split, drawn whole, disjoint and exhaustive; the same for the same count and seed.

    Every split gets at least one trajectory while there are enough; the first named gets what is left.

    Raises:
        ValueError: fractions that are negative or do not sum to one.
    """
    if min(fractions.values()) < 0 or not np.isclose(sum(fractions.values()), 1.0):
        raise ValueError(f"Expected fractions >= 0 that sum to 1, got {dict(fractions)}.")
    order = np.random.default_rng(seed).permutation(count)
    first, *others = fractions
    sizes = {name: _size(count, fractions[name], len(fractions)) for name in others}
    splits, end = {}, count
    for name in reversed(others):
        splits[name], end = order[end - sizes[name] : end], end - sizes[name]
    splits[first] = order[:end]
    return {name: np.sort(splits[name]) for name in fractions}


def _size(count: int, fraction: float, splits: int) -> int:
    at_least = 1 if fraction > 0 and count >= splits else 0
    return max(at_least, round(count * fraction))
