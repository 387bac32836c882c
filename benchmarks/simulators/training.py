"""One training of the study, for as long as any other."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from sciml.checkpoint import load_operator
from sciml.operators.particles import DensePairs, GridDecoder, ReferenceDecoder, UniformSampling, sparse_radius
from sciml.training import FitSettings, fit

from .task import FOLDER, MODELS, POINTS, RADIUS, SPARSE, Task

NOISE, RATE, MEAN = 0.02, 1e-3, 0.998


@dataclass(frozen=True)
class Budget:
    """What a training may take: updates of so many windows each, and where."""

    updates: int
    batch: int = 2
    device: str = "cpu"


DECODERS: dict[str, Callable[[DensePairs, float], nn.Module]] = {
    "reference": lambda pairs, radius: ReferenceDecoder(pairs.channels, radius=1.5 * radius),
    "grid": lambda pairs, radius: GridDecoder(pairs.channels, box=pairs.box, spacing=radius),
}
"""From the data and the radius of the sparse graph."""


class Some(Dataset[tuple[Tensor, Tensor]]):
    """``count`` windows of others, spread over all of them: what an epoch of known length is made of."""

    def __init__(self, windows: Any, count: int) -> None:
        self._windows, self._count = windows, count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        if not 0 <= index < self._count:
            raise IndexError(index)
        item: tuple[Tensor, Tensor] = self._windows[(index * 2_654_435_761) % len(self._windows)]
        return item

    def __getattr__(self, name: str) -> Any:
        return getattr(self._windows, name)


def train(task: Task, name: str, seed: int, budget: Budget, folder: Path = FOLDER) -> tuple[nn.Module, float]:
    """A trained network and the seconds that it took (of the processor, where it was one), read if it is there."""
    out = folder / f"{task.family}-{name}-{seed}"
    stored, clock = out / "operator.safetensors", out / "seconds.txt"
    if stored.exists() and clock.exists():
        return load_operator(stored), float(clock.read_text())
    torch.manual_seed(seed)
    model, windows = MODELS[name](task)
    settings = FitSettings(
        epochs=1,
        batch_size=budget.batch,
        lr=RATE,
        noise=NOISE,
        ema_decay=MEAN,
        clip_norm=1.0,
        seed=seed,
        device=budget.device,
        quiet=True,
    )
    clock_of = time.process_time if budget.device == "cpu" else time.perf_counter
    seconds = float(clock.read_text()) if clock.exists() else 0.0  # of a run that was interrupted
    begin = clock_of()
    try:
        fit(model, Some(windows, budget.batch * budget.updates), settings=settings, out=out)
    finally:
        seconds += clock_of() - begin
        out.mkdir(parents=True, exist_ok=True)
        clock.write_text(f"{seconds:.0f}")
    return model.cpu().eval(), seconds


def train_decoder(task: Task, name: str, budget: Budget = Budget(300), folder: Path = FOLDER) -> nn.Module:
    """What moves all points with those of the sparse graph, of ``DECODERS``; one for all seeds."""
    out = folder / f"{task.family}-{name}-decoder"
    if (out / "operator.safetensors").exists():
        return load_operator(out / "operator.safetensors")
    torch.manual_seed(0)
    pairs = DensePairs(task.trajectories("train"), UniformSampling(SPARSE), queries=POINTS, stride=5)
    decoder = DECODERS[name](pairs, sparse_radius(RADIUS[pairs.box.dim], SPARSE / POINTS, dim=pairs.box.dim))
    settings = FitSettings(epochs=1, batch_size=budget.batch, lr=RATE, seed=0, device=budget.device, quiet=True)
    fit(decoder, Some(pairs, budget.batch * budget.updates), settings=settings, out=out)
    return decoder.eval()
