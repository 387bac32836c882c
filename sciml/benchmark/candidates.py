"""The operators that the benchmark can name, and how each is made for a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from sciml.datasets.channel import Axis, Channel
from sciml.datasets.windows import Trajectories
from sciml.operators import FNO, LinearDMD, Persistence, Poseidon, ScOTConfig, UNet


@runtime_checkable
class _Grid(Protocol):
    """What most operators need to know of their data."""

    @property
    def channels(self) -> tuple[Channel, ...]: ...

    @property
    def axes(self) -> Sequence[Axis]: ...

    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True, slots=True)
class Candidate:
    """One operator of the benchmark.

    Attributes:
        name: on the command line and in the report.
        title: what it is, in a few words.
        build: makes it for windows of training data, ``Trajectories`` or, where it is trained, a ``Mixture``; a fitted
            one comes ready, a trained one raw.
        trained: whether gradient steps are to follow.
        seeded: whether the seed makes a difference.
        lr: highest learning rate, where the benchmark is not told one.
    """

    name: str
    title: str
    build: Callable[[Any], nn.Module]
    trained: bool = True
    seeded: bool = True
    lr: float = 2e-3


def _persistence(train: Trajectories) -> nn.Module:
    return Persistence(train.channels)


def _dmd(train: Trajectories) -> nn.Module:
    """Pairs of successive frames; times with uneven gaps have no one linear map."""
    if train.dt is None:
        raise ValueError("The linear model (dmd) needs frames at a constant dt, and these are unevenly spaced.")
    std = torch.as_tensor(train.statistics.std)
    return LinearDMD.fit(_pairs(train), train.channels, dt=train.dt, std=std)


def _unet(train: _Grid) -> nn.Module:
    padding = ["periodic" if axis.boundary == "periodic" else "replicate" for axis in train.axes]
    depth = min(3, min(train.shape).bit_length() - 3)
    return UNet(
        train.channels, dim=len(train.axes), width=(32, 16, 8)[len(train.axes) - 1], depth=depth, padding=padding
    )


def _fno(train: _Grid) -> nn.Module:
    periodic = all(axis.boundary == "periodic" for axis in train.axes)
    modes = [min((16, 12, 8)[len(train.axes) - 1], n // 2) for n in train.shape]
    return FNO(train.channels, dim=len(train.axes), modes=modes, width=24, periodic=periodic)


def _poseidon(train: _Grid, size: str) -> nn.Module:
    """The published size, untrained, for the grid of the data; patches of 2 points where 4 would leave few tokens."""
    dim, smallest = len(train.axes), min(train.shape)
    periodic = all(axis.boundary == "periodic" for axis in train.axes)
    architecture = ScOTConfig.preset(
        size,
        dim=dim,
        image_size=tuple(train.shape),
        patch_size=4 if smallest >= 32 else min(2, smallest),
        window_size=4 if dim == 3 else 16,
    )
    return Poseidon(train.channels, architecture=architecture, boundary="periodic" if periodic else "open")


def _pairs(train: Trajectories) -> Iterator[tuple[Tensor, Tensor]]:
    for _, u in DataLoader(train, batch_size=32):
        for k in range(u.shape[1] - 1):
            yield u[:, k], u[:, k + 1]


CANDIDATES: dict[str, Candidate] = {
    candidate.name: candidate
    for candidate in (
        Candidate("persistence", "the last state, unchanged", _persistence, trained=False, seeded=False),
        Candidate("dmd", "best linear map (dynamic mode decomposition)", _dmd, trained=False, seeded=False),
        Candidate("unet", "U-Net", _unet),
        Candidate("fno", "Fourier neural operator", _fno, lr=6e-3),
        *(
            Candidate(
                f"poseidon-{size.lower()}", f"scOT of Poseidon's size {size}", partial(_poseidon, size=size), lr=lr
            )
            for size, lr in (("T", 5e-4), ("S", 5e-4), ("B", 5e-4), ("L", 2e-4))
        ),
    )
}
