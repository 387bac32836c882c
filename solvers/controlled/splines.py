"""Paths through observations at irregular times, some of them missing: piecewise polynomials to drive a CDE with.

Observations are (batch, time, channel), NaN where a channel was not observed. Each channel is interpolated through its
own observations. At the first time, if missing there, it takes its first observation, at the last time its last one; a
channel that was never observed is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

Times = Float[Tensor, " time"] | Float[Tensor, "batch time"]
Observations = Float[Tensor, "batch time channel"]


@dataclass(frozen=True)
class Path:
    """A piecewise polynomial per sample and channel.

    Attributes:
        ts: knots, increasing, (batch, time).
        coefficients: of the powers of t - ts[:, i] in the piece from knot i on, constant first: each
            (batch, time - 1, channel).
        smoothness: how many derivatives are continuous at the knots. Where it is 0 the derivative jumps: give a solve
            driven by the path ``stops=Stops(jumps=path.ts)``.
    """

    ts: Float[Tensor, "batch time"]
    coefficients: tuple[Tensor, ...]
    smoothness: int

    def evaluate(self, t: Float[Tensor, " batch"]) -> Float[Tensor, "batch channel"]:
        """The values at t; outside the knots those of the polynomials at the ends.

        Raises:
            ValueError: t has not one entry per sample.
        """
        offset, pieces = self._locate(t)
        return _horner(pieces, offset)

    def derivative(self, t: Float[Tensor, " batch"]) -> Float[Tensor, "batch channel"]:
        """The time derivatives at t, at a knot those of the piece that begins there.

        Raises:
            ValueError: t has not one entry per sample.
        """
        offset, pieces = self._locate(t)
        return _horner([power * piece for power, piece in enumerate(pieces)][1:], offset)

    def select(self, rows: Tensor) -> Path:
        """The paths of these samples alone."""
        return Path(self.ts[rows], tuple(part[rows] for part in self.coefficients), self.smoothness)

    def _locate(self, t: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Time since the knot before t, (batch, 1), and the coefficients of the piece there, (batch, channel) each."""
        if len(t) != len(self.ts):
            raise ValueError(
                f"Expected t of shape ({len(self.ts)},), one time per sample of the path, got {tuple(t.shape)}."
            )
        ts = self.ts.to(t.dtype)
        index = (torch.searchsorted(ts, t[:, None].contiguous(), right=True) - 1).clamp(0, ts.shape[1] - 2)
        offset = (t[:, None] - ts.gather(1, index)).to(self.coefficients[0].dtype)
        return offset, [_gather(part, index[:, :, None])[:, 0] for part in self.coefficients]


def linear(ts: Times, values: Observations) -> Path:
    """Straight lines between observations.

    Args:
        ts: times, strictly increasing, shared or per sample.
        values: observations, NaN where missing.

    Raises:
        ValueError: times of a wrong shape or not increasing.
    """
    knots = _Knots.of(ts, values)
    return Path(knots.ts, knots.linear(), smoothness=0)


def rectilinear(ts: Times, values: Observations) -> Path:
    """Time moves on while all channels rest, then they jump to the next observation while time rests.

    No observation shows before its time (but for the first of a channel that is missing at the first time), so that a
    model driven by this path can be used online. Its first channel is time, the others are the channels with missing
    values carried forward; its parameter is not time but counts the two moves between observations: 0, 1, ...,
    2 (time - 1), with observation i at 2 i.

    Source: J. Morrill, P. Kidger, L. Yang, T. Lyons, "Neural controlled differential equations for online prediction
    tasks", 2021.

    Args:
        ts: times, strictly increasing, shared or per sample.
        values: observations, NaN where missing.

    Raises:
        ValueError: times of a wrong shape or not increasing.
    """
    ts = _checked_times(ts, values)
    filled = _Knots.of(ts, values).carried()
    corners = torch.stack([with_time(ts[:, 1:], filled[:, :-1]), with_time(ts[:, 1:], filled[:, 1:])], dim=2)
    corners = torch.cat([with_time(ts, filled)[:, :1], corners.flatten(1, 2)], dim=1)
    count = torch.arange(corners.shape[1], dtype=ts.dtype, device=ts.device).expand(len(ts), -1)
    return linear(count, corners)


