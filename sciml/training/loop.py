"""The training loop."""

from __future__ import annotations

import math
import signal
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from sciml.checkpoint import save_operator, tensor_state

from .interrupt import StopSignals, TrainingInterrupted
from .learner import Learner
from .log import EpochRecord, TensorBoardLog, write_csv
from .order import Drawing, WindowLoader, shares, training_order
from .problem import TrainingError
from .processes import is_sharded, place_of
from .progress import Display
from .randomness import seed_step
from .result import FitResult
from .settings import FitSettings
from .state import Position, StateFolder, TrainingState
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
        self.fabric, self.train, self.valid = fabric, train, valid
        self.settings, self.folder = settings, folder
        self.place = place_of(fabric)
        self.steps_per_epoch = math.ceil(len(train) / settings.batch_size)
        self.position = Position()
        self.best: dict[str, Tensor] = {}
        axis = 2 if getattr(train, "kind", "grid") == "particles" else 1
        self.learner = Learner(fabric, operator, settings, frames=frames, channel_axis=axis)
        self.loader = self._loader(train)
        self.valid_loader = None if valid is None else self._loader(valid)
        self._resume()
        self._open_reports()

    @property
    def _checks(self) -> dict[str, Any]:
        """What of operator and data must stay the same in a resumed run, beside shapes and number of windows."""
        quotas = list(getattr(self.train, "quotas", ()))
        return {"parameters that learn": self.learner.parameters, "quotas of the mixture": quotas}

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

    def _loader(self, data: Any) -> WindowLoader:
        return WindowLoader(data, num_workers=self.settings.num_workers, pin=self.fabric.device.type == "cuda")

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
        for name, now in self._checks.items():
            before = state.checks.get(name, now)  # older runs stored none
            if before != now:
                raise ValueError(
                    f"Expected the {name} of the run in {self.folder.path}: {_difference(before, now)}. "
                    "Use the same, or another `out` for a new run."
                )
        self.learner.load(state, path)
        self.position, self.best = state.position, dict(state.best)

    def _open_reports(self) -> None:
        position, settings, first = self.position, self.settings, self.place.rank == 0
        self.board = None
        if first and settings.tensorboard and self.folder is not None:
            self.board = TensorBoardLog(self.folder.path, position.steps)
        self.display = Display(settings.epochs * self.steps_per_epoch, position.steps, settings.quiet or not first)
        if position.steps and self.folder is not None:
            self.display.say(f"resumed {self.folder.path} after {position.epoch} epochs and {position.step} steps")

    def _train_epoch(self, signals: StopSignals) -> None:
        settings, position = self.settings, self.position
        order = training_order(
            len(self.train),
            batch_size=settings.batch_size,
            seed=settings.seed,
            epoch=position.epoch,
            data=self.train if isinstance(self.train, Drawing) else None,
        )[position.step :]
        plan = [shares(batch, self.place, settings.accumulate, even=is_sharded(self.fabric)) for batch in order]
        windows = self.loader.load([share.windows for parts in plan for share in parts])
        unread = _Unread(saved=time.monotonic(), read=time.perf_counter())
        for batch, parts in zip(order, plan):
            loaded = [(share, *next(windows)) for share in parts]
            seed_step(settings.seed, position.epoch, position.step, self.place.rank)
            loss = self.learner.step(loaded, self._factor(position.step), position.steps + 1)
            unread.add(loss, len(batch))
            position.step, position.steps = position.step + 1, position.steps + 1
            if self._reads_now():
                self._read(unread, signals)

    def _factor(self, step: int) -> float:
        """The schedule's, for a step of the current epoch, from 0."""
        epoch = self.position.epoch + (step + 0.5) / self.steps_per_epoch
        return self.settings.schedule(epoch, self.settings.epochs)

    def _lr(self, step: int) -> float:
        """The learning rate of the settings in a step of the current epoch."""
        return self.settings.lr * self._factor(step)

    def _reads_now(self) -> bool:
        """Whether losses are read, and stops and saves considered, after this step: the same in all processes."""
        step, every = self.position.step, self.settings.save_steps
        regular = self.fabric.device.type == "cpu" or self.position.steps % _STEPS_BETWEEN_READS == 0
        return regular or step == self.steps_per_epoch or (every is not None and step % every == 0)

    def _read(self, unread: _Unread, signals: StopSignals) -> None:
        """Bring the losses in, refuse bad ones, and save or stop where it is time; all processes decide alike."""
        position, settings = self.position, self.settings
        overdue = settings.save_seconds is not None and time.monotonic() - unread.saved >= settings.save_seconds
        flags = torch.tensor([signals.received, overdue and self.place.rank == 0], device=self.fabric.device)
        values = torch.cat([torch.stack(unread.losses), flags.to(unread.losses[0].dtype)])
        *losses, stop, save = self._sum(values).tolist()
        means = [loss / self.place.processes for loss in losses]
        self._refuse_bad(means)
        position.loss_sum += sum(mean * size for mean, size in zip(means, unread.sizes))
        position.seconds += unread.clear()
        self.display.advance(len(means), position.epoch + 1, means[-1])
        regular = settings.save_steps is not None and position.step % settings.save_steps == 0
        if self.folder is not None and (stop or save or regular):
            self._save(self.folder)
            unread.saved = time.monotonic()
        if self.folder is not None and stop:
            self._stop(self.folder, signals.received or signal.SIGTERM)

    def _sum(self, values: Tensor) -> Tensor:
        """Over processes."""
        total = self.fabric.all_reduce(values, reduce_op="sum")
        assert isinstance(total, Tensor)
        return total

    def _refuse_bad(self, means: list[float]) -> None:
        for back, mean in enumerate(reversed(means)):
            if not math.isfinite(mean):
                step = self.position.step - back
                raise TrainingError(
                    f"The loss became {mean} in epoch {self.position.epoch + 1}, step {step} of {self.steps_per_epoch} "
                    f"(lr {self._lr(step - 1):.2g}). Lower lr, set clip_norm, unroll fewer steps, check the data for "
                    "NaN, or leave 16-mixed for bf16-mixed. The saved state is from before."
                )

    def _stop(self, folder: StateFolder, number: int) -> None:
        message = (
            f"Stopped by a signal after {self.position.epoch} epochs and {self.position.step} steps; the state is in "
            f"{folder.path}. The same call resumes it."
        )
        if self.place.rank == 0:
            self.display.close()
            print(message, file=sys.stderr)
        raise TrainingInterrupted(message, number)

    def _finish_epoch(self) -> None:
        """Validate, keep the best, log and save."""
        position = self.position
        with self.learner.averaged(), self.learner.gathered() as operator:
            record = self._record(self._validate(operator))
            position.history.append(record)
            position.epoch, position.step, position.loss_sum, position.seconds = record.epoch, 0, 0.0, 0.0
            self._keep_best(record)
        self.display.say(str(record))
        if self.board is not None:
            self.board.write(record)
        if self.folder is not None:
            self._save(self.folder)
            if self.place.rank == 0:
                write_csv(self.folder.path / "log.csv", position.history)

    def _validate(self, operator: nn.Module) -> Validation | None:
        if self.valid_loader is None:
            return None
        return validate(
            operator,
            self.valid_loader,
            self.learner.loss,
            self.fabric,
            batch_size=self.settings.batch_size,
            count=len(self.valid),
            rollout=self.settings.rollout,
        )

    def _record(self, validation: Validation | None) -> EpochRecord:
        position, count = self.position, len(self.train)
        return EpochRecord(
            epoch=position.epoch + 1,
            steps=position.steps,
            lr=self._lr(self.steps_per_epoch - 1),
            train_loss=position.loss_sum / count,
            valid_loss=None if validation is None else validation.one_step,
            rollout_loss=None if validation is None else validation.rollout,
            seconds=position.seconds,
            samples_per_second=count / position.seconds if position.seconds > 0 else 0.0,
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
        self.best = {name: tensor.cpu().clone() for name, tensor in tensor_state(self.learner.operator).items()}
        self._write_checkpoint(record)

    def _exhausted(self) -> bool:
        return self.settings.patience is not None and self.position.stale >= self.settings.patience

    def _finish(self) -> FitResult:
        position = self.position
        best = position.history[position.best_epoch - 1]  # the last where no epoch was ever chosen
        self.learner.finish(self.best)
        path = self._write_checkpoint(best)
        self.fabric.barrier()
        stopped = position.epoch < self.settings.epochs
        return FitResult(self.learner.operator, tuple(position.history), best, stopped, path)

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
            save_operator(self.learner.operator, path, data=self.train, training=provenance)
        return path

    def _save(self, folder: StateFolder) -> None:
        """The state of the training, by the first process: all have the same, or a part of it."""
        tensors = self.learner.tensors()
        if self.place.rank > 0:
            return
        state = TrainingState(
            position=self.position,
            **tensors,
            best=self.best,
            scaler=self.learner.scaler(),
            settings=self.settings.as_json(),
            windows=len(self.train),
            checks=self._checks,
        )
        folder.save(state)


def _difference(before: Any, now: Any) -> str:
    """Two lists in few words."""
    if len(before) < 10 and len(now) < 10:
        return f"{before}, now {now}"
    other = [name for name in (*before, *now) if (name in before) != (name in now)]
    return f"{len(before)}, now {len(now)}" + (
        f", among the others {', '.join(other[:3])}" if other else " or in order"
    )


@dataclass
class _Unread:
    """Losses of steps, on the device, with the sizes of their batches; when they were read, and the state saved."""

    saved: float
    read: float
    losses: list[Tensor] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def add(self, loss: Tensor, size: int) -> None:
        """One more step."""
        self.losses.append(loss)
        self.sizes.append(size)

    def clear(self) -> float:
        """They are read; returns the seconds since they last were."""
        self.losses.clear()
        self.sizes.clear()
        before, self.read = self.read, time.perf_counter()
        return self.read - before
