"""What a training leaves to read: a line per epoch."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch; losses in normalised units.

    Attributes:
        epoch: from 1.
        steps: optimiser steps so far.
        lr: at the last step.
        train_loss: mean over the epoch's windows, as the weights were when each was seen.
        valid_loss: mean one-step loss after the epoch, None without validation data.
        rollout_loss: mean loss along rolled out windows, None unless asked for.
        seconds: of training, without validation.
        samples_per_second: windows seen in a second, over all processes.
    """

    epoch: int
    steps: int
    lr: float
    train_loss: float
    valid_loss: float | None
    rollout_loss: float | None
    seconds: float
    samples_per_second: float

    @property
    def criterion(self) -> float | None:
        """The loss that chooses the best weights."""
        return self.valid_loss if self.rollout_loss is None else self.rollout_loss

    def __str__(self) -> str:
        losses = (("train", self.train_loss), ("valid", self.valid_loss), ("rollout", self.rollout_loss))
        shown = "  ".join(f"{name} {value:.4g}" for name, value in losses if value is not None)
        speed = f"{self.seconds:.1f} s  {self.samples_per_second:.0f} windows/s"
        return f"epoch {self.epoch}  {shown}  lr {self.lr:.2g}  {speed}"


def write_csv(path: Path, history: Sequence[EpochRecord]) -> None:
    """The whole history, replaced at once: a resumed run leaves no line twice."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, [item.name for item in fields(EpochRecord)])
    writer.writeheader()
    writer.writerows(asdict(record) for record in history)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text.getvalue(), newline="")
    os.replace(partial, path)


class TensorBoardLog:
    """The records as TensorBoard events.

    Args:
        folder: of the events.
        steps: done so far; events after them, of a run that was killed, are hidden.

    Raises:
        ValueError: TensorBoard is not installed.
    """

    def __init__(self, folder: Path, steps: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise ValueError(
                "Expected TensorBoard for tensorboard=True, found none. Install it: pip install 'sciml[logging]'."
            ) from error
        self._writer: Any = SummaryWriter(str(folder), purge_step=steps + 1)

    def write(self, record: EpochRecord) -> None:
        """One epoch, at its number of steps."""
        for name, value in asdict(record).items():
            if value is not None and name not in ("epoch", "steps"):
                self._writer.add_scalar(name, value, record.steps)
        self._writer.flush()

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()
