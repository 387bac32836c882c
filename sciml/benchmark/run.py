"""Datasets times operators times seeds, row by row, resumable."""

from __future__ import annotations

import hashlib
import math
import os
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from sciml.benchmark.candidates import Candidate
from sciml.benchmark.cost import PeakMemory, environment, seconds_per_step
from sciml.benchmark.evaluation import Evaluation, evaluate
from sciml.benchmark.row import Row, append_row, read_rows
from sciml.checkpoint import save_operator
from sciml.datasets.dataset import Dataset
from sciml.datasets.open import open_dataset
from sciml.datasets.windows import Trajectories
from sciml.training import FitSettings, fit

ROWS = "rows.jsonl"


@dataclass(frozen=True, kw_only=True)
class BenchSettings:
    """What every operator gets alike.

    Attributes:
        steps: optimiser steps of each training, the budget.
        batch_size: windows in a step.
        lr: highest learning rate, None for each candidate's own.
        unroll: steps of each window that a training step unrolls.
        seeds: of weights and data order; operators without randomness run once.
        device: "auto", "cpu", "cuda", "cuda:1".
        max_test: test trajectories that are scored at most, always the same choice.
    """

    steps: int = 240
    batch_size: int = 8
    lr: float | None = None
    unroll: int = 1
    seeds: tuple[int, ...] = (0,)
    device: str = "auto"
    max_test: int = 64

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size", "unroll", "max_test"):
            if getattr(self, name) < 1:
                raise ValueError(f"Expected {name} >= 1, got {getattr(self, name)}.")
        if not self.seeds:
            raise ValueError("Expected at least one seed, got none.")

    def of(self, candidate: Candidate) -> dict[str, Any]:
        """Those that make a difference to the candidate's row, beside seed and steps."""
        names = ("batch_size", "lr", "unroll", "max_test") if candidate.trained else ("unroll", "max_test")
        return {name: candidate.lr if getattr(self, name) is None else getattr(self, name) for name in names}


@dataclass(frozen=True)
class _Task:
    """One row to be."""

    name: str
    dataset: Dataset
    fingerprint: str
    candidate: Candidate
    seed: int
    steps: int
    settings: dict[str, Any]

    @property
    def label(self) -> str:
        return f"{self.name} / {self.candidate.name}" + (f" / seed {self.seed}" if self.candidate.seeded else "")

    @property
    def key(self) -> tuple[Any, ...]:
        return self.as_row.key

    @property
    def folder(self) -> str:
        digest = hashlib.sha256(repr(self.key).encode()).hexdigest()[:8]
        return f"{self.name}/{self.candidate.name}-seed{self.seed}-{digest}"

    @property
    def as_row(self) -> Row:
        """The row before anything is measured."""
        return Row(
            dataset=self.name,
            fingerprint=self.fingerprint,
            operator=self.candidate.name,
            seed=self.seed,
            steps=self.steps,
            settings=self.settings,
            layout=self.dataset.layout,
        )


def run(
    paths: Sequence[str | Path],
    candidates: Sequence[Candidate],
    out: str | Path,
    settings: BenchSettings,
    *,
    announce: Callable[[str], None] = print,
) -> list[Row]:
    """Fill ``out/rows.jsonl`` with a row for each dataset, operator and seed; those already there are kept.

    A run that was stopped goes on where it was: finished rows are not repeated, and a training goes on from its last
    saved state.

    Args:
        paths: files of any supported layout.
        candidates: operators to compare.
        out: folder of the rows, the trained operators and their evaluations.
        settings: budget and seeds.
        announce: told what is being done, a line at a time.

    Returns:
        The rows of these datasets, operators and seeds, measured now or before.

    Raises:
        DatasetError: a file cannot be read; checked for all files before anything is trained.
        ValueError: a dataset that no operator of the benchmark can step.
    """
    out = Path(out)
    tasks = list(_tasks(paths, candidates, settings))
    out.mkdir(parents=True, exist_ok=True)
    file = out / ROWS
    done = {row.key: row for row in (read_rows(file) if file.exists() else [])}
    for number, task in enumerate(tasks, 1):
        head = f"[{number}/{len(tasks)}] {task.label}"
        if task.key in done:
            announce(f"{head}: kept")
            continue
        announce(head)
        row = _measure(task, out, settings)
        append_row(file, row)
        done[task.key] = row
        announce(f"    nRMSE one step {row.metrics['one-step nRMSE']:.3g}, rollout {row.metrics['rollout/nRMSE']:.3g}")
    return [done[task.key] for task in tasks]


