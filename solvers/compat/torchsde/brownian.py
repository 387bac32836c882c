"""Brownian motions with torchsde's signatures, over this library's paths."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor

from ...stochastic import brownian as native
from ...stochastic.brownian import BrownianIncrement

Time = float | Tensor


class BrownianInterval:
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
        levy_area_approximation: "none" or "space-time", which are the same here.
        W, H: the increment and the space-time Levy area over the whole interval, where known.

    Raises:
        ValueError: the interval is empty, the size is missing, or a Levy area between channels is asked for.
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
        known = W if W is not None else H
        if size is None and known is None:
            raise ValueError("Expected size, or W or H to take it from, got none of them.")
        if float(t0) >= float(t1):
            raise ValueError(f"Expected t0 < t1, got {float(t0)} and {float(t1)}.")
        if levy_area_approximation not in ("none", "space-time"):
            raise ValueError(
                f"Expected levy_area_approximation 'none' or 'space-time', got {levy_area_approximation!r}. "
                "Levy areas between channels are not sampled; no method here needs them."
            )
        self._start, self._end = float(t0), float(t1)
        self._size = torch.Size(known.shape if size is None and known is not None else size or ())
        self._dtype = dtype or (torch.get_default_dtype() if known is None else known.dtype)
        self._device = torch.device(device or ("cpu" if known is None else known.device))
        self.entropy = int(torch.randint(2**62, ())) if entropy is None else entropy
        self.levy_area_approximation = levy_area_approximation
        self._cell = self._end - self._start if halfway_tree else None
        if dt is not None and not halfway_tree:
            self._cell = float(dt)
        self._path: native.BrownianPath | None = None
        self._ends = None if known is None else self._away_from(W, H)

    def __call__(self, ta: Time, tb: Time | None = None, return_U: bool = False, return_A: bool = False) -> Any:
        """W(tb) - W(ta), or from t0 to ta where tb is None; with U, the integral of W(r) - W(ta) over the interval.

        Raises:
            ValueError: the Levy area between channels is asked for.
            RuntimeError: ta > tb.
        """
        if return_A:
            raise ValueError("Levy areas between channels are not sampled: return_A=True has no answer.")
        start, stop = (self._start, float(ta)) if tb is None else (float(ta), float(tb))
        start, stop = self._clipped(start), self._clipped(stop)
        if start > stop:
            raise RuntimeError(f"Expected ta <= tb, got {start} and {stop}.")
        step = self.increment(start, stop - start, area=return_U)
        return (step.w, (stop - start) * step.mean) if return_U else step.w

    def increment(self, t: Time, dt: Time, *, area: bool = False) -> BrownianIncrement:
        """W(t + dt) - W(t); dt may be negative."""
        path = self._drawn()
        clock = torch.full(path.shape[:1], float(t), dtype=torch.float64, device=self._device)
        step = path(clock, torch.full_like(clock, float(dt)), area=area)
        w, levy = step.w.reshape(self._size), None if step.area is None else step.area.reshape(self._size)
        if self._ends is None:
            return BrownianIncrement(w, levy)
        # The path minus what its own ends make of it, plus what the given ends do.
        first, last = ((float(at) - self._start) / (self._end - self._start) for at in (t, float(t) + float(dt)))
        away_w, away_h = self._ends
        w = w + (last - first) * away_w + 6 * (last * (1 - last) - first * (1 - first)) * away_h
        return BrownianIncrement(w, None if levy is None else levy + (last - first) ** 2 * away_h)

    def settle(self, dt: float) -> None:
        """Prepare for steps of about this length, if nothing has been asked or said yet."""
        if self._cell is None:
            self._cell = min(dt, self._end - self._start)

    def size(self) -> torch.Size:
        """Shape of a sample."""
        return self._size

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
            f"device={self._device}, entropy={self.entropy})"
        )

    def _drawn(self) -> native.BrownianPath:
        if self._path is None:
            self.settle(self._end - self._start)
            shape = tuple(self._size) or (1,)
            self._path = native.BrownianPath(
                self.entropy, shape, self._cell or 1.0, origin=self._start, dtype=self._dtype, device=self._device
            )
        return self._path

    def _away_from(self, w: Tensor | None, h: Tensor | None) -> tuple[Tensor, Tensor]:
        """How far the given increment and area lie from those of the path."""
        self._ends = None
        whole = self.increment(self._start, self._end - self._start, area=True)
        zero = torch.zeros_like(whole.w)
        return zero if w is None else w - whole.w, zero if h is None or whole.area is None else h - whole.area

    def _clipped(self, time: float) -> float:
        inside = min(max(time, self._start), self._end)
        if inside != time:
            warnings.warn(f"Asked about t={time}, outside [{self._start}, {self._end}]; clipped.", stacklevel=3)
        return inside


class _FromStart:
    """A motion that begins at w0."""

    def __init__(self, interval: BrownianInterval, w0: Tensor) -> None:
        self._interval, self._w0 = interval, w0

    def __call__(self, t: Time, tb: Time | None = None, return_U: bool = False, return_A: bool = False) -> Any:
        """W(t) where tb is None, else the increment from t to tb."""
        out = self._interval(t, tb, return_U=return_U, return_A=return_A)
        return out + self._w0 if tb is None and not return_U else out

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_interval"], name)


class BrownianPath(_FromStart):
    """A motion from w0 at t0 over a unit of time."""

    def __init__(self, t0: Time, w0: Tensor, window_size: int = 8) -> None:
        interval = BrownianInterval(t0, float(t0) + 1, w0.shape, w0.dtype, w0.device)
        super().__init__(interval, w0)


class BrownianTree(_FromStart):
    """A motion from w0 at t0 to t1, and to w1 there where given, that depends on the entropy alone."""

    def __init__(
        self,
        t0: Time,
        w0: Tensor,
        t1: Time | None = None,
        w1: Tensor | None = None,
        entropy: int | None = None,
        tol: float = 1e-6,
        pool_size: int = 24,
        cache_depth: int = 9,
        safety: float | None = None,
    ) -> None:
        end = float(t0) + 1 if t1 is None else t1
        increment = None if w1 is None else w1 - w0
        interval = BrownianInterval(
            t0, end, w0.shape, w0.dtype, w0.device, entropy=entropy, halfway_tree=True, W=increment
        )
        super().__init__(interval, w0)


def brownian_interval_like(
    y: Tensor,
    t0: Time = 0.0,
    t1: Time = 1.0,
    size: tuple[int, ...] | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
    **kwargs: Any,
) -> BrownianInterval:
    """A ``BrownianInterval`` with the size, dtype and device of a tensor."""
    return BrownianInterval(t0, t1, size or y.shape, dtype or y.dtype, device or y.device, **kwargs)
