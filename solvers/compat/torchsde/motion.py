"""The caller's Brownian motion as a path of this library."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ...stochastic.brownian import BrownianIncrement


class Motion:
    """A Brownian motion of (batch, noise) as the path of one sample, (1, batch, noise).

    Args:
        motion: one of this face's, or whatever has torchsde's calls.
    """

    def __init__(self, motion: Any) -> None:
        self.motion = motion
        self.shape = torch.Size((1, *motion.shape))

    def __call__(self, t: Tensor, dt: Tensor, *, area: bool = False) -> BrownianIncrement:
        start, length = float(t[0]), float(dt[0])
        if hasattr(self.motion, "increment"):
            step = self.motion.increment(start, length, area=area)
            return BrownianIncrement(step.w[None], None if step.area is None else step.area[None])
        return self._foreign(start, start + length, area)

    def between_channels(self, t: Tensor, dt: Tensor) -> tuple[Tensor, Tensor]:
        """W(t + dt) - W(t), (1, batch, noise), and the Levy areas (1, batch, noise, noise), for dt >= 0."""
        start = float(t[0])
        w, areas = self.motion(start, start + float(dt[0]), return_A=True)
        return w[None], areas[None]

    def select(self, rows: Tensor) -> Motion:
        """There is one sample."""
        return self

    def _foreign(self, start: float, stop: float, area: bool) -> BrownianIncrement:
        """Ask a motion that knows torchsde's calls alone."""
        first, last = min(start, stop), max(start, stop)
        sign = 1.0 if stop >= start else -1.0
        if not area:
            return BrownianIncrement(sign * self.motion(first, last)[None])
        w, integral = self.motion(first, last, return_U=True)
        levy = integral / (last - first) - 0.5 * w if last > first else torch.zeros_like(w)
        return BrownianIncrement(sign * w[None], levy[None])
