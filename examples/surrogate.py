"""Train a surrogate of two-dimensional turbulence on data made here; roll it out in fixed and in adaptive steps.

The U-Net takes its time step as an input and is trained on pairs of frames up to four frames apart. So it can be rolled
out frame by frame, four frames at a time, or, wrapped in StepDoubling, in steps that an error estimate chooses: shorter
ones while the eddies turn fast, longer ones as they decay. Shorter is not always better: unlike a scheme, a learned
operator makes its error anew in every step.

Run: python examples/surrogate.py --out runs/surrogate
"""

from __future__ import annotations

from pathlib import Path

import torch
import typer

from sciml import FitSettings, FixedStep, PIDController, StepDoubling, Trajectories, UNet, fit, solve
from sciml.generation.families.navier_stokes import NAVIER_STOKES_2D
from sciml.generation.make import make
from sciml.generation.recipe import Recipe
from sciml.metrics.rollout import nrmse
from sciml.plots import error_over_time, fields

LONGEST = 4  # frames from the input to the answer, at most


def main(out: Path = Path("runs/surrogate"), small: bool = False) -> None:
    """Write ``fields.png`` and ``error.png`` to OUT, and keep the data and the training there."""
    count, size = (3, 16) if small else (30, 32)
    recipe = Recipe(NAVIER_STOKES_2D, trajectories=count, size=size, parameters={"viscosity": 2e-3})
    data = make(recipe, out / "turbulence.h5")
    model = train(data, out, epochs=1 if small else 8)

    test = Trajectories(data, split="test")
    t, u = (torch.stack(parts) for parts in zip(*(test[k] for k in range(len(test)))))
    t, u = t[:, ::LONGEST], u[:, ::LONGEST]  # where the rollouts are compared
    frame = recipe.dt
    runs = {
        "a frame a step": (model, FixedStep(frame)),
        f"{LONGEST} frames a step": (model, FixedStep(LONGEST * frame)),
        "adaptive": (StepDoubling(model), PIDController(rtol=0.0, atol=0.8, dt0=frame, dt_max=LONGEST * frame)),
    }
    errors, rollouts = {}, {}
    for name, (stepper, controller) in runs.items():
        with torch.no_grad():
            solution = solve(stepper, u[:, 0], t, controller, keep_steps=True, throw=False)
        calls = solution.statistics.evaluations.double().mean()
        steps = [f"{float(dt) / frame:.1f}" for dt in solution.steps.dt[0] if dt > 0]
        rollouts[name] = solution.ys
        errors[name] = nrmse(solution.ys, u)[:, 1:]
        print(f"{name:>15}: nRMSE at the end {errors[name][:, -1].mean():.3f}, {calls:.0f} calls of the network")
        print(f"{'':>15}  steps in frames, first flow: {' '.join(steps)}")

    error_over_time(errors, t[0, 1:], metric="nRMSE, median and range over test flows").savefig(out / "error.png")
    fields(u[0], rollouts["adaptive"][0], t[0], name="vorticity").savefig(out / "fields.png")


def train(data: Path, out: Path, *, epochs: int) -> UNet:
    """A U-Net that has seen every lead time; run again, it goes on from ``out`` instead of starting anew."""
    pairs = Trajectories(data, split="train", lead_times=LONGEST)
    valid = Trajectories(data, split="valid", lead_times=LONGEST)
    torch.manual_seed(0)
    model = UNet(pairs.channels, width=16, depth=2)
    fit(model, pairs, valid=valid, out=out / "training", settings=FitSettings(epochs=epochs, lr=2e-3))
    return model


if __name__ == "__main__":
    typer.run(main)
