"""``sciml train``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer

from sciml.cli.console import name_list, output
from sciml.cli.training import (
    LOSSES,
    TRAINED,
    check_names,
    checkpoint_blocks,
    given_settings,
    is_first_process,
    operator_for,
    save_published,
    settings_for,
    windows_for,
)
from sciml.datasets.frames import AllPairs
from sciml.training import fit, freeze_latent

_MODEL = f"One of {', '.join(TRAINED)}; by default unet, or what --from holds."
_FROM = "Weights to start from: a name of the hub (camlab-ethz/Poseidon-T), a folder, or an operator.safetensors."
_MIX = "Each file is a data set, the smaller ones drawn more often: 1 by size, inf all alike."


def train(
    context: typer.Context,
    data: Annotated[list[Path], typer.Argument(help="Files of the same channels and grid, in any supported layout.")],
    model: Annotated[str | None, typer.Option("--model", "-m", help=_MODEL)] = None,
    source: Annotated[str | None, typer.Option("--from", help=_FROM)] = None,
    freeze: Annotated[str | None, typer.Option(help="latent: train a Poseidon's embedding and recovery alone.")] = None,
    checkpointing: Annotated[bool, typer.Option(help="Compute a Poseidon's blocks twice, to save memory.")] = False,
    epochs: Annotated[int | None, typer.Option(help="Passes over the training windows, by default 50.")] = None,
    batch_size: Annotated[
        int | None, typer.Option(help="Windows in a step, over all processes, by default 16.")
    ] = None,
    accumulate: Annotated[int, typer.Option(help="Micro-batches of a process in a step, to save memory.")] = 1,
    lr: Annotated[float | None, typer.Option(help="Highest learning rate, by default 1e-3.")] = None,
    lr_embedding: Annotated[float | None, typer.Option(help="That of a Poseidon's embedding and recovery.")] = None,
    lr_time: Annotated[float | None, typer.Option(help="That of a Poseidon's norms, which know the time.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of AdamW, by default 1e-5.")] = None,
    loss: Annotated[str | None, typer.Option(help=f"One of {', '.join(LOSSES)}.")] = None,
    pairs: Annotated[int | None, typer.Option(help="Train on all pairs of frames up to so many strides apart.")] = None,
    pairs_stride: Annotated[int, typer.Option(help="Frames from one to the next of those paired.")] = 1,
    identity: Annotated[bool, typer.Option(help="Also pair each frame with itself.")] = True,
    mix_temperature: Annotated[float | None, typer.Option(help=_MIX)] = None,
    unroll: Annotated[int, typer.Option(help="Steps unrolled from each window's first frame.")] = 1,
    pushforward: Annotated[int, typer.Option(help="Steps taken before these without a gradient.")] = 0,
    noise: Annotated[float, typer.Option(help="On the first state, in units of each channel's std.")] = 0.0,
    ema: Annotated[float | None, typer.Option(help="Decay of a running mean of the weights.")] = None,
    patience: Annotated[int | None, typer.Option(help="Epochs without improvement after which to stop.")] = None,
    parameters: Annotated[str, typer.Option(help="Physical parameters to give as channels, by commas.")] = "",
    precision: Annotated[str, typer.Option(help="32-true, 64-true, bf16-mixed, 16-mixed.")] = "32-true",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    strategy: Annotated[str, typer.Option(help="Of several processes: ddp, or fsdp to divide the weights.")] = "ddp",
    workers: Annotated[int, typer.Option(help="Processes that load data.")] = 0,
    seed: Annotated[int, typer.Option(help="Of weights, data order and noise.")] = 0,
    tensorboard: Annotated[bool, typer.Option(help="Also write TensorBoard events.")] = False,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of the run.")] = Path("runs/train"),
) -> None:
    """Train an operator. A run that was stopped, killed even, goes on where it was when the command is repeated.

    sciml train ns.h5 --model fno --epochs 100 --out runs/fno

    sciml train ns.h5 --model poseidon-t --from camlab-ethz/Poseidon-T --pairs 7 --epochs 20

    torchrun --nproc-per-node 4 -m sciml train ns.h5 --out runs/fno

    A Poseidon has other defaults, the published recipe: 200 epochs (400 without --from), batches of 40, and so on.
    """
    check_names(model, loss, freeze)
    paired = None if pairs is None else AllPairs(pairs, pairs_stride, identity)
    windows, valid = (
        windows_for(
            data,
            split,
            frames=unroll + pushforward + 1,
            pairs=paired,
            parameters=tuple(name_list(parameters)),
            temperature=mix_temperature,
        )
        for split in ("train", "valid")
    )
    torch.manual_seed(seed)
    operator, replaced = operator_for(model, source, windows)
    if freeze is not None:
        freeze_latent(operator)
    if checkpointing:
        checkpoint_blocks(operator)
    settings = settings_for(
        operator,
        pretrained=source is not None,
        replaced=replaced or freeze is not None,
        channels=windows.channels,
        loss=loss,
        rates=(lr_embedding, lr_time),
        given=given_settings(context.params),
    )
    result = fit(operator, windows, valid=valid, out=out, settings=settings)
    if is_first_process():
        output.print(f"operator: {result.path}", highlight=False)
        save_published(operator, out / "pretrained")
