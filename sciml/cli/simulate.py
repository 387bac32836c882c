"""``sciml simulate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn

from sciml.checkpoint import load_operator
from sciml.cli.console import errors, output
from sciml.cli.scene import run_scene
from sciml.datasets.header import Header, Trajectory
from sciml.datasets.windows import Trajectories
from sciml.datasets.writer import write_dataset
from sciml.plots import animate
from sciml.plots.style import quantity
from sciml.solvers.controller import FixedStep, StepSizeController
from sciml.solvers.pid import PIDController
from sciml.solvers.solution import Solution
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling


def simulate(
    source: Annotated[Path, typer.Argument(help="The operator.safetensors of a training, or a scene (.toml).")],
    data: Annotated[
        Path | None, typer.Argument(help="Of an operator: a file whose initial state to start from.")
    ] = None,
    trajectory: Annotated[int, typer.Option(help="Of an operator: which one, within the split.")] = 0,
    split: Annotated[str, typer.Option(help="Of an operator: train, valid or test.")] = "test",
    steps: Annotated[
        int, typer.Option(help="Of an operator: steps of the data's dt; 0 for as many as the file has.")
    ] = 0,
    rtol: Annotated[
        float | None, typer.Option(help="Of an operator: adaptive steps by step doubling, to this tolerance.")
    ] = None,
    channel: Annotated[int, typer.Option(help="Of an operator: which channel the animation shows.")] = 0,
    frames: Annotated[int, typer.Option(help="Of a scene: how many, the first one included; 0 for its own.")] = 0,
    resume: Annotated[bool, typer.Option(help="Of a scene: go on from the last frame of OUT.")] = False,
    overwrite: Annotated[bool, typer.Option(help="Of a scene: begin again if OUT is there.")] = False,
    colour: Annotated[str, typer.Option(help="Of a scene: points by material or speed.")] = "auto",
    layout: Annotated[
        str, typer.Option(help="Of a scene: native, or lagrangebench for a directory beside OUT too.")
    ] = "native",
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1.")] = "cpu",
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="HDF5 file to write, rollout.h5 or SCENE.h5; pictures appear beside it."),
    ] = None,
) -> None:
    """Roll a trained operator out from a file's initial state, or simulate a scene; write frames and pictures.

    sciml simulate runs/fno/operator.safetensors ns.h5 --trajectory 3 --out rollout.h5

    sciml simulate dam_break.toml --out dam.h5
    """
    if source.suffix.lower() == ".toml":
        if data is not None:
            raise ValueError(f"Expected a scene alone, got {data} too. It goes with an operator.safetensors.")
        run_scene(
            source,
            out or Path(source.stem + ".h5"),
            frames=frames,
            resume=resume,
            overwrite=overwrite,
            colour=colour,
            layout=layout,
            device=device,
        )
        return
    if frames or resume or overwrite or colour != "auto" or layout != "native":
        raise ValueError("Expected --frames, --resume, --overwrite, --colour and --layout with a scene (.toml) alone.")
    _simulate_operator(source, data, out or Path("rollout.h5"), trajectory, split, steps, rtol, channel, device)


def _simulate_operator(
    checkpoint: Path,
    data: Path | None,
    out: Path,
    trajectory: int,
    split: str,
    steps: int,
    rtol: float | None,
    channel: int,
    device: str,
) -> None:
    operator = load_operator(checkpoint, device=device)
    if data is None:
        raise ValueError(f"Expected a file whose initial state {checkpoint} starts from: sciml simulate OPERATOR DATA.")
    windows = Trajectories(data, split=split)
    _check_channels(operator, checkpoint, windows)
    if not 0 <= trajectory < len(windows):
        raise ValueError(f"Expected --trajectory from 0 to {len(windows) - 1}, got {trajectory}.")
    t, u = windows[trajectory]
    ts = _times(t, steps)
    solution = _roll_out(operator, u[:1].to(device), ts.to(device), rtol)
    ys = solution.ys[0].cpu()
    _write(out, windows, ts, ys, checkpoint)
    gif = out.with_suffix(".gif")
    truth = torch.cat([u[: len(ts)], torch.full_like(ys[len(u) :], torch.nan)])  # past its end the truth is not known
    shown = windows.channels[channel]
    animate(gif, truth, ys, ts, channel=channel, label=quantity(shown.name, shown.units))
    taken = int(solution.statistics.accepted[0])
    output.print(f"{out} and {gif}: {len(ts)} frames, {taken} steps", highlight=False)
    if int(solution.statistics.status[0]):
        errors.print("[yellow]The rollout did not stay finite.[/yellow]")


@torch.no_grad()
def _roll_out(operator: nn.Module, u0: Tensor, ts: Tensor, rtol: float | None) -> Solution:
    controller: StepSizeController = FixedStep(float(ts.diff().max())) if rtol is None else PIDController(rtol=rtol)
    stepper = operator if rtol is None else StepDoubling(operator)
    return solve(stepper, u0, ts, controller, throw=False)


def _times(t: Tensor, steps: int) -> Tensor:
    if steps == 0:
        return t
    dt = float(t[1] - t[0])
    return t[0] + dt * torch.arange(steps + 1, dtype=t.dtype)


def _check_channels(operator: nn.Module, checkpoint: Path, windows: Trajectories) -> None:
    expected = [channel.name for channel in operator.channels]  # type: ignore[union-attr]
    found = [channel.name for channel in windows.channels]
    if expected != found:
        raise ValueError(f"{checkpoint} steps the channels {expected}, and the data has {found}.")


def _write(path: Path, windows: Trajectories, ts: Tensor, ys: Tensor, checkpoint: Path) -> None:
    """The rollout in our own layout, one trajectory."""
    static = np.array([channel.static for channel in windows.channels])
    header = Header(
        channels=windows.channels,
        axes=windows.axes,
        times=ts.numpy(),
        time_units=windows.time_units,
        attributes={"title": "Rollout of a learned operator", "source": checkpoint.name},
    )
    frames = ys.numpy()
    parts = Trajectory(u=frames[:, ~static], static=frames[0, static] if static.any() else None)
    write_dataset(path, header, [parts], statistics=False)
