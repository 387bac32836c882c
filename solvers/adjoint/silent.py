"""A stepper whose states carry no gradients, while the loop's clock and per-sample arguments may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..arguments import select_rows
from ..state import State
from ..stepper import Interpolant, Step, Stepper


class Silent:
    """``stepper`` without gradients, whatever its arguments require."""

    def __init__(self, stepper: Stepper) -> None:
        self.stepper = stepper

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.stepper, name)
        return torch.no_grad()(found) if name in ("start", "slope") else found

    def select(self, rows: Tensor) -> Silent:
        """The silent stepper for these samples; what it selects of tensors with gradients keeps them."""
        with torch.enable_grad():
            return Silent(select_rows(self.stepper, rows))

    @torch.no_grad()
    def __call__(self, t: Tensor, dt: Tensor, y: State, *reuse: Any) -> Step:
        step = self.stepper(t, dt, y, *reuse)
        return step if step.dense is None else replace(step, dense=_SilentInterpolant(step.dense))


class _SilentInterpolant:
    def __init__(self, dense: Interpolant) -> None:
        self.dense = dense

    def __getattr__(self, name: str) -> Any:
        return getattr(self.dense, name)

    @torch.no_grad()
    def __call__(self, theta: Tensor, rows: Tensor) -> State:
        return self.dense(theta, rows)
