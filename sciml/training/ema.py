"""A running mean of the weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from .sharding import part_like


class MovingAverage:
    """Exponential moving average of a module's parameters; buffers are not averaged.

    Polyak, Juditsky, "Acceleration of Stochastic Approximation by Averaging", 1992, with exponential weights. In the
    first steps the decay is at most (1 + n) / (10 + n), so that the random start is forgotten.

    Args:
        module: whose parameters to follow.
        decay: of the mean, per step.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.mean = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Follow the parameters after optimiser step ``step`` (from 1)."""
        weight = 1 - min(self.decay, (1 + step) / (10 + step))
        for name, parameter in module.named_parameters():
            self.mean[name].lerp_(parameter, weight)

    @torch.no_grad()
    def load(self, mean: Mapping[str, Tensor]) -> None:
        """Take over a stored mean."""
        for name, value in self.mean.items():
            value.copy_(part_like(value, mean[name]))

    def assign_to(self, module: nn.Module) -> None:
        """Put the mean into the module."""
        _assign(module, self.mean)

    @contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Put the mean into the module for a while."""
        own = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
        try:
            self.assign_to(module)
            yield
        finally:
            _assign(module, own)


@torch.no_grad()
def _assign(module: nn.Module, values: Mapping[str, Tensor]) -> None:
    for name, parameter in module.named_parameters():
        parameter.copy_(values[name])
