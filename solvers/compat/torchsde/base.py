"""What a Brownian motion of torchsde's users is."""

from __future__ import annotations

import abc
from typing import Any

import torch
from torch import Tensor

Time = float | Tensor


class BaseBrownian(abc.ABC):
    """A Brownian motion: ``bm(ta, tb)`` is W(tb) - W(ta); users may write their own."""

    @abc.abstractmethod
    def __call__(self, ta: Time, tb: Time | None = None, return_U: bool = False, return_A: bool = False) -> Any: ...

    @abc.abstractmethod
    def __repr__(self) -> str: ...

    @property
    @abc.abstractmethod
    def dtype(self) -> torch.dtype:
        """Of the samples."""

    @property
    @abc.abstractmethod
    def device(self) -> torch.device:
        """Of the samples."""

    @property
    @abc.abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Of a sample."""

    @property
    @abc.abstractmethod
    def levy_area_approximation(self) -> str:
        """Which Levy areas it has: "none", "space-time", "davie" or "foster"."""

    def size(self) -> tuple[int, ...]:
        """Shape of a sample."""
        return self.shape
