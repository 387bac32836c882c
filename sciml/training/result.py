"""What ``fit`` returns."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from .log import EpochRecord


@dataclass(frozen=True, slots=True)
class FitResult:
    """A finished training.

    Attributes:
        operator: the one that was given, with the best weights (the last, or their running mean, without validation
            data), in evaluation mode.
        history: a record per epoch.
        best: the record of the epoch whose weights it has.
        stopped_early: patience ended it.
        path: its checkpoint in ``out``, None without.
    """

    operator: nn.Module
    history: tuple[EpochRecord, ...]
    best: EpochRecord
    stopped_early: bool
    path: Path | None

    @property
    def seconds(self) -> float:
        """Of training, without validation, over all its runs."""
        return sum(record.seconds for record in self.history)
