"""What a training step changes: the weights, the optimiser's moments, the running mean and the gradient scale."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.checkpoint import load_tensor_state, tensor_state

from .ema import MovingAverage
from .groups import adamw_groups, trainable_groups
from .objective import TrainingObjective, drawn_frames, state_loss, time_steps
from .order import Share
from .processes import is_sharded
from .settings import FitSettings
from .sharding import broadcast, load_whole_state, whole, whole_state
from .state import TrainingState, load_optimizer_tensors, optimizer_tensors

if TYPE_CHECKING:
    from lightning.fabric import Fabric


class Learner:
    """An operator that learns.

    Args:
        fabric: the processes and the device.
        operator: is moved there; where each process keeps a part of the weights, a copy of it is.
        settings: of the training.
        frames: of a window that a step uses.
        channel_axis: of a state: 1 for a field, 2 for particles.

    Attributes:
        operator: that was given. Of a copy that is divided among processes it has the weights while ``gathered``.
        parameters: names of those that learn, in the optimiser's order.
        loss: of physical fields, in normalised units.
    """

    def __init__(
        self, fabric: Fabric, operator: nn.Module, settings: FitSettings, *, frames: int, channel_axis: int
    ) -> None:
        self.operator = operator
        self._fabric, self._settings, self._frames = fabric, settings, frames
        self._sharded = is_sharded(fabric)
        self._worker = _copy_to(fabric.device, operator) if self._sharded else operator
        self.loss = state_loss(self._worker, settings.loss, channel_axis)
        groups = trainable_groups(operator, settings.groups)
        self.parameters = [name for group in groups for name in group.names]
        objective = TrainingObjective(self._worker, self.loss, settings, frames)
        if self._sharded:  # the parameters are new ones then
            self._objective: Any = fabric.setup_module(objective, move_to_device=False)
        self._adamw = torch.optim.AdamW(
            adamw_groups(self._worker, groups, lr=settings.lr, weight_decay=settings.weight_decay),
            lr=settings.lr,
            betas=settings.betas,
            eps=settings.eps,
        )
        if self._sharded:
            self._optimizer: Any = fabric.setup_optimizers(self._adamw)
        else:
            self._objective, self._optimizer = fabric.setup(objective, self._adamw)
        self._average = None if settings.ema_decay is None else MovingAverage(self._worker, settings.ema_decay)

    def step(self, parts: Sequence[tuple[Share, Tensor, Tensor]], factor: float, number: int) -> Tensor:
        """One optimiser step, the ``number``-th of the training; draws from torch's global generators.

        Args:
            parts: this process's micro-batches: share, t (batch, time), u (batch, time, channel, *space).
            factor: of each group's highest learning rate.
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
            group["lr"] = group["peak"] * factor
        self._optimizer.step()
        self._optimizer.zero_grad()
        if self._average is not None:
            self._average.update(self._worker, number)
        return total

    def averaged(self) -> AbstractContextManager[Any]:
        """With the running mean of the weights in place of them, where there is one."""
        return nullcontext() if self._average is None else self._average.applied(self._worker)

    @contextmanager
    def gathered(self) -> Iterator[nn.Module]:
        """The operator with the weights as they are; all processes have to enter, as they may have to be gathered."""
        if not self._sharded:
            yield self.operator
            return
        home = _device_of(self.operator)
        load_tensor_state(self.operator, whole_state(self._worker), "the weights of all processes")
        self.operator.to(self._fabric.device)
        try:
            yield self.operator
        finally:
            self.operator.to(home)

    def finish(self, best: Mapping[str, Tensor]) -> None:
        """Leave the operator with its best weights, or else the last or their running mean, in evaluation mode."""
        if not best and self._average is not None:
            self._average.assign_to(self._worker)
        with self.gathered():
            if best:
                load_tensor_state(self.operator, best, "the best weights")
        self.operator.eval()

    def tensors(self) -> dict[str, Mapping[str, Tensor]]:
        """All that a resumed training needs of this, as fields of a ``TrainingState``; all processes have to call."""
        average = {} if self._average is None else self._average.mean
        return {
            "operator": whole_state(self._worker) if self._sharded else tensor_state(self.operator),
            "optimizer": optimizer_tensors(self._adamw),
            "average": {name: whole(value) for name, value in average.items()},
        }

    def scaler(self) -> Mapping[str, Any]:
        """The gradient scale of 16-bit precision, empty without."""
        return self._fabric.strategy.precision.state_dict()

    def load(self, state: TrainingState, path: Path) -> None:
        """Take over a stored state, of the file ``path``; raises CheckpointError where it does not fit."""
        load_tensor_state(self.operator, state.operator, path)
        if self._sharded:
            load_whole_state(self._worker, state.operator)
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


def _copy_to(device: torch.device, operator: nn.Module) -> nn.Module:
    """A copy of the first process's operator, to be divided."""
    worker = copy.deepcopy(operator).to(device)
    for tensor in worker.state_dict().values():
        broadcast(tensor)
    return worker


def _device_of(operator: nn.Module) -> torch.device:
    return next(operator.parameters()).device
