"""The caller's function as the vector field of a batch of one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from sciml.solvers.state import real_dtype

from .packing import Packing


class JointField:
    """``func(t, y)`` over packed states of shape (1, ...): one clock and one step length for everything in y.

    Args:
        func: takes t of no axes, in the real dtype of y, and the state as the caller gave it.
        packing: of the state.

    Attributes:
        real: dtype of the time that ``func`` gets.
    """

    def __init__(self, func: Callable[..., Any], packing: Packing) -> None:
        self.func, self.packing = func, packing
        self.real = packing.dtype.to_real()
        self._window: tuple[Tensor, Tensor] | None = None

    def __call__(self, t: Tensor, y: Tensor) -> Tensor:
        return self.packed(self.time(t, y), y.squeeze(0)).unsqueeze(0)

    def packed(self, t: Tensor, y: Tensor) -> Tensor:
        """The slope of a packed state without a batch axis, at a time of no axes."""
        packing = self.packing
        slope = self.func(t, y) if packing.shapes is None else packing.pack(self.func(t, packing.unpack(y)))
        if slope.shape != y.shape:
            slope = slope.expand(y.shape)
        return slope if slope.dtype == y.dtype else slope.to(y.dtype)

    def time(self, t: Tensor, y: Tensor) -> Tensor:
        """The time (1,) as the caller's functions get it."""
        t = t.squeeze(0).to(self.real)
        return t if self._window is None else _inside(t, *self._window)

    @contextmanager
    def inside(self, t: Tensor, end: Tensor, y: Tensor) -> Iterator[None]:
        """Evaluate strictly between t and ``end`` (1,): each end moves by one unit in the last place of y's precision,
        to the near side of a discontinuity there."""
        dtype = real_dtype(y)
        start, stop = (bound.detach().squeeze(0).to(dtype) for bound in (t, end))
        self._window = torch.nextafter(start, stop), torch.nextafter(stop, start)
        try:
            yield
        finally:
            self._window = None


def _inside(t: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """t moved into the interval; its gradient passes."""
    with torch.no_grad():
        low, high = torch.minimum(first, last), torch.maximum(first, last)
        shift = t.clamp(low, high) - t
    return t + shift
