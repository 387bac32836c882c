"""Brownian motions made of another one."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .base import BaseBrownian, Time
from .brownian import BrownianInterval


class _Derived(BaseBrownian):
    """A motion that has the shape, dtype and device of the one it is made of."""

    def __init__(self, motion: Any) -> None:
        self._motion = motion

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._motion!r})"

    @property
    def dtype(self) -> torch.dtype:
        """Of the samples."""
        return self._motion.dtype

    @property
    def device(self) -> torch.device:
        """Of the samples."""
        return self._motion.device

    @property
    def shape(self) -> tuple[int, ...]:
        """Of a sample."""
        return self._motion.shape

    @property
    def levy_area_approximation(self) -> str:
        """As of the motion that this one is made of."""
        return self._motion.levy_area_approximation


class ReverseBrownian(_Derived):
    """A motion seen backwards in time: its increment from ta to tb is that of the other one from -tb to -ta.

    It is not negated: an SDE that is solved backwards along it has drift and diffusion negated.
    """

    def __init__(self, base_brownian: Any) -> None:
        super().__init__(base_brownian)
        self.base_brownian = base_brownian

    def __call__(self, ta: Time, tb: Time, return_U: bool = False, return_A: bool = False) -> Any:  # type: ignore[override]
        """The increment from ta to tb."""
        return self.base_brownian(-tb, -ta, return_U=return_U, return_A=return_A)


class _FromStart(_Derived):
    """A motion that begins at w0."""

    def __init__(self, interval: BrownianInterval, w0: Tensor) -> None:
        super().__init__(interval)
        self._w0 = w0

    def __call__(self, t: Time, tb: Time | None = None, return_U: bool = False, return_A: bool = False) -> Any:
        """W(t) where tb is None, else the increment from t to tb."""
        out = self._motion(t, tb, return_U=return_U, return_A=return_A)
        return out + self._w0 if tb is None and not (return_U or return_A) else out

    @property
    def entropy(self) -> int:
        """The seed."""
        return self._motion.entropy

    def increment(self, t: Time, dt: Time, *, area: bool = False) -> Any:
        """W(t + dt) - W(t)."""
        return self._motion.increment(t, dt, area=area)

    def settle(self, dt: float) -> None:
        """As of the interval."""
        self._motion.settle(dt)


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
    size = y.shape if size is None else size
    return BrownianInterval(t0, t1, size, dtype or y.dtype, device or y.device, **kwargs)
