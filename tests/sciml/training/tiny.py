"""A small operator and small data to train it on, for these tests alone."""

import numpy as np
import torch
from torch import nn

from sciml.datasets.channel import Axis, Channel
from sciml.datasets.statistics import Statistics
from sciml.datasets.windows import Trajectories
from sciml.normalization import Normalization
from sciml.operators import Poseidon, ScOTConfig
from sciml.solvers.stepper import Step

CHANNELS = (Channel("density", "kg m-3"), Channel("velocity_x", "m s-1", "velocity", "x"), Channel("wall", static=True))


class Tiny(nn.Module):
    """u + dt times a small convolution of it and of t; the static channel is handed on."""

    def __init__(self, channels=CHANNELS, width=4, dropout=0.0):
        super().__init__()
        self.channels = tuple(channels)
        self.config = {"channels": [channel.name for channel in channels], "width": width, "dropout": dropout}
        self.normalization = Normalization(len(channels))
        self.dynamic = [k for k, channel in enumerate(channels) if not channel.static]
        self.inner = nn.Conv1d(len(channels) + 1, width, 3, padding=1, padding_mode="circular")
        self.outer = nn.Conv1d(width, len(self.dynamic), 1)
        self.drop = nn.Dropout(dropout)

    def forward(self, t, dt, u):
        x = self.normalization.encode(u)
        clock = t.to(u.dtype)[:, None, None].expand(-1, 1, x.shape[-1])
        change = self.outer(self.drop(torch.tanh(self.inner(torch.cat([x, clock], dim=1)))))
        y = u.clone()
        std = self.normalization.std[self.dynamic, None].to(u.dtype)
        y[:, self.dynamic] = u[:, self.dynamic] + dt.to(u.dtype)[:, None, None] * std * change.to(u.dtype)
        return Step(y=y)


class Decay:
    """Windows of u(t) = u0 exp(-rate t), in two channels of very different scale, beside a static one.

    Args:
        count: windows.
        frames: of each.
        irregular: draw the times of each window.
    """

    def __init__(self, count=20, frames=2, *, seed=0, rates=(1.0, 0.5), irregular=False, points=8):
        random = np.random.default_rng(seed)
        self.channels, self.dt, self.time_units = CHANNELS, 0.1, "s"
        self.axes = (Axis("x", np.linspace(0, 1, points, endpoint=False), "m", "periodic"),)
        gaps = random.uniform(0.05, 0.4, (count, frames)) if irregular else np.full((count, frames), self.dt)
        self.t = gaps.cumsum(axis=1) - gaps[:, :1]
        start = random.normal(size=(count, 1, 2, points)) * [[1.0], [1000.0]] + [[0.0], [5000.0]]
        decay = np.exp(-self.t[:, :, None, None] * np.array(rates)[:, None])
        moving = start * decay
        wall = np.broadcast_to(random.integers(0, 2, (count, 1, 1, points)), (count, frames, 1, points))
        self.u = np.concatenate([moving, wall], axis=2)
        flat, delta = self.u.transpose(2, 0, 1, 3).reshape(3, -1), np.diff(self.u, axis=1).swapaxes(0, 2).reshape(3, -1)
        self.statistics = Statistics(
            mean=flat.mean(1),
            std=flat.std(1),
            rms=np.sqrt((flat**2).mean(1)),
            mean_delta=delta.mean(1),
            std_delta=delta.std(1),
            rms_delta=np.sqrt((delta**2).mean(1)),
        )

    def __len__(self):
        return len(self.t)

    def __getitem__(self, index):
        return torch.from_numpy(self.t[index]), torch.from_numpy(self.u[index]).float()


def tiny(seed=0, **arguments):
    """A Tiny with weights of a seed."""
    torch.manual_seed(seed)
    return Tiny(**arguments)


def weights(module):
    """All of a module's state as one vector."""
    return torch.cat([value.flatten().double() for value in module.state_dict().values()])


ARCHITECTURE = ScOTConfig.preset(
    "T", image_size=16, embed_dim=8, depths=(2, 1), num_heads=(2, 2), skip_connections=(1, 0), window_size=2
)
FLOW = (
    Channel("density"),
    Channel("velocity_x", field="velocity", component="x"),
    Channel("velocity_y", field="velocity", component="y"),
    Channel("pressure"),
)


def small_poseidon(seed=0, channels=FLOW):
    """A Poseidon of two levels with weights of a seed, its norms' scales far from zero."""
    torch.manual_seed(seed)
    model = Poseidon(channels, architecture=ARCHITECTURE, boundary="periodic")
    for name, parameter in model.named_parameters():
        if "norm" in name and name.endswith("weight.bias"):
            torch.nn.init.ones_(parameter)
    return model


def small_waves(count, *, frames=2, seed=0, channels=FLOW, window=2):
    """Windows of waves on 16 by 16 points."""
    random = np.random.default_rng(seed)
    x = np.linspace(0, 2 * np.pi, 16, endpoint=False)
    phase = random.uniform(0, 6, (count, 1, len(channels), 1, 1))
    shift = x[:, None] + 2 * x + np.arange(frames)[:, None, None, None] * 0.3
    axes = tuple(Axis(name, x, "m", "periodic") for name in "xy")
    return Trajectories.from_arrays(
        np.sin(shift + phase).astype("float32"), np.arange(frames) * 0.1, channels=channels, axes=axes, window=window
    )
