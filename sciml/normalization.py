"""The scales of a data set, kept inside the operator that was trained on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

PerChannel: TypeAlias = Sequence[float] | np.ndarray | Tensor

# Below this fraction of its scale a spread is float32 rounding. LagrangeBench's rule (std < 1e-7 counts as 1) is read
# relative to the mean: the absolute one would drop a channel for being given in large units.
_ROUNDING = 1e-7


class Normalization(nn.Module):
    """Mean and spread of every channel, the spread of its one-step increments, and the time step they were taken over.

    It travels in the operator's ``state_dict``, so that a loaded operator takes and returns physical units. Until
    ``set`` is called it is the identity. The buffers follow the module to other devices and to float64, but stay in
    float32 when the module goes to half precision, and encoding is elementwise, which autocast leaves alone.

    Args:
        channels: how many channels the state has.

    Attributes:
        mean: (channel,), in the channels' units.
        std: (channel,), in the channels' units, positive.
        delta_std: (channel,), standard deviation of u(t + dt) - u(t), positive.
        dt: 0-d, the time step of ``delta_std``, in the data's unit of time.
        is_set: 0-d bool, whether ``set`` has been called.
    """

    mean: Tensor
    std: Tensor
    delta_std: Tensor
    dt: Tensor
    is_set: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels))
        self.register_buffer("std", torch.ones(channels))
        self.register_buffer("delta_std", torch.ones(channels))
        self.register_buffer("dt", torch.ones(()))
        self.register_buffer("is_set", torch.zeros((), dtype=torch.bool))

    def set(self, mean: PerChannel, std: PerChannel, delta_std: PerChannel, dt: float) -> Normalization:
        """Take the statistics of a data set; returns self.

        The std of a constant channel (zero, or rounding beside its mean) becomes 1. A ``delta_std`` that is zero, or
        rounding beside the std, is raised to 1e-7 of it: such a channel is predicted not to change.

        Raises:
            ValueError: a length is not the number of channels, a value is not finite, a std is negative or dt is not
                positive.
        """
        means, stds, deltas = (
            self._per_channel(values, name) for values, name in ((mean, "mean"), (std, "std"), (delta_std, "delta_std"))
        )
        if bool((stds < 0).any()) or bool((deltas < 0).any()):
            raise ValueError(f"Expected std and delta_std >= 0, got {stds.tolist()} and {deltas.tolist()}.")
        if not (np.isfinite(float(dt)) and float(dt) > 0):
            raise ValueError(f"Expected dt > 0, the time between the states of delta_std, got {dt}.")
        stds = torch.where(stds <= _ROUNDING * means.abs(), torch.ones_like(stds), stds)
        deltas = torch.maximum(deltas, _ROUNDING * stds)
        for buffer, values in ((self.mean, means), (self.std, stds), (self.delta_std, deltas)):
            buffer.copy_(values)
        self.dt.fill_(float(dt))
        self.is_set.fill_(True)
        return self

    def encode(self, u: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel *space"]:
        """Physical units to zero mean and unit spread."""
        return (u - shaped(self.mean, u)) / shaped(self.std, u)

    def decode(self, u: Float[Tensor, "batch channel *space"]) -> Float[Tensor, "batch channel *space"]:
        """Zero mean and unit spread to physical units."""
        return u * shaped(self.std, u) + shaped(self.mean, u)

    def lead(self, dt: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The time step in units of the data set's: 1 for the step the statistics were taken over."""
        return dt / self.dt

    def _per_channel(self, values: PerChannel, name: str) -> Tensor:
        found = torch.as_tensor(values, dtype=torch.float64).detach().cpu()
        if found.shape != self.mean.shape:
            expected = tuple(self.mean.shape)
            raise ValueError(f"Expected {name} of shape {expected}, one per channel, got {tuple(found.shape)}.")
        if not bool(torch.isfinite(found).all()):
            raise ValueError(f"Expected finite {name}, got {found.tolist()}. Leave NaN out of the statistics.")
        return found

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        return keep_float32(self, lambda: super(Normalization, self)._apply(fn, recurse))


def keep_float32(module: nn.Module, move: Callable[[], Any]) -> Any:
    """Move a module's buffers like any, but never below float32: a std of 1e-9 is zero in half precision."""
    before = dict(module._buffers)
    moved = move()
    for name, old in before.items():
        new = module._buffers[name]
        if old is not None and new is not None and new.is_floating_point() and new.element_size() < 4:
            module._buffers[name] = old.to(new.device)
    return moved


def shaped(values: Float[Tensor, " n"], u: Tensor, dim: int = 1) -> Tensor:
    """``values`` of one axis of ``u`` (its channels by default), shaped to broadcast with ``u``."""
    return values.reshape([-1 if axis == dim else 1 for axis in range(u.dim())])
