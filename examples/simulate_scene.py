"""Simulate a fountain in Python: a jet of water lifts a raft of jelly off a pool, while a paddle sweeps through.

Run: python examples/simulate_scene.py --out runs/fountain
"""

from __future__ import annotations

from pathlib import Path

import h5py
import torch
import typer
from torch import Tensor

from sciml.scenes import SLIP, Body, Emitter, Obstacle, Scene, box, capsule, fluid, jelly, simulate, sphere, turned
from sciml.scenes.pictures import draw


def paddle(t: Tensor) -> Tensor:
    """Displacement (batch, 2) at times (batch,): to and fro along the pool."""
    return torch.stack([0.5 * torch.sin(2 * t), torch.zeros_like(t)], dim=1)


def fountain(cells: int, duration: float, frames: int) -> Scene:
    """A pool two wide and one high."""
    water = fluid(speed=4.0, viscosity=0.2)
    raft = turned(box((1.1, 0.45), (1.5, 0.52)), 0.2, (1.3, 0.48))
    jet = Emitter(sphere((0.15, 0.45), 0.05), water, velocity=(3.0, 1.5), until=0.8 * duration, name="jet")
    return Scene(
        [
            Body(box((0.0, 0.0), (2.0, 0.3)), water, name="pool"),
            Body(raft, jelly(young=5e4, density=300.0), name="raft"),
        ],
        box=((0.0, 0.0), (2.0, 1.0)),
        cells=cells,
        walls=SLIP,
        obstacles=[Obstacle(capsule((0.9, 0.4), (0.9, 0.9), 0.06), SLIP, path=paddle)],
        emitters=[jet],
        duration=duration,
        frames=frames,
        title="Fountain",
    )


def main(out: Path = Path("runs/fountain"), small: bool = False) -> None:
    """Write ``fountain.h5`` and its pictures to OUT; run again after an interruption, it goes on."""
    scene = fountain(*((40, 0.06, 4) if small else (120, 2.0, 101)))
    run = simulate(scene, out / "fountain.h5", resume=True)
    with h5py.File(run.path) as file:
        mass, energy = file["invariants/mass"][()], file["invariants/kinetic_energy"][()]
    print(f"{run.points} points, {run.steps} steps; mass {mass[0]:.4g} to {mass[-1]:.4g}, energy {energy[-1]:.4g}")
    for picture in draw(scene, run.path, colour="material", width=240 if small else 480):
        print(picture)


if __name__ == "__main__":
    typer.run(main)
