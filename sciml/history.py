"""Steppers that look at more than the present state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.data import Dataset

from sciml.datasets.channel import Channel
from sciml.datasets.statistics import Statistics
from sciml.solvers.stepper import Step, Stepper

from .normalization import Normalization
from .operators.physical import ChannelLike, parse_channels


class History(nn.Module):
    """Carries the last frames in the state, for an operator that predicts the next one from all of them.

    The state is (batch, steps * channel, *space), oldest frame first. The wrapped operator is made for the stacked
    channels, of which the past ones are static (it reads and does not predict them)::

        train = StackedWindows(Trajectories("shear_flow.h5", split="train", window=5), steps=4)
        model = History(UNet(train.channels), steps=4, dt=train.dt)
        fit(model, train)
        solution = solve(model, model.pack(u[:, :4]), t[3:], FixedStep(train.dt))
        rollout = model.newest(solution.ys, dim=2)

    The operator is what a checkpoint holds (``model.stepper``); wrap it again after loading.

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
        """The stacked channels, those of the state."""
        return tuple(self.stepper.channels)  # type: ignore[attr-defined]

    @property
    def normalization(self) -> Normalization:
        """That of the wrapped operator, over the stacked channels."""
        return self.stepper.normalization  # type: ignore[attr-defined]

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


class StackedWindows(Dataset[tuple[Tensor, Tensor]]):
    """Windows of stacked frames, from windows of single ones: what an operator inside ``History`` is trained on.

    Args:
        windows: items t (time,) and u (time, channel, *space), with ``channels``, ``statistics`` and ``dt``.
        steps: frames to a state; a window of n frames becomes one of n - steps + 1 states.

    Attributes:
        channels: the stacked channels.
        statistics: those of ``windows``, repeated for every frame.
        dt: time between frames.

    Raises:
        ValueError: the windows are shorter than ``steps``.
    """

    def __init__(self, windows: Any, steps: int) -> None:
        if steps < 1 or (len(windows) and len(windows[0][0]) < steps):
            raise ValueError(
                f"Expected windows of at least steps={steps} >= 1 frames. Make them with window={steps + 1}."
            )
        self.windows, self.steps = windows, steps
        self.channels = stacked_channels(windows.channels, steps)
        self.statistics = _repeated(windows.statistics, steps)
        self.dt = windows.dt

    def __len__(self) -> int:
        return len(self.windows)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        t, u = self.windows[index]
        states = len(t) - self.steps + 1
        return t[self.steps - 1 :], torch.cat([u[age : age + states] for age in range(self.steps)], dim=1)


def stacked_channels(channels: Sequence[ChannelLike], steps: int) -> tuple[Channel, ...]:
    """The channels of ``steps`` frames, oldest first: u[-1] is u one frame ago, static since it is not predicted."""
    frame = parse_channels(channels)
    past = [
        replace(channel, name=f"{channel.name}[-{age}]", static=True)
        for age in range(steps - 1, 0, -1)
        for channel in frame
    ]
    return (*past, *frame)


def _repeated(statistics: Statistics, steps: int) -> Statistics:
    values: dict[str, Any] = {field.name: getattr(statistics, field.name) for field in fields(statistics)}
    tiled = {name: np.tile(value, steps) for name, value in values.items() if isinstance(value, np.ndarray)}
    return replace(statistics, **{**values, **tiled})
