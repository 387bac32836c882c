"""Rollouts of the test trajectories, all points of every frame, and their errors."""

from __future__ import annotations

import time
from typing import Any

import torch
from torch import Tensor, nn

from sciml.metrics import giorom
from sciml.operators.particles import DenseView
from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve

from .task import SAMPLING, WINDOW, Task


@torch.no_grad()
def rollout(model: nn.Module, u: Tensor, t: Tensor, dim: int) -> Tensor:
    """Positions (1, time, node, d) after the frames that were given, of the points ``u`` (time, node, channel)."""
    static = u[None, WINDOW - 1, :, dim:]
    if model.frame.layout.reference:  # type: ignore[union-attr]
        static = torch.cat([static, u[None, 0, :, :dim]], dim=-1)
    y0 = model.pack(u[None, :WINDOW, :, :dim], static)  # type: ignore[operator]
    dt = float(t[1] - t[0])
    solution = solve(model, y0, t[WINDOW - 1 :], FixedStep(dt), throw=False)
    return model.newest(solution.ys)[:, 1:]  # type: ignore[operator]


@torch.no_grad()
def sparse_rollout(model: nn.Module, decoder: nn.Module, u: Tensor, t: Tensor, dim: int, seed: int) -> Tensor:
    """The same, of which the network steps some points and the decoder moves all."""
    start = u[None, WINDOW - 1, :, :dim]
    kept = SAMPLING(start[0], torch.Generator().manual_seed(seed))
    sparse = rollout(model, u[:, kept], t, dim)
    view = DenseView(decoder, start[:, kept], start)  # type: ignore[arg-type]
    return torch.stack([view(frame) for frame in sparse.unbind(1)], dim=1)


def constant_velocity(u: Tensor, t: Tensor, dim: int, fall: float = 0.0) -> Tensor:
    """Every point goes on as it went, up to the walls; ``fall`` is what it gains downwards in each frame."""
    last, before = u[WINDOW - 1, :, :dim], u[WINDOW - 2, :, :dim]
    steps = torch.arange(1, len(t) - WINDOW + 1, dtype=u.dtype)[:, None, None]
    position = last + steps * (last - before)
    position[..., 1:2] -= steps * (steps + 1) / 2 * fall
    return position.clamp(0, 1)[None]


def ballistic(u: Tensor, t: Tensor, dim: int) -> Tensor:
    """Every point falls freely, up to the walls."""
    return constant_velocity(u, t, dim, fall=9.8 * float(t[1] - t[0]) ** 2)


def errors(prediction: Tensor, target: Tensor) -> dict[str, float]:
    """Of one trajectory, over the frames that were not given."""
    return {
        "mse": float(giorom.rollout_mse(prediction, target)),
        "mse20": float(giorom.rollout_mse(prediction[:, :20], target[:, :20])),
        "last": float((prediction[:, -1] - target[:, -1]).square().sum(-1).mean().sqrt()),
        "chamfer": float(giorom.chamfer(prediction[:, -1:], target[:, -1:]).mean()),
        "energy": float(giorom.energy_error(prediction, target).mean()),
    }


def evaluate(task: Task, predict: Any, split: str = "test") -> dict[str, float]:
    """Means over the trajectories, and milliseconds of processor time for a frame; ``predict`` maps (u, t, dim)."""
    data, found, spent, frames = task.trajectories(split), [], 0.0, 0
    dim = len(data.axes)
    for k in range(len(data)):
        t, u = data[k]
        begin = time.process_time()
        prediction = predict(u, t, dim)
        spent += time.process_time() - begin
        frames += prediction.shape[1]
        found.append(errors(prediction, u[None, WINDOW:, :, :dim]))
    means = {key: sum(one[key] for one in found) / len(found) for key in found[0]}
    return means | {"ms": 1e3 * spent / frames}
