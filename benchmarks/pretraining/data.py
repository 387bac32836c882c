"""What the study trains on: fluids to pretrain, four other equations to finetune, all on 32 x 32 points, periodic.

The files are made by ``sciml data make`` (``python -m benchmarks.pretraining.run data``): the compressible flows are
solved on these points, which is coarse, the others on 64 x 64, of which every second one is used.
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from sciml.datasets.dataset import Dataset
from sciml.datasets.frames import AllPairs
from sciml.datasets.memory import dataset_from_arrays
from sciml.datasets.windows import Trajectories

STRIDE, LEADS = 2, AllPairs(10)
FLUID = ("density", "velocity_x", "velocity_y", "pressure")
# Arguments of `sciml data make`; all with 11 frames.
PRETRAINING = {
    "ns": ("navier-stokes-2d", 0.1, "304,8,8"),
    "ce-kh": ("euler-2d-kh", 0.2, "152,4,4"),
    "ce-riemann": ("euler-2d-riemann", 0.1, "152,4,4"),
}
TASKS = {
    "wave": ("wave-2d", 0.02, "64,8,64"),
    "allen-cahn": ("allen-cahn-2d", 0.5, "64,8,64"),
    "heat": ("heat-2d", 0.04, "64,8,64"),
    "fitzhugh-nagumo": ("fitzhugh-nagumo-2d", 0.1, "64,8,64"),
}


@dataclass(frozen=True)
class Task:
    """An equation that the pretrained model has not seen.

    Attributes:
        name: of the file.
        duration: of a trajectory, which is a lead time of 1.
        test: first and last frames of the test trajectories, (trajectory, 2, channel, *space).
    """

    name: str
    path: Path
    duration: float
    test: Tensor

    @classmethod
    def of(cls, name: str, folder: Path) -> Task:
        path = folder / "tasks" / f"{name}.h5"
        whole = Trajectories(path, split="test")
        test = torch.stack([whole[k].u[[0, -1]] for k in range(len(whole))])
        return cls(name, path, 10 * TASKS[name][1], test)

    def train(self, trajectories: int, seed: int) -> Trajectories:
        """All pairs of frames of some of the trajectories."""
        whole = Trajectories(self.path, split="train", max_trajectories=trajectories, seed=seed)
        u = torch.stack([whole[k].u for k in range(len(whole))])
        held = dataset_from_arrays(u.numpy(), whole[0].t.numpy(), channels=whole.channels)
        return Trajectories(held, lead_times=LEADS)


def make_files(folder: Path) -> None:
    """Make what is not there."""
    (folder / "tasks").mkdir(parents=True, exist_ok=True)
    for name, recipe in PRETRAINING.items():
        _make(folder / f"{name}.h5", *recipe, size=32 if name.startswith("ce-") else 64, supersample=1)
    for name, recipe in TASKS.items():
        _make(folder / "tasks" / f"{name}.h5", *recipe, size=32, supersample=2)


def _make(path: Path, family: str, dt: float, splits: str, *, size: int, supersample: int) -> None:
    count = sum(int(part) for part in splits.split(","))
    command = ["sciml", "data", "make", family, str(path), "--frames", "11", "--trajectories", str(count)]
    command += ["--dt", str(dt), "--splits", splits, "--size", str(size), "--supersample", str(supersample)]
    subprocess.run([sys.executable, "-m", *command], check=True)


def pretraining_pairs(folder: Path) -> Trajectories:
    """All pairs of frames of the fluids, each trajectory lasting from 0 to 1, as density, velocity and pressure."""
    return Trajectories([_fluid(name, folder) for name in PRETRAINING], lead_times=LEADS)


def _fluid(name: str, folder: Path) -> Dataset:
    stride = 1 if name.startswith("ce-") else STRIDE
    whole = Trajectories(folder / f"{name}.h5", split="train", space_stride=stride)
    u = torch.stack([whole[k].u for k in range(len(whole))])
    if name == "ns":
        velocity = velocity_of(u[:, :, 0])
        u = torch.cat([torch.ones_like(u), velocity, torch.zeros_like(u)], dim=2)
    return dataset_from_arrays(u.numpy(), torch.linspace(0, 1, u.shape[1], dtype=torch.float64).numpy(), channels=FLUID)


def velocity_of(vorticity: Tensor) -> Tensor:
    """The velocity of a flow on the periodic unit square, (..., 2, x, y), from its vorticity v_x - u_y, (..., x, y)."""
    n = vorticity.shape[-1]
    k = 2 * torch.pi * torch.fft.fftfreq(n, 1 / n)
    kx, ky = k[:, None], k[None, :]
    square = (kx**2 + ky**2).clamp(min=1.0)
    stream = torch.fft.fft2(vorticity) / square  # vorticity = - laplace of it
    return torch.stack([torch.fft.ifft2(1j * ky * stream).real, torch.fft.ifft2(-1j * kx * stream).real], dim=-3)