def natural_cubic(ts: Times, values: Observations) -> Path:
    """The cubic spline with two continuous derivatives, the second zero at both ends.

    It is smooth, and no value of it is known before all observations are.

    Source: C. de Boor, "A Practical Guide to Splines", chapter IV.

    Args:
        ts: times, strictly increasing, shared or per sample.
        values: observations, NaN where missing.

    Raises:
        ValueError: times of a wrong shape or not increasing.
    """
    knots = _Knots.of(ts, values)
    return Path(knots.ts, knots.cubic(knots.natural_bends()), smoothness=2)


def hermite_cubic(ts: Times, values: Observations) -> Path:
    """Cubics whose slope at each time is that of the straight line from the time before.

    Missing observations are filled in linearly first. One derivative is continuous, and a value depends on no
    observation later than the end of its piece.

    Source: J. Morrill, P. Kidger, L. Yang, T. Lyons, "Neural controlled differential equations for online prediction
    tasks", 2021 (cubic Hermite splines with backward differences).

    Args:
        ts: times, strictly increasing, shared or per sample.
        values: observations, NaN where missing.

    Raises:
        ValueError: times of a wrong shape or not increasing.
    """
    knots = _Knots.of(ts, values)
    start, slope = knots.linear()
    length = knots.lengths
    before = torch.cat([slope[:, :1], slope[:, :-1]], dim=1)
    turn = (slope - before) / length
    return Path(knots.ts, (start, before, 2 * turn, -turn / length), smoothness=1)


def with_time(ts: Times, values: Observations) -> Float[Tensor, "batch time more_channel"]:
    """The observations with time as a first channel, which makes a path's course in time known to what it drives."""
    ts = ts.expand(len(values), -1) if ts.dim() == 1 else ts
    return torch.cat([ts[..., None].to(values.dtype), values], dim=2)


def observation_counts(values: Observations) -> Observations:
    """How often each channel has been observed so far: as further channels they tell of informative missingness.

    Source: P. Kidger, J. Morrill, J. Foster, T. Lyons, "Neural controlled differential equations for irregular time
    series", NeurIPS 2020 (observational intensity).
    """
    return (~torch.isnan(values)).to(values.dtype).cumsum(dim=1)


