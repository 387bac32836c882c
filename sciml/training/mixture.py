"""Several sets of windows trained on together."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property, reduce
from typing import Any

import numpy as np
import torch
from torch.utils import data

from sciml.datasets.channel import Axis, Channel
from sciml.datasets.moments import TrajectoryMoments
from sciml.datasets.statistics import Statistics

from .problem import check_channels
from .randomness import generator


class Mixture(data.Dataset):
    """Windows of several data sets of the same channels and grid, the smaller sets drawn more often than their size.

    An epoch has as many windows as there are in all. A set of n windows gets a share of them in proportion to
    n ** (1 / temperature), rounded, and goes through its windows in one random order after another, an epoch beginning
    where the last ended. Temperature 1 is every window once, infinity as many of each set. What is drawn depends on
    the seed and the epoch alone.

    Args:
        parts: of windows, such as ``Trajectories``, with the same number of frames.
        temperature: at least 1.

    Attributes:
        quotas: windows of each part in an epoch.

    Raises:
        ValueError: parts that do not belong together.
    """

    def __init__(self, parts: Sequence[Any], *, temperature: float = 1.0) -> None:
        self.parts = tuple(parts)
        if not self.parts:
            raise ValueError("Expected at least one part, got none.")
        if not temperature >= 1:
            raise ValueError(f"Expected temperature >= 1, from 1 (by size) to math.inf (all alike), got {temperature}.")
        for number, part in enumerate(self.parts):
            _check_alike(self.parts[0], part, f"parts[{number}]")
        self.temperature = temperature
        self._counts = tuple(len(part) for part in self.parts)
        self._starts = tuple(itertools.accumulate(self._counts, initial=0))
        self.quotas = _quotas(self._counts, temperature)

    def __len__(self) -> int:
        """Windows in all, and in an epoch."""
        return self._starts[-1]

    def __getitem__(self, index: int) -> Any:
        """A window; those of the first part come first."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected an index below {len(self)}, got {index}.")
        index %= len(self)
        number = int(np.searchsorted(self._starts, index, side="right")) - 1
        return self.parts[number][index - self._starts[number]]

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """Windows, read in the order in which they lie in the parts."""
        items = {index: self[index] for index in sorted(set(indices))}
        return [items[index] for index in indices]

    def drawn(self, seed: int, epoch: int) -> list[int]:
        """The windows of an epoch, sorted; some may come twice."""
        chosen: list[int] = []
        for number, (start, quota) in enumerate(zip(self._starts, self.quotas)):
            chosen += [start + window for window in self._stream(number, seed, epoch * quota, quota)]
        return sorted(chosen)

    def _stream(self, number: int, seed: int, first: int, count: int) -> list[int]:
        """Entries ``first`` to ``first + count`` of one part's endless row of random orders."""
        size = self._counts[number]
        rounds = range(first // size, -(-(first + count) // size))
        orders = [torch.randperm(size, generator=generator("mixture", seed, number, k)) for k in rounds]
        begin = first - rounds.start * size
        return torch.cat(orders)[begin : begin + count].tolist()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Of the first part; units that it does not state may stand in another."""
        return tuple(self.parts[0].channels)

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Of space, those of the first part."""
        return tuple(self.parts[0].axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis of space."""
        return tuple(self.parts[0].shape)

    @property
    def kind(self) -> str:
        """ "grid" or "particles"."""
        return str(getattr(self.parts[0], "kind", "grid"))

    @property
    def time_units(self) -> str:
        """ "" where the parts state none."""
        return str(getattr(self.parts[0], "time_units", ""))

    @property
    def dt(self) -> float | None:
        """Time between frames where it is the same in all parts (to 1e-4), else None."""
        steps = [part.dt for part in self.parts]
        if any(step is None or not math.isclose(step, steps[0] or 0.0, rel_tol=1e-4) for step in steps):
            return None
        return steps[0]

    @cached_property
    def statistics(self) -> Statistics:
        """Of all values, each part weighted as it is drawn."""
        moments = []
        for part, count, quota in zip(self.parts, self._counts, self.quotas):
            found = part.statistics
            values = found.count or count * math.prod(part[0][1].shape) // len(self.channels)
            moments.append(TrajectoryMoments.of(replace(found, count=max(round(values * quota / count), 1))))
        return reduce(TrajectoryMoments.merged, moments).result()

    def __repr__(self) -> str:
        shares = ", ".join(f"{quota} of {count}" for quota, count in zip(self.quotas, self._counts))
        return f"Mixture(an epoch draws {shares} windows; temperature {self.temperature:g})"


def _quotas(counts: Sequence[int], temperature: float) -> tuple[int, ...]:
    """Shares of ``sum(counts)`` in proportion to count ** (1 / temperature), by largest remainders."""
    total = sum(counts)
    weights = np.array(counts, dtype=np.float64) ** (1 / temperature)
    exact = total * weights / weights.sum()
    whole = np.floor(exact + 1e-9).astype(int)  # what is whole but for rounding stays so
    largest = np.argsort(-(exact - whole), kind="stable")[: total - whole.sum()]
    whole[largest] += 1
    return tuple(int(count) for count in whole)


def _check_alike(first: Any, part: Any, name: str) -> None:
    check_channels(tuple(first.channels), tuple(part.channels), name, "parts[0]")
    if not len(part):
        raise ValueError(f"Expected {name} to hold at least one window, got none.")
    for what, here, there in (
        ("kind", getattr(first, "kind", "grid"), getattr(part, "kind", "grid")),
        ("axes", [axis.name for axis in first.axes], [axis.name for axis in part.axes]),
        ("shape of windows (time, channel, *space)", tuple(first[0][1].shape), tuple(part[0][1].shape)),
    ):
        if here != there:
            raise ValueError(
                f"Expected parts of the same {what}, got {here} in parts[0] and {there} in {name}. "
                "Train on parts of one kind, with the same window=... and, for other grids, space_stride=...."
            )
