"""How good the operator is on data it is not trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve

from .objective import StateLoss, time_steps
from .order import WindowLoader
from .processes import place_of

if TYPE_CHECKING:
    from lightning.fabric import Fabric


@dataclass(frozen=True, slots=True)
class Validation:
    """Mean losses over windows and their steps, in normalised units; ``rollout`` None unless asked for."""

    one_step: float
    rollout: float | None


@torch.no_grad()
def validate(
    operator: nn.Module,
    loader: WindowLoader,
    loss: StateLoss,
    fabric: Fabric,
    *,
    batch_size: int,
    count: int,
    rollout: bool,
) -> Validation:
    """Every one of ``count`` windows once, divided among the processes, with the operator in evaluation mode."""
    place = place_of(fabric)
    mine = list(range(place.rank, count, place.processes))
    size = max(1, batch_size // place.processes)
    sums = torch.zeros(2, dtype=torch.float64, device=fabric.device)
    training = operator.training
    operator.eval()
    for t, u in loader.load([mine[start : start + size] for start in range(0, len(mine), size)]):
        t, u = fabric.to_device((t, u))
        with fabric.autocast():
            sums[0] += one_step_loss(operator, loss, t, u).sum()
            if rollout:
                sums[1] += rollout_loss(operator, loss, t, u).sum()
    operator.train(training)
    total = fabric.all_reduce(sums, reduce_op="sum")
    assert isinstance(total, Tensor)
    means = total / count
    return Validation(one_step=float(means[0]), rollout=float(means[1]) if rollout else None)


def one_step_loss(operator: nn.Module, loss: StateLoss, t: Tensor, u: Tensor) -> Tensor:
    """Loss (batch,) of single steps, each from the true state: mean over the steps of a window."""
    times, dt = time_steps(t, u.dtype)
    losses = [loss(operator(times[:, k], dt[:, k], u[:, k]).y, u[:, k + 1]) for k in range(dt.shape[1])]
    return torch.stack(losses).mean(dim=0)


def rollout_loss(operator: nn.Module, loss: StateLoss, t: Tensor, u: Tensor) -> Tensor:
    """Loss (batch,) of the states reached from the first by the operator alone: mean over the later times."""
    longest = t.diff(dim=1).amax(dim=1)
    ys = solve(operator, u[:, 0], t, FixedStep(longest)).ys
    assert isinstance(ys, Tensor)
    return torch.stack([loss(ys[:, k], u[:, k]) for k in range(1, u.shape[1])]).mean(dim=0)
