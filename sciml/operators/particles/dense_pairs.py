"""Training data of decoders: a reference frame and a later one, with some of its particles known."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from sciml.datasets.channel import Axis, Channel
from sciml.datasets.statistics import Statistics

from .box import Box, box_of
from .decoding import decoder_channels
from .sampling import Sampling

_FRAMES_MEASURED = 64


class DensePairs(Dataset[tuple[Tensor, Tensor]]):
    """Items to train a decoder on: for each later frame of a trajectory, which sparse particles are known is drawn.

    ::

        pairs = DensePairs(Trajectories("Water3D", split="train"), UniformSampling(1000), queries=4000)
        decoder = ReferenceDecoder(pairs.channels, radius=0.1)
        fit(decoder, pairs)

    An item is a window of two states, as a steady map has: the known particles where they are now, and all of them.
    Particles and reference frame (the first) are matched by their numbers. In periodic boxes motion is taken to the
    nearest image, so that no particle may go further than half the box from its reference.

    Args:
        trajectories: a ``Trajectories`` of particles; each of its trajectories is used whole.
        sampling: which particles are known.
        queries: how many of the others an item holds, drawn too; as many as there are, at most.
        seed: of both draws, which are functions of it and the item's number.
        stride: frames from one item to the next.

    Attributes:
        channels: those of ``decoder_channels``.
        statistics: of them; the std of positions is that of the displacements from the reference.

    Raises:
        ValueError: the data are no particles, or no trajectory has two frames.
    """

    kind = "particles"
    dt = 1.0
    time_units = ""

    def __init__(
        self, trajectories: Any, sampling: Sampling, *, queries: int = 4096, seed: int = 0, stride: int = 1
    ) -> None:
        if getattr(trajectories, "kind", "grid") != "particles":
            raise ValueError(f"Expected trajectories of particles, got {trajectories!r}.")
        self.trajectories, self.sampling, self.queries, self.seed = trajectories, sampling, queries, seed
        self.box: Box = box_of(trajectories.axes)
        places = dict.fromkeys(trajectories.locate(index)[0] for index in range(len(trajectories)))
        self._items = [
            (place, frame)
            for place in places
            for frame in range(1, int(trajectories.datasets[place.file].lengths[place.trajectory]), stride)
        ]
        if not self._items:
            raise ValueError(f"Expected trajectories of two frames or more, got none in {trajectories!r}.")
        self.channels: tuple[Channel, ...] = decoder_channels(self.box.dim, trajectories.channels[0].units)
        self.statistics = self._measured()

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """t = (0, 1) and u (2, node, channel)."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected an index below {len(self)}, got {index}.")
        index %= len(self)
        reference, now = self._frames(index)
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index) % 2**63)
        known = self.sampling(reference, generator)
        others = torch.ones(len(reference), dtype=torch.bool)
        others[known] = False
        rest = others.nonzero()[:, 0]
        rest = rest[torch.randperm(len(rest), generator=generator)[: self.queries]]
        chosen = torch.cat([known, rest])
        flags = torch.cat([torch.ones(len(known), 1), torch.zeros(len(rest), 1)])
        reference, now = reference[chosen], now[chosen]
        before = torch.cat([torch.where(flags > 0, now, reference), reference, flags], dim=-1)
        after = torch.cat([now, reference, flags], dim=-1)
        return torch.tensor([0.0, 1.0], dtype=torch.float64), torch.stack([before, after])

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The box, as the data have it."""
        return self.trajectories.axes

    def _frames(self, index: int) -> tuple[Tensor, Tensor]:
        """Positions (node, dim) in the reference frame and in the item's, which lies at the nearest image of it."""
        place, frame = self._items[index]
        dataset, names = self.trajectories.datasets[place.file], [c.name for c in self.channels[: self.box.dim]]
        first, now = (
            torch.from_numpy(dataset.read(place.trajectory, slice(k, k + 1), names=names)[0].astype(np.float32))
            for k in (0, frame)
        )
        return first, first + self.box.difference(now, first)

    def _measured(self) -> Statistics:
        """Over frames from all over the data."""
        some = range(0, len(self), max(1, len(self) // _FRAMES_MEASURED))
        pairs = [self._frames(index) for index in some]
        shift = torch.cat([now - first for first, now in pairs]).double().square().mean(dim=0).sqrt().numpy()
        first = torch.cat([first for first, _ in pairs]).double()
        mean = np.concatenate([first.mean(dim=0).numpy(), first.mean(dim=0).numpy(), [0.0]])
        std = np.concatenate([np.maximum(shift, 1e-12), first.std(dim=0).numpy(), [1.0]])
        nothing = np.zeros_like(std)
        return Statistics(mean, std, np.sqrt(mean**2 + std**2), nothing, np.where(std > 0, std, 1.0), nothing)