def _tasks(paths: Sequence[str | Path], candidates: Sequence[Candidate], settings: BenchSettings) -> Iterator[_Task]:
    datasets = [_open(path) for path in paths]
    names = [dataset.path.stem for dataset in datasets]
    contents = [fingerprint(dataset.path) for dataset in datasets]
    for (dataset, name, content), candidate in product(zip(datasets, names, contents), candidates):
        unique = name if names.count(name) == 1 else f"{dataset.path.parent.name}-{name}"
        for seed in settings.seeds if candidate.seeded else settings.seeds[:1]:
            steps = settings.steps if candidate.trained else 0
            yield _Task(
                name=unique,
                dataset=dataset,
                fingerprint=content,
                candidate=candidate,
                seed=seed if candidate.seeded else 0,
                steps=steps,
                settings=settings.of(candidate),
            )


def _open(path: str | Path) -> Dataset:
    """A dataset that can be benchmarked: refused here, before anything is trained on another one."""
    dataset = open_dataset(path)
    if dataset.kind != "grid":
        raise ValueError(
            f"{path}: the operators of the benchmark step fields on a grid, and this dataset holds {dataset.kind}."
        )
    for split in ("train", "valid", "test"):
        Trajectories(dataset, split=split, window=2)
    return dataset


def _measure(task: _Task, out: Path, settings: BenchSettings) -> Row:
    train = Trajectories(task.dataset, split="train", window=settings.unroll + 1)
    valid = Trajectories(task.dataset, split="valid", window=settings.unroll + 1)
    test = Trajectories(task.dataset, split="test", max_trajectories=settings.max_test)
    folder = out / task.folder
    folder.mkdir(parents=True, exist_ok=True)
    _seed(task.seed)
    device = torch.device(_device(settings.device))
    with PeakMemory(device) as memory:
        start = time.perf_counter()
        operator = task.candidate.build(train)
        seconds = time.perf_counter() - start
        if task.candidate.trained:
            seconds = _train(operator, train, valid, task, settings, folder)
    save_operator(operator, folder / "operator.safetensors", data=train)
    operator.to(device)
    evaluation = evaluate(operator, test)
    evaluation.save(folder / "evaluation.safetensors")
    return _row(task, test, operator, evaluation, seconds, memory.bytes, device)


def _train(
    operator: nn.Module,
    train: Trajectories,
    valid: Trajectories,
    task: _Task,
    settings: BenchSettings,
    folder: Path,
) -> float:
    """Train for the budget, rounded up to whole epochs; returns seconds."""
    epochs = math.ceil(settings.steps / math.ceil(len(train) / settings.batch_size))
    result = fit(
        operator,
        train,
        valid=valid,
        out=folder / "training",
        settings=FitSettings(
            epochs=epochs,
            batch_size=settings.batch_size,
            lr=task.settings["lr"],
            seed=task.seed,
            device=settings.device,
            save_seconds=60.0,
        ),
    )
    return result.seconds


def _row(
    task: _Task,
    test: Trajectories,
    operator: nn.Module,
    evaluation: Evaluation,
    seconds: float,
    memory: int,
    device: torch.device,
) -> Row:
    u = torch.stack([test[k].u[0] for k in range(min(8, len(test)))]).to(device)
    dt = float(test[0].t.diff().max())
    return replace(
        task.as_row,
        shape=test.shape,
        channels=[channel.name for channel in test.channels],
        frames=len(evaluation.ts) + 1,
        trajectories=len(test),
        metrics=dict(evaluation.metrics),
        times=evaluation.ts.tolist(),
        error_over_time=evaluation.error_over_time.tolist(),
        parameters=sum(parameter.numel() for parameter in operator.parameters()),
        train_seconds=seconds,
        step_seconds=seconds_per_step(operator, u, dt),
        batch=len(u),
        peak_memory=memory,
        artifacts=task.folder,
        environment=environment(device),
    )


def _device(name: str) -> str:
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name


def _seed(seed: int) -> None:
    random.seed(seed)
    np.random.seed(seed)  # noqa: NPY002  # libraries that draw their weights from it are not ours to change
    torch.manual_seed(seed)


def fingerprint(path: str | Path) -> str:
    """A hash of a file's size, beginning, middle and end (of a folder: of its files'), cheap on any size."""
    path = Path(path)
    files = sorted(entry for entry in path.rglob("*") if entry.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for entry in files:
        size = entry.stat().st_size
        digest.update(f"{entry.name}:{size};".encode())
        with entry.open("rb") as file:
            for offset in (0, size // 2, max(0, size - 65536)):
                file.seek(offset, os.SEEK_SET)
                digest.update(file.read(65536))
    return digest.hexdigest()[:16]
