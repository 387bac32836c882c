"""Which frames of a trajectory make a training item."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class WholeTrajectory:
    """One item a trajectory: every ``stride``-th frame of it."""

    stride: int = 1

    def count(self, length: int) -> int:
        """Items in a trajectory of ``length`` frames."""
        return int(length > 0)

    def frames(self, length: int, index: int) -> slice:
        """The frames of an item."""
        return slice(0, length, self.stride)


@dataclass(frozen=True)
class SlidingWindow:
    """``window`` frames, ``stride`` apart, from every possible start."""

    window: int
    stride: int = 1

    @property
    def span(self) -> int:
        """Frames from the first to the last, inclusive."""
        return (self.window - 1) * self.stride + 1

    def count(self, length: int) -> int:
        """Items in a trajectory of ``length`` frames."""
        return max(0, length - self.span + 1)

    def frames(self, length: int, index: int) -> slice:
        """The frames of an item."""
        return slice(index, index + self.span, self.stride)


@dataclass(frozen=True)
class AllPairs:
    """Two frames at most ``lead_times`` strides apart: all2all training (Herde et al., "Poseidon", 2024, sec. 2).

    Attributes:
        lead_times: the longest lead, in strides.
        stride: frames between the times considered.
        identity: also pair each frame with itself.
    """

    lead_times: int
    stride: int = 1
    identity: bool = False

    def count(self, length: int) -> int:
        """Items in a trajectory of ``length`` frames."""
        return int(self._pairs(length).sum())

    def frames(self, length: int, index: int) -> slice:
        """The frames of an item; for a frame and itself, that frame alone."""
        ends = np.cumsum(self._pairs(length))
        row = int(np.searchsorted(ends, index, side="right"))
        lead = row + (not self.identity)
        start = (index - (int(ends[row - 1]) if row else 0)) * self.stride
        return slice(start, start + lead * self.stride + 1, max(1, lead * self.stride))

    def _pairs(self, length: int) -> np.ndarray:
        """How many pairs each lead time has."""
        times = -(-length // self.stride)
        return np.maximum(0, times - np.arange(0 if self.identity else 1, self.lead_times + 1))


FramePlan = WholeTrajectory | SlidingWindow | AllPairs


def frame_plan(*, window: int | None, stride: int, lead_times: int | AllPairs | None) -> FramePlan:
    """The plan the arguments of ``Trajectories`` ask for.

    Raises:
        ValueError: numbers below one, or both a window and lead times.
    """
    for name, value in {"window": window, "stride": stride, "lead_times": lead_times}.items():
        if isinstance(value, int) and value < 1:
            raise ValueError(f"Expected {name} >= 1, got {value}.")
    if lead_times is not None and window is not None:
        raise ValueError("Expected window or lead_times, got both: pairs are windows of 2. Leave out window.")
    if isinstance(lead_times, AllPairs):
        return lead_times
    if lead_times is not None:
        return AllPairs(lead_times, stride)
    return WholeTrajectory(stride) if window is None else SlidingWindow(window, stride)