@dataclass(frozen=True)
class _Knots:
    """Observations with their gaps marked; the ends of each channel are filled.

    Attributes:
        ts: (batch, time).
        values: (batch, time, channel), zero where missing.
        seen: where they were observed or filled, (batch, time, channel).
        left, right: indices of the last observation up to the start of each piece and of the first from its end on,
            (batch, time - 1, channel).
    """

    ts: Tensor
    values: Tensor
    seen: Bool[Tensor, "batch time channel"]
    left: Tensor
    right: Tensor

    @classmethod
    def of(cls, ts: Tensor, values: Tensor) -> _Knots:
        ts = _checked_times(ts, values)
        seen = ~torch.isnan(values)
        values = torch.where(seen, values, torch.zeros_like(values))
        count = values.shape[1]
        index = torch.arange(count, device=ts.device)[:, None].expand_as(values)
        first = torch.where(seen, index, count - 1).amin(dim=1, keepdim=True)
        last = torch.where(seen, index, 0).amax(dim=1, keepdim=True)
        values = torch.where(index == 0, values.gather(1, first), values)
        values = torch.where(index == count - 1, values.gather(1, last), values)
        seen = seen | (index == 0) | (index == count - 1)
        left = torch.where(seen, index, 0).cummax(dim=1).values[:, :-1]
        right = torch.where(seen, index, count - 1).flip(1).cummin(dim=1).values.flip(1)[:, 1:]
        return cls(ts, values, seen, left, right)

    @property
    def lengths(self) -> Tensor:
        """Of the pieces, (batch, time - 1, 1), in the values' dtype."""
        return self.ts.diff(dim=1)[..., None].to(self.values.dtype)

    @property
    def gaps(self) -> Tensor:
        """Time between the observations around each piece, (batch, time - 1, channel)."""
        return (self._time(self.right) - self._time(self.left)).to(self.values.dtype)

    @property
    def slopes(self) -> Tensor:
        """Of the straight lines between the observations around each piece, (batch, time - 1, channel)."""
        return (self.values.gather(1, self.right) - self.values.gather(1, self.left)) / self.gaps

    def linear(self) -> tuple[Tensor, Tensor]:
        """Values at the start of each piece and slopes along it."""
        return self.values.gather(1, self.left) + self._passed() * self.slopes, self.slopes

    def carried(self) -> Tensor:
        """The values with the last observation carried forward, (batch, time, channel)."""
        return torch.cat([self.values.gather(1, self.left), self.values[:, -1:]], dim=1)

    def natural_bends(self) -> Tensor:
        """Second derivatives (batch, time, channel) at the observations of the natural cubic spline through them.

        Gaussian elimination of the tridiagonal system, all channels at once; a channel sits out the times at which it
        was not observed.
        """
        zero = torch.zeros_like(self.values[:, 0])
        after = self.gaps.unbind(1)  # the gap that begins at a knot, for a knot that was observed
        slope = self.slopes.unbind(1)
        seen = self.seen.unbind(1)
        ratio, load = [zero], [zero]
        for k in range(1, len(slope)):
            pivot = 2 * (after[k - 1] + after[k]) - after[k - 1] * ratio[-1]
            pivot = torch.where(seen[k], pivot, torch.ones_like(pivot))
            jump = 6 * (slope[k] - slope[k - 1]) - after[k - 1] * load[-1]
            ratio.append(torch.where(seen[k], after[k] / pivot, ratio[-1]))
            load.append(torch.where(seen[k], jump / pivot, load[-1]))
        bends = [zero]
        for k in reversed(range(len(slope))):
            own = load[k] - ratio[k] * bends[-1] if k else zero
            bends.append(torch.where(seen[k], own, bends[-1]))
        return torch.stack(bends[::-1], dim=1)

    def cubic(self, bends: Tensor) -> tuple[Tensor, ...]:
        """Coefficients of the cubics through the observations with these second derivatives there."""
        left, right = bends.gather(1, self.left), bends.gather(1, self.right)
        third = (right - left) / self.gaps
        slope = self.slopes - self.gaps * (2 * left + right) / 6
        passed = self._passed()  # the polynomials start at the observation before, the pieces later
        return (
            self.values.gather(1, self.left) + passed * (slope + passed * (left / 2 + passed * third / 6)),
            slope + passed * (left + passed * third / 2),
            (left + passed * third) / 2,
            third / 6,
        )

    def _passed(self) -> Tensor:
        """Time from the observation before each piece to its start."""
        return (self.ts[:, :-1, None] - self._time(self.left)).to(self.values.dtype)

    def _time(self, index: Tensor) -> Tensor:
        return self.ts[..., None].expand(-1, -1, index.shape[2]).gather(1, index)


def _checked_times(ts: Tensor, values: Tensor) -> Tensor:
    """The times as (batch, time)."""
    if values.dim() != 3 or values.shape[1] < 2:
        raise ValueError(
            f"Expected values of shape (batch, time, channel) with at least two times, got {tuple(values.shape)}."
        )
    if ts.shape not in (values.shape[:2], values.shape[1:2]):
        raise ValueError(
            f"Expected ts of shape ({values.shape[1]},) or {tuple(values.shape[:2])} for values of shape "
            f"{tuple(values.shape)}, got {tuple(ts.shape)}."
        )
    if not bool((ts.diff(dim=-1) > 0).all()):
        raise ValueError("Expected strictly increasing ts, got NaN, repeated or unordered times.")
    return ts.expand(len(values), -1).contiguous()


def _gather(part: Tensor, index: Tensor) -> Tensor:
    return part.gather(1, index.expand(-1, -1, part.shape[2]))


def _horner(coefficients: list[Tensor], offset: Tensor) -> Tensor:
    total = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        total = coefficient + offset * total
    return total
