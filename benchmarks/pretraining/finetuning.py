"""One row of the study: a model trained on some trajectories of a task, and its error on the test trajectories."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sciml.datasets.windows import Trajectories
from sciml.metrics.poseidon import median_relative_error
from sciml.operators import FNO, Poseidon, ScOTConfig
from sciml.operators.poseidon import ReplacedWeights
from sciml.training import FitSettings, fit, relative_l1

from .data import Task
from .together import train_together

ARCHITECTURE = ScOTConfig.preset(
    "T",
    image_size=32,
    patch_size=2,
    embed_dim=24,
    depths=(2, 2),
    num_heads=(3, 6),
    skip_connections=(1, 0),
    window_size=8,
    learn_residual=True,
)
SAMPLES = (2, 8, 32)
UPDATES, BATCH = 2000, 16
FOLDER = Path("runs/pretraining")


def pretrained(task: Task, train: Trajectories) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ReplacedWeights)
        return Poseidon.from_pretrained(FOLDER / "model", channels=train.channels, time_scale=task.duration)


def scratch(task: Task, train: Trajectories) -> nn.Module:
    return Poseidon(train.channels, architecture=ARCHITECTURE, time_scale=task.duration)


def fno(task: Task, train: Trajectories) -> nn.Module:
    return FNO(train.channels, modes=12, width=16)


# The model, and its learning rate: from a pilot on heat with 8 trajectories of seed 0, of 1e-3, 2e-3, 4e-3 and 8e-3
# from scratch (4e-3 was best), and of 1e-3 and 2e-3 for FNO; the pretrained one has half of the former.
MODELS: dict[str, tuple[Callable[[Task, Trajectories], nn.Module], float]] = {
    "pretrained": (pretrained, 2e-3),
    "from scratch": (scratch, 4e-3),
    "FNO": (fno, 2e-3),
}


def finetune(asked: dict[str, Any], device: str) -> dict[str, Any]:
    """Train as ``asked`` (task, model, samples, seed, updates, lr); the row."""
    torch.set_num_threads(1)
    task = Task.of(asked["task"], FOLDER)
    model, train = _start(asked, task)
    begin = time.perf_counter()
    fit(
        model,
        train,
        settings=settings(train, asked["updates"], lr=asked["lr"], batch=BATCH, seed=asked["seed"], device=device),
    )
    seconds = time.perf_counter() - begin
    return {**asked, "error": test_error(model, task), "seconds": round(seconds, 1), "device": device}


def finetune_together(asked: Sequence[dict[str, Any]], device: str) -> list[dict[str, Any]]:
    """The same for trainings of one task, model, number of updates and rate, as one computation (together.py)."""
    torch.set_num_threads(1)
    first, task = asked[0], Task.of(asked[0]["task"], FOLDER)
    models, trains = zip(*(_start(one, task) for one in asked))
    begin = time.perf_counter()
    chosen = settings(trains[0], first["updates"], lr=first["lr"], batch=BATCH, seed=0, device=device)
    train_together(models, trains, [one["seed"] for one in asked], first["updates"], chosen)
    seconds = round((time.perf_counter() - begin) / len(asked), 1)
    return [
        {**one, "error": test_error(model, task), "seconds": seconds, "device": device}
        for one, model in zip(asked, models)
    ]


def _start(asked: dict[str, Any], task: Task) -> tuple[Any, Trajectories]:
    """The model before its training, and what it is trained on."""
    train = task.train(asked["samples"], asked["seed"])
    torch.manual_seed(asked["seed"])
    return MODELS[asked["model"]][0](task, train), train


def settings(
    train: Trajectories, updates: int, *, lr: float, batch: int, seed: int, device: str, quiet: bool = True
) -> FitSettings:
    """Those of every training here."""
    epochs = max(1, round(updates * batch / len(train)))
    return FitSettings(
        epochs=epochs, batch_size=batch, lr=lr, loss=relative_l1, clip_norm=5.0, seed=seed, quiet=quiet, device=device
    )


@torch.no_grad()
def test_error(model: nn.Module, task: Task) -> float:
    """Median relative L1 error in percent of one step over the whole trajectory, over all that changes."""
    model.eval()
    first, last = task.test.unbind(1)
    t = torch.zeros(len(first))
    y = torch.cat(
        [model(t[k : k + 16], t[k : k + 16] + task.duration, first[k : k + 16]).y for k in range(0, len(t), 16)]
    )
    changing = [k for k, channel in enumerate(model.channels) if not channel.static]
    encoded = [model.normalization.encode(u)[:, None, changing] for u in (y, last)]
    return float(median_relative_error(*encoded, groups=(len(changing),)))
