"""What a particle simulator learns from: normalised accelerations, of states whose past is noisy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from .state import read_particles

if TYPE_CHECKING:
    from .frame import ParticleFrame


@runtime_checkable
class PerSampleLoss(Protocol):
    """``(prediction, target) -> (batch,)``, both of shape (batch, channel, *space): a loss of ``sciml.training``."""

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor: ...


class MotionLoss:
    """A loss of normalised accelerations, over the particles whose motion is predicted.

    Args:
        frame: whose layout and scales count.
        loss: (prediction, target) -> (batch,), of normalised accelerations (batch, dim, node).
    """

    def __init__(self, frame: ParticleFrame, loss: PerSampleLoss) -> None:
        self._frame, self._loss = frame, loss

    def __call__(self, prediction: Tensor, target: Tensor) -> Tensor:
        """The loss of each sample, (batch,).

        The target acceleration is the one that leads from the predicted state's own past to the target's newest
        positions, so that a step is to correct the error of the velocity before it.

        Args:
            prediction: state that the operator reached, (batch, node, channel).
            target: state of the data at that time.
        """
        frame, layout = self._frame, self._frame.layout
        prediction = prediction.to(target.dtype)
        positions = prediction[..., : layout.moving].unflatten(-1, (layout.window, layout.dim))
        before, now = positions[..., -2, :], positions[..., -1, :]
        change = torch.zeros_like(now)
        if layout.window > 2:
            change = frame.box.difference(before, positions[..., -3, :])
        found, wanted = (
            frame.normalization.encode_acceleration(frame.box.difference(x, before) - change).to(target.dtype)
            for x in (now, layout.newest(target))
        )
        free = free_particles(target, frame)
        if bool(free.all()):
            return self._loss(found.transpose(1, 2), wanted.transpose(1, 2))
        samples = []
        for a, b, chosen in zip(found, wanted, free):
            value = self._loss(a[chosen].T[None], b[chosen].T[None]) if bool(chosen.any()) else a[:1].sum()[None] * 0
            samples.append(value)
        return torch.cat(samples)

    def noisy(self, u: Tensor, scale: float) -> tuple[Tensor, Tensor]:
        """The first state with a random walk added to its past, and the frames to compare with.

        Each velocity but the first takes a step of a random walk whose last value has standard deviation s = ``scale``
        times the spread of the data's velocities; the noise of positions is its sum, 0 in the oldest. The targets move
        with the noise of the newest position: a step is to correct the velocity, and not the position (Sanchez-Gonzalez
        et al. 2020, section 3.4 and released code).

        Args:
            u: windows of states (batch, frames, node, channel).
            scale: of the noise.
        """
        layout, box, first = self._frame.layout, self._frame.box, u[:, 0]
        s = scale * self._frame.normalization.noise_unit.to(u)
        free = free_particles(first, self._frame)[:, None, :, None]
        shape = (len(u), layout.window - 1, u.shape[2], layout.dim)
        steps = torch.randn(shape, dtype=u.dtype, device=u.device) * (s / (layout.window - 1) ** 0.5) * free
        walk = steps.cumsum(dim=1).cumsum(dim=1)
        walk = torch.cat([torch.zeros_like(walk[:, :1]), walk], dim=1)  # (batch, window, node, dim)
        past = first[..., : layout.moving] + walk.transpose(1, 2).flatten(2)
        past = box.wrap(past.unflatten(-1, (layout.window, layout.dim))).flatten(2)
        newest = box.wrap(layout.newest(u) + walk[:, None, -1])
        targets = torch.cat(
            [u[..., : layout.moving - layout.dim], newest, u[..., layout.moving :]],
            dim=-1,
        )
        return torch.cat([past, first[..., layout.moving :]], dim=-1), targets


def free_particles(y: Float[Tensor, "batch node channel"], frame: ParticleFrame) -> Tensor:
    """Which particles of a state are predicted, (batch, node); positions are not looked at."""
    layout = frame.layout
    constants = torch.cat([torch.zeros_like(y[..., : layout.moving]), y[..., layout.moving :]], dim=-1)
    return read_particles(constants, layout, types=frame.types, prescribed=frame.prescribed).free
