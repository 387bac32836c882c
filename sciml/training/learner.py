"""What a training step changes: the weights, the optimiser's moments, the running mean and the gradient scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.checkpoint import load_tensor_state, tensor_state

from .ema import MovingAverage
from .objective import NormalisedLoss, TrainingObjective, drawn_frames, time_steps
from .order import Share
from .settings import FitSettings
from .state import TrainingState, load_optimizer_tensors, optimizer_tensors

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class Learner:
    """An operator that learns.

    Args:
        fabric: the processes and the device.
        operator: is moved there.
        settings: of the training.
        frames: of a window that a step uses.
        channel_axis: of a state: 1 for a field, 2 for particles.

    Attributes:
        loss: of physical fields, in normalised units.
    """

    def __init__(
        self, fabric: Fabric, operator: nn.Module, settings: FitSettings, *, frames: int, channel_axis: int
    ) -> None:
        self.operator = operator
        self.loss = NormalisedLoss(operator, settings.loss, channel_axis)
        self._fabric, self._settings, self._frames = fabric, settings, frames
        self._adamw = _adamw(operator, settings)
        objective = TrainingObjective(operator, self.loss, settings, frames)
        self._objective, self._optimizer = fabric.setup(objective, self._adamw)
        self._average = None if settings.ema_decay is None else MovingAverage(operator, settings.ema_decay)

    def step(self, parts: Sequence[tuple[Share, Tensor, Tensor]], lr: float, number: int) -> Tensor:
        """One optimiser step, the ``number``-th of the training; draws from torch's global generators.

        Args:
            parts: this process's micro-batches: share, t (batch, time), u (batch, time, channel, *space).
            lr: the learning rate.
            number: from 1.

        Returns:
            This process's weighted loss, 0-d on the device; the batch's mean loss is the mean over processes.
        """
        self._objective.train()
        total = torch.zeros((), device=self._fabric.device)
        for share, t, u in parts:
            with self._exchanging_gradients(last=share is parts[-1][0]):
                total = total + self._backward(share, t, u)
        if self._settings.clip_norm is not None:
            # A NaN loss is reported where losses are read; an overflow in 16-mixed only skips the step.
            self._fabric.clip_gradients(
                self._objective, self._optimizer, max_norm=self._settings.clip_norm, error_if_nonfinite=False
            )
        for group in self._adamw.param_groups:
            group["lr"] = lr
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._average is not None:
            self._average.update(self.operator, number)
        return total

    def averaged(self) -> AbstractContextManager[Any]:
        """With the running mean of the weights in the operator, where there is one."""
        return nullcontext() if self._average is None else self._average.applied(self.operator)

    def finish(self, best: Mapping[str, Tensor]) -> None:
        """Leave the operator with its best weights, or else the last or their running mean, in evaluation mode."""
        if best:
            load_tensor_state(self.operator, best, "the best weights")
        elif self._average is not None:
            self._average.assign_to(self.operator)
        self.operator.eval()

    def tensors(self) -> dict[str, Mapping[str, Tensor]]:
        """All that a resumed training needs of this, as the fields of a ``TrainingState``."""
        return {
            "operator": tensor_state(self.operator),
            "optimizer": optimizer_tensors(self._adamw),
            "average": {} if self._average is None else self._average.mean,
        }

    def scaler(self) -> Mapping[str, Any]:
        """The gradient scale of 16-bit precision, empty without."""
        return self._fabric.strategy.precision.state_dict()

    def load(self, state: TrainingState, path: Path) -> None:
        """Take over a stored state, of the file ``path``; raises CheckpointError where it does not fit."""
        load_tensor_state(self.operator, state.operator, path)
        load_optimizer_tensors(self._adamw, state.optimizer, path)
        if self._average is not None:
            self._average.load(state.average)
        if state.scaler:
            self._fabric.strategy.precision.load_state_dict(dict(state.scaler))

    def _backward(self, share: Share, t: Tensor, u: Tensor) -> Tensor:
        """Add the gradient of one micro-batch; returns its weighted loss."""
        t, u = drawn_frames(t, u, self._frames)
        times, dt = time_steps(t, u.dtype)
        loss = self._objective(*self._fabric.to_device((times, dt, u))).mean() * share.weight
        self._fabric.backward(loss)
        return loss.detach()

    def _exchanging_gradients(self, last: bool) -> AbstractContextManager[Any]:
        """Processes exchange gradients once a step, with the last micro-batch."""
        if last or self._fabric.world_size == 1:
            return nullcontext()
        return self._fabric.no_backward_sync(self._objective)


def _adamw(operator: nn.Module, settings: FitSettings) -> torch.optim.AdamW:
    """AdamW that decays what multiplies, not what shifts."""
    parameters = [parameter for parameter in operator.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.lr)
