"""``sciml train``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import torch
import typer

from sciml.benchmark.candidates import CANDIDATES
from sciml.cli.console import name_list, output
from sciml.datasets.windows import Trajectories
from sciml.training import FitSettings, fit

_TRAINED = [name for name, candidate in CANDIDATES.items() if candidate.trained]


def train(
    data: Annotated[list[Path], typer.Argument(help="Files of the same channels and grid, in any supported layout.")],
    model: Annotated[str, typer.Option("--model", "-m", help=f"One of {', '.join(_TRAINED)}.")] = "unet",
    epochs: Annotated[int, typer.Option(help="Passes over the training windows.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Windows in a step, over all processes.")] = 16,
    lr: Annotated[float, typer.Option(help="Highest learning rate.")] = 1e-3,
    unroll: Annotated[int, typer.Option(help="Steps unrolled from each window's first frame.")] = 1,
    pushforward: Annotated[int, typer.Option(help="Steps taken before these without a gradient.")] = 0,
    noise: Annotated[float, typer.Option(help="On the first state, in units of each channel's std.")] = 0.0,
    ema: Annotated[float | None, typer.Option(help="Decay of a running mean of the weights.")] = None,
    patience: Annotated[int | None, typer.Option(help="Epochs without improvement after which to stop.")] = None,
    parameters: Annotated[str, typer.Option(help="Physical parameters to give as channels, by commas.")] = "",
    precision: Annotated[str, typer.Option(help="32-true, 64-true, bf16-mixed, 16-mixed.")] = "32-true",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    workers: Annotated[int, typer.Option(help="Processes that load data.")] = 0,
    seed: Annotated[int, typer.Option(help="Of weights, data order and noise.")] = 0,
    tensorboard: Annotated[bool, typer.Option(help="Also write TensorBoard events.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")] = Path("runs/train"),
) -> None:
    """Train an operator. A run that was stopped, killed even, goes on where it was when the command is repeated.

    sciml train ns.h5 --model fno --epochs 100 --out runs/fno

    torchrun --nproc-per-node 4 -m sciml train ns.h5 --out runs/fno
    """
    if model not in _TRAINED:
        raise ValueError(f"Expected --model to be one of {', '.join(_TRAINED)}; got {model!r}.")
    window = unroll + pushforward + 1
    chosen = tuple(name_list(parameters))
    windows = Trajectories(data, split="train", window=window, parameters=chosen)
    valid = Trajectories(data, split="valid", window=window, parameters=chosen)
    torch.manual_seed(seed)
    result = fit(
        CANDIDATES[model].build(windows),
        windows,
        valid=valid,
        out=out,
        settings=FitSettings(
            epochs=epochs,
            batch_size=batch_size,
            lr=lr,
            unroll=unroll,
            pushforward=pushforward,
            noise=noise,
            ema_decay=ema,
            patience=patience,
            precision=precision,  # type: ignore[arg-type]
            device=device,
            num_workers=workers,
            seed=seed,
            tensorboard=tensorboard,
        ),
    )
    if int(os.environ.get("RANK", "0")) == 0:
        output.print(f"operator: {result.path}", highlight=False)
