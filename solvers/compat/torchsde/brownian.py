"""A Brownian motion with torchsde's signature, over this library's paths."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from ...stochastic import brownian as native
from ...stochastic.brownian import BrownianIncrement
from .base import BaseBrownian, Time
from .levy import BETWEEN_CHANNELS, channel_area, no_area, noise_of
from .settings import LEVY_AREA_APPROXIMATIONS

_ROUNDING = 1e-6  # relative, of times in single precision: so far outside the interval goes without a warning


class BrownianInterval(BaseBrownian):
    """A Brownian motion on [t0, t1] of any size, asked about intervals: ``bm(ta, tb)`` is W(tb) - W(ta).

    Args:
        t0, t1: the interval; queries are clipped to it, with a warning.
        size: shape of a sample.
        dtype, device: of the samples; those of W or H where given.
        entropy: the seed. None draws one from torch's global generator.
        dt: about the length of the queries, which makes those faster. Without it the first ``sdeint`` decides, or, with
            ``halfway_tree``, nothing does: then the motion depends on the entropy alone.
        tol, pool_size, cache_size: without meaning here.
        halfway_tree: see dt.
        levy_area_approximation: "none" or "space-time", which are the same here; "davie" or "foster" for Levy areas
            between channels too.
        W, H: the increment and the space-time Levy area over the whole interval, where known.

    Raises:
        ValueError: the end is before the start, the size is missing or not that of W and H, or an argument is unknown.
    """

    def __init__(
        self,
        t0: Time = 0.0,
        t1: Time = 1.0,
        size: tuple[int, ...] | None = None,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
        entropy: int | None = None,
        dt: Time | None = None,
        tol: float = 0.0,
        pool_size: int = 8,
        cache_size: int | None = 45,
        halfway_tree: bool = False,
        levy_area_approximation: str = "none",
        W: Tensor | None = None,
        H: Tensor | None = None,
    ) -> None:
        if float(t0) > float(t1):
            raise ValueError(f"Expected t0 <= t1, got {float(t0)} and {float(t1)}.")
        if levy_area_approximation not in LEVY_AREA_APPROXIMATIONS:
            raise ValueError(
                f"Expected levy_area_approximation to be one of {LEVY_AREA_APPROXIMATIONS}, "
                f"got {levy_area_approximation!r}."
            )
        known = _known(size, W, H)
        self._start, self._end = float(t0), float(t1)
        self._size = torch.Size(known.shape if size is None and known is not None else size or ())
        self._dtype = dtype or (torch.get_default_dtype() if known is None else known.dtype)
        self._device = torch.device(device or ("cpu" if known is None else known.device))
        self.entropy = int(torch.randint(2**62, ())) if entropy is None else entropy
        self._levy_area_approximation = levy_area_approximation
        self.dt, self.tol, self.pool_size, self.cache_size = dt, tol, pool_size, cache_size
        self.halfway_tree = halfway_tree
        self._cell = self._end - self._start if halfway_tree else None
        if dt is not None and not halfway_tree:
            self._cell = float(dt)
        self._path: native.BrownianPath | None = None
        self._ends = None if known is None else self._away_from(W, H)

    def __call__(self, ta: Time, tb: Time | None = None, return_U: bool = False, return_A: bool = False) -> Any:
        """W(tb) - W(ta), or from t0 to ta where tb is None.

        With U, also the integral of W(r) - W(ta) over the interval. With A, also the Levy areas between channels (None
        without an approximation of them), which the same interval always has, but which do not add up.

        Raises:
            RuntimeError: ta > tb.
        """
        start, stop = (self._start, float(ta)) if tb is None else (float(ta), float(tb))
        start, stop = self._clipped(start), self._clipped(stop)
        if start > stop:
            raise RuntimeError(f"Expected ta <= tb, got {start} and {stop}.")
        between = return_A and self._levy_area_approximation in BETWEEN_CHANNELS
        step = self.increment(start, stop - start, area=return_U or between)
        if not (return_U or return_A):
            return step.w
        integral = ((stop - start) * step.mean,) if return_U else ()
        areas = (self._areas(step, start, stop) if between else None,) if return_A else ()
        return step.w, *integral, *areas

    def increment(self, t: Time, dt: Time, *, area: bool = False) -> BrownianIncrement:
        """W(t + dt) - W(t); dt may be negative."""
        path = self._drawn()
        clock = torch.full(path.shape[:1], float(t), dtype=torch.float64, device=self._device)
        step = path(clock, torch.full_like(clock, float(dt)), area=area)
        w, levy = step.w.reshape(self._size), None if step.area is None else step.area.reshape(self._size)
        if self._ends is None:
            return BrownianIncrement(w, levy)
        # The path minus what its own ends make of it, plus what the given ends do.
        span = (self._end - self._start) or 1.0
        first, last = ((float(at) - self._start) / span for at in (t, float(t) + float(dt)))
        away_w, away_h = self._ends
        w = w + (last - first) * away_w + 6 * (last * (1 - last) - first * (1 - first)) * away_h
        return BrownianIncrement(w, None if levy is None else levy + (last - first) ** 2 * away_h)

    def settle(self, dt: float) -> None:
        """Prepare for steps of about this length, if nothing has been asked or said yet."""
        if self._cell is None:
            self._cell = min(dt, self._end - self._start)

    @property
    def levy_area_approximation(self) -> str:
        """Which Levy areas it has."""
        return self._levy_area_approximation

    @property
    def shape(self) -> torch.Size:
        """Shape of a sample."""
        return self._size

    @property
    def dtype(self) -> torch.dtype:
        """Of the samples."""
        return self._dtype

    @property
    def device(self) -> torch.device:
        """Of the samples."""
        return self._device

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(t0={self._start}, t1={self._end}, size={tuple(self._size)}, dtype={self._dtype}, "
            f"device={self._device}, entropy={self.entropy}, levy_area_approximation={self._levy_area_approximation!r})"
        )

    def _drawn(self) -> native.BrownianPath:
        if self._path is None:
            self.settle(self._end - self._start)
            shape = tuple(self._size) or (1,)
            self._path = native.BrownianPath(
                self.entropy, shape, self._cell or 1.0, origin=self._start, dtype=self._dtype, device=self._device
            )
        return self._path

    def _areas(self, step: BrownianIncrement, start: float, stop: float) -> Tensor:
        if step.area is None or stop <= start or len(self._size) < 2:
            return no_area(step.w)
        noise = noise_of(self.entropy, start, stop, step.w)
        return channel_area(step.w, step.area, stop - start, self._levy_area_approximation, noise)

    def _away_from(self, w: Tensor | None, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """How far the given increment and area lie from those of the path."""
        self._ends = None
        whole = self.increment(self._start, self._end - self._start, area=True)
        zero = torch.zeros_like(whole.w)
        return zero if w is None else w - whole.w, zero if h is None or whole.area is None else h - whole.area

    def _clipped(self, time: float) -> float:
        inside = min(max(time, self._start), self._end)
        if abs(inside - time) > _ROUNDING * max(abs(self._start), abs(self._end)):
            warnings.warn(f"Asked about t={time}, outside [{self._start}, {self._end}]; clipped.", stacklevel=3)
        return inside


def _known(size: tuple[int, ...] | None, w: Tensor | None, h: Tensor | None) -> Tensor | None:
    """One of the given W and H, if any.

    Raises:
        ValueError: their sizes differ, or there is none.
    """
    sizes = [tuple(given) for given in (size, *(None if x is None else x.shape for x in (w, h))) if given is not None]
    if not sizes:
        raise ValueError("Expected size, or W or H to take it from, got none of them.")
    if len(set(sizes)) > 1:
        raise ValueError(f"Expected size, W and H of one size, got {sizes}.")
    return w if w is not None else h
