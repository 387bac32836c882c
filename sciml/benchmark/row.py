"""One row of the benchmark, and the JSON lines file that rows live in."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Row:
    """What one operator, trained with one seed, does on one dataset.

    Attributes:
        dataset: name of the dataset, its file's stem.
        fingerprint: of the data, so that a row is not taken for one of other data of the same name.
        operator, seed: which candidate, and the seed of its weights and training order.
        steps: optimiser steps of the training, 0 for operators that are not trained.
        settings: what else the run was asked for: batch size, learning rate, unrolled steps, test trajectories.
        layout, shape, channels, frames, trajectories: of the test data.
        metrics: label -> value over test rollouts, initial states excluded; ``one-step nRMSE`` starts from true states.
        times, error_over_time: nRMSE of the rollout after each step.
        parameters: trainable numbers.
        train_seconds: wall clock of training or fitting.
        step_seconds: wall clock of one step of one sample, in batches of ``batch``.
        peak_memory: bytes: of the device on a GPU, of the process on a CPU.
        artifacts: folder with the operator and its evaluation, relative to the rows' file.
        environment: machine, threads and versions.
        published: where the row is quoted from, "" for a row measured here.
    """

    dataset: str
    operator: str
    seed: int = 0
    steps: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    fingerprint: str = ""
    layout: str = ""
    shape: Sequence[int] = ()
    channels: Sequence[str] = ()
    frames: int = 0
    trajectories: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict)
    times: Sequence[float] = ()
    error_over_time: Sequence[float] = ()
    parameters: int = 0
    train_seconds: float = 0.0
    step_seconds: float = math.nan
    batch: int = 1
    peak_memory: int = 0
    artifacts: str = ""
    environment: Mapping[str, Any] = field(default_factory=dict)
    published: str = ""

    @property
    def key(self) -> tuple[Any, ...]:
        """What makes a row the same row in a resumed run."""
        asked = tuple(sorted(self.settings.items()))
        return self.dataset, self.fingerprint, self.operator, self.seed, self.steps, asked


def append_row(path: Path, row: Row) -> None:
    """Add a row to the file, on disk when this returns; a line torn by a kill is cut off first."""
    _drop_torn_line(path)
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(_encode(asdict(row))) + "\n")
        file.flush()
        os.fsync(file.fileno())


def read_rows(path: str | Path) -> list[Row]:
    """The rows of a JSON lines file; a last line torn by a kill is left out.

    Raises:
        ValueError: the file is missing, or a whole line in it is not a row.
    """
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"Expected a file of benchmark rows, got {path}, which does not exist. Run: sciml bench")
    lines = path.read_text(encoding="utf-8").split("\n")
    return [_parse(line, path, number) for number, line in enumerate(lines[:-1], 1) if line.strip()]


def _parse(line: str, path: Path, number: int) -> Row:
    known = {item.name for item in fields(Row)}
    try:
        found = _decode(json.loads(line))
        return Row(**{name: value for name, value in found.items() if name in known})
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: line {number} is not a benchmark row ({error}). Delete the line.") from error


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        with path.open("r+b") as file:
            file.truncate(len(whole))


def _encode(value: Any) -> Any:
    """JSON has no NaN or infinity: they are written as strings, so that any reader accepts the file."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, dict):
        return {key: _encode(item) for key, item in value.items()}
    return [_encode(item) for item in value] if isinstance(value, list | tuple) else value


def _decode(value: Any) -> Any:
    if value in ("nan", "inf", "-inf"):
        return float(value)
    if isinstance(value, dict):
        return {key: _decode(item) for key, item in value.items()}
    return [_decode(item) for item in value] if isinstance(value, list) else value
