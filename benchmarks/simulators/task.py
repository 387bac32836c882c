"""The sets of the study, and the networks that learn them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from sciml.datasets.windows import Trajectories
from sciml.generation.catalogue import family_named
from sciml.generation.make import make
from sciml.generation.recipe import Recipe
from sciml.operators.particles import (
    GIOROM,
    GNS,
    FarthestSampling,
    GIOROMConfig,
    ParticleWindows,
    UniformSampling,
    sparse_radius,
)

FOLDER = Path("runs/simulators")
WINDOW = 6
POINTS, SPARSE = 1000, 200
RADIUS = {2: 0.025}
"""Of the full graph, in units of the box: about 20 neighbours of a point. That of the sparse graph is wider."""

SMALL = GIOROMConfig(
    steps=2,
    width=64,
    layers=2,
    transformer_width=64,
    token=32,
    to_grid=(32, 32, 32),
    from_grid=(32, 32),
    spacing=1.5,
)


@dataclass(frozen=True)
class Task:
    """A family of bodies of one material, and what of it the networks are told.

    Attributes:
        family: of ``sciml data make``.
        material: parameters that differ between trajectories and are inputs.
        solid: whether they are also told where each particle is while its body is at rest.
    """

    family: str
    material: tuple[str, ...]
    solid: bool = False

    @property
    def file(self) -> Path:
        """Where its trajectories are."""
        return FOLDER / f"{self.family}.h5"

    def recipe(self, trajectories: int = 80, size: int = POINTS, seed: int = 0) -> Recipe:
        """Trajectories of 0.4 s: of 80, 64 to learn from, 8 to validate, 8 to test."""
        speed = {"speed": (0.5, 2.0)}
        return Recipe(
            family_named(self.family), trajectories=trajectories, size=size, frames=81, seed=seed, parameters=speed
        )

    def make(self) -> None:
        """Write the file."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        make(self.recipe(), self.file, workers=2)

    def trajectories(self, split: str, window: int | None = None) -> Trajectories:
        """With the material as constants of each point."""
        return Trajectories(self.file, split=split, window=window, parameters=self.material)


TASKS = {
    "elastic": Task("elastic-2d", ("young",), solid=True),
    "sand": Task("sand-2d", ("friction_angle",)),
    "water": Task("water-2d", ("viscosity",)),
}


def full_graph(task: Task) -> tuple[nn.Module, ParticleWindows]:
    """GNS on all points: its paper's network at half the width and half the steps, which a processor can train."""
    windows = ParticleWindows(task.trajectories("train", WINDOW + 1), WINDOW, reference=task.solid)
    dim = windows.box.dim
    return GNS(windows.channels, box=windows.box, radius=RADIUS[dim], steps=5, width=64, contain=True), windows


def sparse_operator(task: Task) -> tuple[nn.Module, ParticleWindows]:
    """GIOROM on a fifth of the points."""
    windows = ParticleWindows(
        task.trajectories("train", WINDOW + 1), WINDOW, sampling=UniformSampling(SPARSE), reference=task.solid
    )
    dim = windows.box.dim
    radius = sparse_radius(RADIUS[dim], SPARSE / POINTS, dim=dim)
    return GIOROM(windows.channels, box=windows.box, radius=radius, architecture=SMALL, contain=True), windows


MODELS = {"GNS": full_graph, "GIOROM": sparse_operator}
SAMPLING = FarthestSampling(SPARSE)
"""Of the points that a rollout steps; the training draws its own at random."""
