"""The one call that trains."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sciml.checkpoint import unwrapped

from .interrupt import StopSignals
from .loop import Training
from .objective import OwnObjective, frames_needed
from .problem import check_channels, check_operator, check_windows
from .processes import start_processes
from .randomness import preserved_randomness
from .result import FitResult
from .settings import FitSettings
from .state import StateFolder


def fit(
    operator: nn.Module,
    train: Any,
    *,
    valid: Any = None,
    epochs: int | None = None,
    lr: float | None = None,
    out: str | Path | None = None,
    settings: FitSettings | None = None,
) -> FitResult:
    """Train an operator on windows of trajectories, in place.

    The loss is taken in normalised units, over ``settings.unroll`` steps of each window, with the times of the window
    itself: irregular times and all-pairs lead times train as they are. An operator whose normalisation is not set takes
    that of ``train.statistics``. With validation data the best weights are kept, otherwise the last.

    With ``out``, the folder gets ``operator.safetensors`` (see ``load_operator``), ``log.csv`` and the state of the
    training, and the same call goes on from that state: after a kill at any moment it ends, on the same hardware and
    with as many threads and processes, in the same weights to the last bit as if it had not been interrupted. Ctrl-C
    and SIGTERM finish the step, save and end the program. A finished run is not repeated; more epochs prolong it (the
    schedule is then read for the new number).

    On several GPUs, CPUs or machines, start the program with torchrun; ``batch_size`` is divided among the processes,
    and a last batch that does not divide evenly is weighted so that no window counts twice or not at all::

        torchrun --nproc-per-node 4 train.py
        torchrun --nnodes 2 --nproc-per-node 8 --rdzv-backend c10d --rdzv-endpoint host:29400 train.py

    Args:
        operator: a stepper with ``channels``, ``normalization`` and, for ``out``, ``config``. It comes back on the
            device it came from.
        train: a torch dataset of windows t (time,), u (time, channel, *space), with ``channels``, ``statistics`` and
            ``dt``, such as ``Trajectories``. Window i is the same each time it is read.
        valid: windows to validate on after each epoch.
        epochs, lr: short for ``settings``.
        out: folder of the run; on several machines one that all see.
        settings: everything else; ``FitSettings()`` by default.

    Returns:
        The operator with its best weights, and a record of each epoch.

    Raises:
        ValueError: operator, data and settings do not fit together, or ``out`` holds another training.
        TrainingError: the loss became NaN or infinite. Nothing of it is saved; the operator's weights are lost.
        TrainingInterrupted: Ctrl-C or SIGTERM (with ``out``); a ``SystemExit``.
    """
    settings = settings or FitSettings()
    settings = replace(
        settings, epochs=settings.epochs if epochs is None else epochs, lr=settings.lr if lr is None else lr
    )
    frames = _check(operator, train, valid, settings, out)
    folder = None if out is None else _open_folder(Path(out), operator, settings)
    set_normalization(operator, train, settings.noise)
    home = next(chain(operator.parameters(), operator.buffers())).device
    with preserved_randomness(), StopSignals(folder is not None) as signals:
        fabric = start_processes(settings)
        training = Training(fabric, operator, train, valid, settings, frames=frames, folder=folder)
        try:
            return training.run(signals)
        finally:
            training.close()
            operator.to(home)


@torch.no_grad()
def set_normalization(operator: nn.Module, train: Any, noise: float = 0.0) -> None:
    """Give an operator the scales of its training data, unless it has some."""
    normalization: Any = operator.normalization
    if bool(normalization.is_set):
        return
    if isinstance(operator, OwnObjective):
        operator.set_scales(train, noise)
        return
    statistics = train.statistics
    dt = train.dt if train.dt is not None else _mean_gap(train)
    normalization.set(statistics.mean, statistics.std, statistics.std_delta, dt)


def _mean_gap(train: Any) -> float:
    """Time between frames in data without a common dt: the mean over windows from all over it."""
    some = range(0, len(train), max(1, len(train) // 16))
    return float(torch.cat([torch.as_tensor(train[k][0], dtype=torch.float64).diff() for k in some]).mean())


def _check(operator: nn.Module, train: Any, valid: Any, settings: FitSettings, out: str | Path | None) -> int:
    """Refuse what cannot be trained; returns how many frames of a window a training step uses."""
    check_operator(operator, train)
    window = len(train[0][0]) if len(train) else 0
    frames = frames_needed(settings, window)
    check_windows(train, settings, "train", frames)
    if valid is not None:
        check_channels(tuple(operator.channels), tuple(valid.channels), "valid")  # type: ignore[arg-type]
        check_windows(valid, settings, "valid", 2)
    if settings.tensorboard and out is None:
        raise ValueError("Expected `out` for tensorboard=True, got None. Pass out=..., where the events go.")
    for name in ("patience", "rollout"):
        if getattr(settings, name) and valid is None:
            raise ValueError(
                f"Expected validation data for {name}={getattr(settings, name)}, got none. Pass valid=...."
            )
    return frames


def _open_folder(path: Path, operator: nn.Module, settings: FitSettings) -> StateFolder:
    unwrapped(operator)  # refuses what could not be saved after hours of training
    folder = StateFolder(path)
    if not settings.resume and folder.paths():
        raise ValueError(
            f"Expected an `out` without a training for resume=False, got {path}, which has one. "
            "Choose another, or delete it."
        )
    return folder
