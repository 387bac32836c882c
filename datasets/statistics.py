"""Per-channel statistics of a dataset: what operators are normalised by."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Statistics:
    """Moments over trajectories, times and space, each (channel,) float64, in the channels' units.

    Attributes:
        mean, std, rms: of the values; std is unbiased.
        mean_delta, std_delta, rms_delta: of the differences of consecutive frames; zero for static channels.
        count: values per channel that were seen.
    """

    mean: np.ndarray
    std: np.ndarray
    rms: np.ndarray
    mean_delta: np.ndarray
    std_delta: np.ndarray
    rms_delta: np.ndarray
    count: int = 0
