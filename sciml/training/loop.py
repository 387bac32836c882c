"""The training loop."""

from __future__ import annotations

import math
import signal
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.checkpoint import load_tensor_state, save_operator, tensor_state

from .ema import MovingAverage
from .interrupt import StopSignals, TrainingInterrupted
from .log import EpochRecord, TensorBoardLog, write_csv
from .objective import NormalisedLoss, TrainingObjective, drawn_frames, time_steps
from .order import Share, WindowLoader, shares, training_order
from .problem import TrainingError
from .processes import place_of
from .progress import Display
from .randomness import seed_step
from .result import FitResult
from .settings import FitSettings
from .state import Position, StateFolder, TrainingState, load_optimizer_tensors, optimizer_tensors
from .validation import Validation, validate

if TYPE_CHECKING:
    from lightning.fabric import Fabric

# Reading a loss makes the host wait for a GPU: there it is done only every so many steps.
_STEPS_BETWEEN_READS = 16


class Training:
    """One run of ``fit`` in one process.

    Args:
        fabric: the processes and the device.
        operator, train, valid, settings: as given to ``fit``, checked.
        frames: of a window that a training step uses.
        folder: of the states, None to save nothing.
    """

    def __init__(
        self,
        fabric: Fabric,
        operator: nn.Module,
        train: Any,
        valid: Any,
        settings: FitSettings,
        *,
        frames: int,
        folder: StateFolder | None,
    ) -> None:
        self.fabric, self.operator, self.train, self.valid = fabric, operator, train, valid
        self.settings, self.frames, self.folder = settings, frames, folder
        self.place = place_of(fabric)
        self.steps_per_epoch = math.ceil(len(train) / settings.batch_size)
        self.position = Position()
        self.best: dict[str, Tensor] = {}
        self._set_up_modules()
        self._set_up_loaders()
        self._resume()
        self._set_up_reports()

    def run(self, signals: StopSignals) -> FitResult:
        """Train to the end."""
        while self.position.epoch < self.settings.epochs and not self._exhausted():
            self._train_epoch(signals)
            self._finish_epoch()
        return self._finish()

    def close(self) -> None:
        """Take the display down and finish the logs."""
        self.display.close()
        if self.board is not None:
            self.board.close()

    def _set_up_modules(self) -> None:
        settings = self.settings
        axis = 2 if getattr(self.train, "kind", "grid") == "particles" else 1
        self.loss = NormalisedLoss(self.operator, settings.loss, axis)
        objective = TrainingObjective(self.operator, self.loss, settings, self.frames)
        self.plain_optimizer = _adamw(self.operator, settings)
        self.objective, self.optimizer = self.fabric.setup(objective, self.plain_optimizer)
        decay = settings.ema_decay
        self.average = None if decay is None else MovingAverage(self.operator, decay)

    def _set_up_loaders(self) -> None:
        workers, pin = self.settings.num_workers, self.fabric.device.type == "cuda"
        self.loader = WindowLoader(self.train, num_workers=workers, pin=pin)
        self.valid_loader = None if self.valid is None else WindowLoader(self.valid, num_workers=workers, pin=pin)

    def _resume(self) -> None:
        """Go on from the newest state, where there is one; all processes from the one that the first has chosen."""
        if self.folder is None:
            return
        path: Path | None = self.fabric.broadcast(self.folder.newest() if self.place.rank == 0 else None)
        if path is None:
            return
        state = TrainingState.read(path)
        self.settings.check_resumable(state.settings)
        if state.windows != len(self.train):
            raise ValueError(
                f"Expected train to hold the {state.windows} windows of the run in {self.folder.path}, got "
                f"{len(self.train)}. Use the same data, or another `out` for a new run."
            )
        load_tensor_state(self.operator, state.operator, path)
        load_optimizer_tensors(self.plain_optimizer, state.optimizer, path)
        if self.average is not None:
            self.average.load(state.average)
        if state.scaler:
            self.fabric.strategy.precision.load_state_dict(dict(state.scaler))
        self.position, self.best = state.position, dict(state.best)

    def _set_up_reports(self) -> None:
        position, settings, first = self.position, self.settings, self.place.rank == 0
        self.display = Display(settings.epochs * self.steps_per_epoch, position.steps, settings.quiet or not first)
        self.board: TensorBoardLog | None = None
        if first and settings.tensorboard:
            if self.folder is None:
                raise ValueError("Expected `out` for tensorboard=True, got None. Pass out=..., where the events go.")
            self.board = TensorBoardLog(self.folder.path, position.steps)
        if position.steps and self.folder is not None:
            self.display.say(f"resumed {self.folder.path} after {position.epoch} epochs and {position.step} steps")

    def _train_epoch(self, signals: StopSignals) -> None:
        settings, position = self.settings, self.position
        order = training_order(
            len(self.train), batch_size=settings.batch_size, seed=settings.seed, epoch=position.epoch
        )[position.step :]
        plan = [shares(batch, self.place, settings.accumulate) for batch in order]
        windows = self.loader.load([share.windows for parts in plan for share in parts])
        self.objective.train()
        clock = _Clock(saved=time.monotonic(), read=time.perf_counter())
        unread = _Unread()
        for batch, parts in zip(order, plan):
            loss = self._step([(share, *next(windows)) for share in parts])
            unread.add(loss, len(batch))
            position.step, position.steps = position.step + 1, position.steps + 1
            if self._reads_now():
                self._read(unread, clock, signals)

    def _step(self, parts: list[tuple[Share, Tensor, Tensor]]) -> Tensor:
        """One optimiser step; returns this process's part of the batch's mean loss."""
        position, settings = self.position, self.settings
        seed_step(settings.seed, position.epoch, position.step, self.place.rank)
        total = torch.zeros((), device=self.fabric.device)
        for number, (share, t, u) in enumerate(parts, start=1):
            t, u = drawn_frames(t, u, self.frames)
            times, dt = time_steps(t, u.dtype)
            with self._gradients(synchronised=number == len(parts)):
                loss = self.objective(*self.fabric.to_device((times, dt, u))).mean() * share.weight
                self.fabric.backward(loss)
            total = total + loss.detach()
        if settings.clip_norm is not None:
            # A NaN loss is reported where losses are read; an overflow in 16-mixed only skips the step.
            self.fabric.clip_gradients(
                self.objective, self.optimizer, max_norm=settings.clip_norm, error_if_nonfinite=False
            )
        for group in self.plain_optimizer.param_groups:
            group["lr"] = self._lr(position.step)
        self.optimizer.step()
        self.optimizer.zero_grad()
        if self.average is not None:
            self.average.update(self.operator, position.steps + 1)
        return total

    def _gradients(self, synchronised: bool) -> AbstractContextManager[Any]:
        """Processes exchange gradients once a step, with the last micro-batch."""
        if synchronised or self.place.processes == 1:
            return nullcontext()
        return self.fabric.no_backward_sync(self.objective)

    def _lr(self, step: int) -> float:
        """The learning rate of a step of the current epoch, from 0."""
        epoch = self.position.epoch + (step + 0.5) / self.steps_per_epoch
        return self.settings.lr * self.settings.schedule(epoch, self.settings.epochs)

    def _reads_now(self) -> bool:
        """Whether losses are read, and stops and saves considered, after this step: the same in all processes."""
        step, every = self.position.step, self.settings.save_steps
        regular = self.fabric.device.type == "cpu" or self.position.steps % _STEPS_BETWEEN_READS == 0
        return regular or step == self.steps_per_epoch or (every is not None and step % every == 0)

    def _read(self, unread: _Unread, clock: _Clock, signals: StopSignals) -> None:
        """Bring the losses in, refuse bad ones, and save or stop where it is time; all processes decide alike."""
        position, settings = self.position, self.settings
        overdue = settings.save_seconds is not None and time.monotonic() - clock.saved >= settings.save_seconds
        flags = torch.tensor([signals.received, overdue and self.place.rank == 0], device=self.fabric.device)
        values = torch.cat([torch.stack(unread.losses), flags.to(unread.losses[0].dtype)])
        *losses, stop, save = self.fabric.all_reduce(values, reduce_op="sum").tolist()  # type: ignore[union-attr]
        means = [loss / self.place.processes for loss in losses]
        self._refuse_bad(means)
        position.loss_sum += sum(mean * size for mean, size in zip(means, unread.sizes))
        position.seconds += clock.lap()
        self.display.advance(len(means), position.epoch + 1, means[-1])
        unread.clear()
        regular = settings.save_steps is not None and position.step % settings.save_steps == 0
        if self.folder is not None and (stop or save or regular):
            self._save()
            clock.saved = time.monotonic()
        if self.folder is not None and stop:
            self._stop(signals.received or signal.SIGTERM)

    def _refuse_bad(self, means: list[float]) -> None:
        for back, mean in enumerate(reversed(means)):
            if not math.isfinite(mean):
                step = self.position.step - back
                raise TrainingError(
                    f"The loss became {mean} in epoch {self.position.epoch + 1}, step {step} of {self.steps_per_epoch} "
                    f"(lr {self._lr(step - 1):.2g}). Lower lr, set clip_norm, unroll fewer steps, check the data for "
                    "NaN, or leave 16-mixed for bf16-mixed. The saved state is from before."
                )

    def _stop(self, number: int) -> None:
        assert self.folder is not None
        message = (
            f"Stopped by a signal after {self.position.epoch} epochs and {self.position.step} steps; the state is in "
            f"{self.folder.path}. The same call resumes it."
        )
        if self.place.rank == 0:
            self.display.close()
            print(message, file=sys.stderr)
        raise TrainingInterrupted(message, number)

    def _finish_epoch(self) -> None:
        """Validate, keep the best, log and save."""
        position = self.position
        seconds, loss = position.seconds, position.loss_sum / len(self.train)
        with self._averaged():
            validation = self._validate()
            record = EpochRecord(
                epoch=position.epoch + 1,
                steps=position.steps,
                lr=self._lr(position.step - 1),
                train_loss=loss,
                valid_loss=None if validation is None else validation.one_step,
                rollout_loss=None if validation is None else validation.rollout,
                seconds=seconds,
                samples_per_second=len(self.train) / seconds if seconds > 0 else 0.0,
            )
            position.history.append(record)
            position.epoch, position.step, position.loss_sum, position.seconds = position.epoch + 1, 0, 0.0, 0.0
            self._keep_best(record)
        self.display.record(record)
        if self.board is not None:
            self.board.write(record)
        if self.folder is not None:
            self._save()
            if self.place.rank == 0:
                write_csv(self.folder.path / "log.csv", position.history)

    def _validate(self) -> Validation | None:
        if self.valid_loader is None:
            return None
        settings = self.settings
        return validate(
            self.operator,
            self.valid_loader,
            self.loss,
            self.fabric,
            batch_size=settings.batch_size,
            count=len(self.valid),
            rollout=settings.rollout,
        )

    def _keep_best(self, record: EpochRecord) -> None:
        """Note whether this epoch is the best, and its weights if it is; NaN never is, unless nothing else was."""
        position, loss = self.position, record.criterion
        if loss is None:
            return
        if position.best_epoch and not loss < position.best_loss:
            position.stale += 1
            return
        position.best_loss = loss if math.isfinite(loss) else math.inf
        position.best_epoch, position.stale = record.epoch, 0
        self.best = {name: tensor.cpu().clone() for name, tensor in tensor_state(self.operator).items()}
        self._write_checkpoint(record)

    def _averaged(self) -> AbstractContextManager[Any]:
        """With the running mean of the weights in the operator, where there is one."""
        return nullcontext() if self.average is None else self.average.applied(self.operator)

    def _exhausted(self) -> bool:
        return self.settings.patience is not None and self.position.stale >= self.settings.patience

    def _finish(self) -> FitResult:
        position = self.position
        best = position.history[position.best_epoch - 1]  # the last where no epoch was ever chosen
        if self.best:
            load_tensor_state(self.operator, self.best, "the best weights")
        elif self.average is not None:
            self.average.assign_to(self.operator)
        self.operator.eval()
        path = self._write_checkpoint(best)
        self.fabric.barrier()
        stopped = position.epoch < self.settings.epochs
        return FitResult(self.operator, tuple(position.history), best, stopped, path)

    def _write_checkpoint(self, record: EpochRecord) -> Path | None:
        """The operator as it is now, to be used elsewhere."""
        if self.folder is None:
            return None
        path = self.folder.path / "operator.safetensors"
        if self.place.rank == 0:
            provenance = {
                "settings": self.settings.as_json(),
                "windows": len(self.train),
                "epoch": record.epoch,
                "train_loss": record.train_loss,
                "valid_loss": record.valid_loss,
                "rollout_loss": record.rollout_loss,
            }
            save_operator(self.operator, path, data=self.train, training=provenance)
        return path

    def _save(self) -> None:
        """The state of the training, by the first process: all have the same."""
        if self.place.rank > 0 or self.folder is None:
            return
        state = TrainingState(
            position=self.position,
            operator=tensor_state(self.operator),
            optimizer=optimizer_tensors(self.plain_optimizer),
            average={} if self.average is None else self.average.mean,
            best=self.best,
            scaler=self.fabric.strategy.precision.state_dict(),
            settings=self.settings.as_json(),
            windows=len(self.train),
        )
        self.folder.save(state)


@dataclass
class _Unread:
    """Losses of steps, still on the device, and the sizes of their batches."""

    losses: list[Tensor] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def add(self, loss: Tensor, size: int) -> None:
        self.losses.append(loss)
        self.sizes.append(size)

    def clear(self) -> None:
        self.losses.clear()
        self.sizes.clear()


@dataclass
class _Clock:
    """When the state was last saved, and the losses last read."""

    saved: float
    read: float

    def lap(self) -> float:
        """Seconds since the last lap."""
        before, self.read = self.read, time.perf_counter()
        return self.read - before


def _adamw(operator: nn.Module, settings: FitSettings) -> torch.optim.AdamW:
    """AdamW that decays what multiplies, not what shifts."""
    parameters = [parameter for parameter in operator.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in parameters if p.dim() >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in parameters if p.dim() < 2], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW([group for group in groups if group["params"]], lr=settings.lr)
