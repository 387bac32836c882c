"""Steppers that look at more than the present state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.datasets.channel import Channel
from sciml.solvers.stepper import Step, Stepper

from .normalization import Normalization, PerChannel
from .operators.physical import ChannelLike, parse_channels


class History(nn.Module):
    """Carries the last frames in the state, for an operator that predicts the next one from all of them.

    The state is (batch, steps * channel, *space), oldest frame first. The wrapped operator is made for the stacked
    channels, of which the past ones are static (it reads and does not predict them)::

        model = History(UNet(stacked_channels(train.channels, 4)), steps=4, dt=train.dt)
        solution = solve(model, model.pack(u[:, :4]), t[3:], FixedStep(train.dt))
        rollout = model.newest(solution.ys, dim=2)

    The frames of a state are one step apart, so steps of varying length mean something else to the operator than what
    it was trained on: with ``dt`` given they are refused, ``StepDoubling`` and adaptive control among them.

    Args:
        stepper: an operator on ``steps`` times the channels.
        steps: frames it sees.
        dt: time between frames; None leaves the length of steps unchecked.

    Raises:
        ValueError: steps is not positive or does not divide the operator's channels.
    """

    def __init__(self, stepper: Stepper, steps: int, *, dt: float | None = None) -> None:
        super().__init__()
        channels = getattr(stepper, "channels", None)
        if steps < 1 or (channels is not None and len(channels) % steps):
            raise ValueError(
                f"Expected steps >= 1 that divides the operator's {len(channels or ())} channels, got {steps}. "
                "Make the operator with stacked_channels(channels, steps)."
            )
        self.stepper, self.steps, self.dt = stepper, steps, dt

    @property
    def channels(self) -> tuple[Channel, ...]:
        """The channels of one frame."""
        stacked = self.stepper.channels  # type: ignore[attr-defined]
        return tuple(stacked[-(len(stacked) // self.steps) :])

    @property
    def normalization(self) -> Normalization:
        """That of the wrapped operator, over the stacked channels."""
        return self.stepper.normalization  # type: ignore[attr-defined]

    def set_normalization(self, mean: PerChannel, std: PerChannel, delta_std: PerChannel, dt: float) -> None:
        """Give the wrapped operator the statistics of one frame, (channel,) each, for every frame."""
        means, stds, deltas = (torch.as_tensor(values).repeat(self.steps) for values in (mean, std, delta_std))
        self.normalization.set(means, stds, deltas, dt)

    def pack(self, frames: Float[Tensor, "batch time channel *space"]) -> Float[Tensor, "batch stacked *space"]:
        """The state after ``steps`` frames, given oldest first.

        Raises:
            ValueError: the number of frames is another.
        """
        if frames.shape[1] != self.steps:
            raise ValueError(f"Expected {self.steps} frames, got {frames.shape[1]}. Take frames[:, :{self.steps}].")
        return frames.flatten(1, 2)

    def newest(self, y: Tensor, dim: int = 1) -> Tensor:
        """The last frame of stacked states; ``dim`` is their channel axis, 1 in a state and 2 in ``Solution.ys``."""
        length = y.shape[dim] // self.steps
        return y.narrow(dim, y.shape[dim] - length, length)

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Float[Tensor, "batch stacked *space"]
    ) -> Step:
        """Drop the oldest frame and append the predicted one.

        Raises:
            ValueError: ``dt`` is not the time between frames.
        """
        self._check_spacing(dt)
        step = self.stepper(t, dt, y)
        kept = y.narrow(1, y.shape[1] // self.steps, y.shape[1] - y.shape[1] // self.steps)
        return Step(y=torch.cat([kept, self.newest(step.y)], dim=1), evaluations=step.evaluations)

    def _check_spacing(self, dt: Tensor) -> None:
        if self.dt is None or torch.compiler.is_compiling():
            return
        wrong = (dt != 0) & ((dt - self.dt).abs() > 1e-3 * self.dt)  # 0: a sample that has finished
        if bool(wrong.any()):
            raise ValueError(
                f"Expected steps of dt={self.dt}, the time between the frames of the history, "
                f"got {dt[wrong][0].item()}. Use FixedStep(dt) and output times that are multiples of it."
            )


def stacked_channels(channels: Sequence[ChannelLike], steps: int) -> tuple[Channel, ...]:
    """The channels of ``steps`` frames, oldest first: u[-1] is u one frame ago, static since it is not predicted."""
    frame = parse_channels(channels)
    past = [
        replace(channel, name=f"{channel.name}[-{age}]", static=True)
        for age in range(steps - 1, 0, -1)
        for channel in frame
    ]
    return (*past, *frame)
