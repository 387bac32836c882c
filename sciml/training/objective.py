"""What is minimised: the error of a few steps of the operator, in normalised units."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.operators.physical import take

from .loss import Loss
from .settings import FitSettings


@runtime_checkable
class StateLoss(Protocol):
    """How a state is compared with the data, and what noise is to it."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Float[Tensor, " batch"]:
        """The loss of each sample; both are states in physical units."""
        ...

    def noisy(self, u: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """The first state of windows (batch, frames, ...) with noise, and the frames to compare with."""
        ...


@runtime_checkable
class OwnObjective(Protocol):
    """An operator that says itself what ``fit`` minimises, since it predicts something else than normalised fields."""

    def set_scales(self, train: Any, noise: float) -> None:
        """Take the scales of the training data, given the noise of the settings; called where none are set."""
        ...

    def state_loss(self, loss: Loss) -> StateLoss:
        """The loss of its states, made of a loss of what it predicts."""
        ...


def state_loss(operator: nn.Module, loss: Loss, channel_axis: int) -> StateLoss:
    """The loss of an operator's states: its own, or else that of normalised fields."""
    if isinstance(operator, OwnObjective):
        return operator.state_loss(loss)
    return NormalisedLoss(operator, loss, channel_axis)


class NormalisedLoss:
    """A loss of physical fields, taken in normalised units over the channels that are not static.

    Args:
        operator: whose channels and normalisation count.
        loss: (prediction, target) -> (batch,).
        channel_axis: of a state: 1 for a field, 2 for particles.
    """

    def __init__(self, operator: nn.Module, loss: Loss, channel_axis: int = 1) -> None:
        self._normalization = operator.normalization
        self._loss, self._axis = loss, channel_axis
        self._dynamic = [k for k, channel in enumerate(operator.channels) if not channel.static]  # type: ignore[arg-type]

    def __call__(self, prediction: Tensor, target: Tensor) -> Float[Tensor, " batch"]:
        """The loss of each sample."""
        # In half precision the difference of two nearly equal fields would be mostly rounding.
        return self._loss(self._encoded(prediction.to(target.dtype)), self._encoded(target))

    def noisy(self, u: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """The first state of windows with noise, and the windows as they are."""
        return u[:, 0] + self.noise(u[:, 0], scale), u

    def noise(self, u: Tensor, scale: float) -> Tensor:
        """Gaussian noise for ``u``: ``scale`` stds of each channel, nothing on static ones."""
        std: Tensor = self._normalization.std.to(u)  # type: ignore[union-attr, assignment]
        dynamic = torch.zeros_like(std)
        for k in self._dynamic:  # a list as index, or a number that is assigned, would be copied to the device
            dynamic[k].fill_(scale)
        return torch.randn_like(u) * _along(std * dynamic, u, self._axis)

    def _encoded(self, u: Tensor) -> Tensor:
        encoded: Tensor = self._normalization.encode(u.movedim(self._axis, 1))  # type: ignore[union-attr, operator]
        return take(encoded, self._dynamic)


class TrainingObjective(nn.Module):
    """The loss of each window: noise on its first state, ``pushforward`` steps without and ``unroll`` with a gradient.

    One module whose call is one forward pass: distributed wrappers see exactly one forward for each backward, and
    autocast covers all of it.

    Args:
        operator: the stepper that is trained.
        loss: in normalised units.
        settings: for unroll, pushforward and noise.
        frames: of a window that are used, from a start drawn at random.
    """

    def __init__(self, operator: nn.Module, loss: StateLoss, settings: FitSettings, frames: int) -> None:
        super().__init__()
        self.operator = operator
        self.loss, self.settings, self.frames = loss, settings, frames

    def forward(self, t: Tensor, dt: Tensor, u: Tensor) -> Tensor:
        """Loss (batch,), the mean over the unrolled steps.

        Args:
            t: (batch, frames) times.
            dt: (batch, frames - 1) their differences.
            u: (batch, frames, channel, *space) in physical units.
        """
        y, losses = u[:, 0], []
        if self.training and self.settings.noise > 0:
            y, u = self.loss.noisy(u, self.settings.noise)
        for k in range(self.frames - 1):
            detached = k < self.settings.pushforward
            with torch.set_grad_enabled(torch.is_grad_enabled() and not detached):
                y = self.operator(t[:, k], dt[:, k], y).y
            if not detached:
                losses.append(self.loss(y, u[:, k + 1]))
        return torch.stack(losses).mean(dim=0)


def frames_needed(settings: FitSettings, window: int) -> int:
    """Frames of a window that a training step uses, of ``window`` that there are."""
    if settings.unroll is None:
        return max(window, settings.pushforward + 2)
    return settings.pushforward + settings.unroll + 1


def drawn_frames(t: Tensor, u: Tensor, frames: int) -> tuple[Tensor, Tensor]:
    """``frames`` consecutive frames of each window, from a start drawn from torch's global generator."""
    spare = t.shape[1] - frames
    if spare == 0:
        return t, u
    index = torch.randint(spare + 1, (len(t), 1)) + torch.arange(frames)
    rows = torch.arange(len(t))[:, None]
    return t[rows, index], u[rows, index]


def time_steps(t: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """t (batch, time) and its differences (batch, time - 1) in ``dtype``; differences are taken before rounding."""
    return t.to(dtype), t.diff(dim=1).to(dtype)


def _along(values: Tensor, like: Tensor, axis: int) -> Tensor:
    return values.reshape([-1 if k == axis else 1 for k in range(like.dim())])
