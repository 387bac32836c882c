"""Training windows of particle states, from trajectories of positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset

from sciml.datasets.channel import Axis, Channel
from sciml.datasets.particles import PARTICLE_TYPE

from .box import Box, box_of
from .normalization import MotionScales
from .sampling import Sampling
from .state import PADDING, particle_channels, reference_channels
from .statistics import particle_statistics


class ParticleWindows(Dataset[tuple[Tensor, Tensor]]):
    """Windows of states for ``fit``, from trajectories of particles.

    ::

        train = ParticleWindows(Trajectories("WaterDrop", split="train", window=7), window=6)
        model = GNS(train.channels, box=train.box, radius=0.015)
        fit(model, train)

    Args:
        trajectories: items t (time,), u (time, node, channel): positions first, then constants. Items of n frames
            become n - window + 1 states: ``window=7`` there trains single steps of a window of 6 here.
        window: positions to a state.
        sampling: which particles to keep, drawn anew for each item (the same each time the item is read); None for all.
        reference: states also hold where each particle is in the first frame of its trajectory. Elastic bodies need it,
            if they are at rest there: otherwise nothing tells a simulator how they are strained.
        seed: of that draw.

    Attributes:
        trajectories: that were given.
        channels: of a state; a particle type is added where the data have none.
        box: of the data.
        dt: time between frames.

    Raises:
        ValueError: the items are no particles, have too few frames, or frames that are not equally far apart.
    """

    kind = "particles"

    def __init__(
        self,
        trajectories: Any,
        window: int = 6,
        *,
        sampling: Sampling | None = None,
        reference: bool = False,
        seed: int = 0,
    ) -> None:
        if getattr(trajectories, "kind", "grid") != "particles":
            raise ValueError(f"Expected trajectories of particles, got {trajectories!r}.")
        self.trajectories, self.window, self.sampling, self.seed = trajectories, window, sampling, seed
        self.reference = reference
        self._measured: dict[tuple[int, ...], MotionScales] = {}
        self.box: Box = box_of(trajectories.axes)
        if len(trajectories) and len(trajectories[0].t) < max(window, 2):
            raise ValueError(
                f"Expected items of at least window={window} >= 2 frames, got {len(trajectories[0].t)}. Make "
                f"Trajectories(..., window={window + 1})."
            )
        if trajectories.dt is None:
            raise ValueError("Expected frames that are equally far apart in time, got trajectories with dt=None.")
        self.dt: float = trajectories.dt
        constants = list(trajectories.channels[self.box.dim :])
        self._typed = PARTICLE_TYPE.name in [channel.name for channel in constants]
        static = [*([] if self._typed else [PARTICLE_TYPE]), *(replace(c, static=True) for c in constants)]
        units = trajectories.channels[0].units
        if reference:
            static += reference_channels(self.box.dim, units)
        self.channels: tuple[Channel, ...] = particle_channels(self.box.dim, window, static=static, units=units)
        self._kind_at = [c.name for c in static].index(PARTICLE_TYPE.name)
        self._nodes = self._largest()

    def __len__(self) -> int:
        return len(self.trajectories)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        """t (states,) and u (states, node, channel); places without a particle are of type -1."""
        t, u = self.trajectories[index]
        kept = self.kept(index, u)
        x, constants = u[:, kept, : self.box.dim], u[:, kept, self.box.dim :]
        if not self._typed:
            constants = torch.cat([torch.zeros_like(x[..., :1]), constants], dim=-1)
        if self.reference:
            first = self._first(index)[kept].to(x).expand_as(x)
            constants = torch.cat([constants, first], dim=-1)
        states = len(t) - self.window + 1
        stacked = torch.cat([x[age : age + states] for age in range(self.window)], dim=-1)
        y = torch.cat([stacked, constants[self.window - 1 :]], dim=-1)
        return t[self.window - 1 :], self._padded(y)

    def kept(self, index: int, u: Tensor | None = None) -> Tensor:
        """The numbers of the particles that an item keeps: a function of the seed and the index."""
        u = self.trajectories[index].u if u is None else u
        if self.sampling is None:
            return torch.arange(u.shape[1])
        # Two numbers make one seed; neighbouring ones give unrelated draws.
        generator = torch.Generator().manual_seed((self.seed * 1_000_003 + index % len(self)) % 2**63)
        return self.sampling(u[self.window - 1, :, : self.box.dim], generator)

    def motion(self, prescribed: Sequence[int] = ()) -> MotionScales:
        """Moments of velocities and accelerations over all particles of the trajectories but those of these types.

        They are measured once in this process.
        """
        kinds = tuple(sorted(prescribed))
        if kinds not in self._measured:
            self._measured[kinds] = particle_statistics(self.trajectories, box=self.box, prescribed=kinds)
        return self._measured[kinds]

    def _first(self, index: int) -> Tensor:
        """Positions in the first frame of an item's trajectory."""
        place, _ = self.trajectories.locate(index)
        names = [channel.name for channel in self.trajectories.channels[: self.box.dim]]
        return torch.from_numpy(
            self.trajectories.datasets[place.file].read(place.trajectory, slice(0, 1), names=names)[0]
        )

    @property
    def axes(self) -> tuple[Axis, ...]:
        """The box, as the data have it."""
        return self.trajectories.axes

    @property
    def time_units(self) -> str:
        """Of t."""
        return self.trajectories.time_units

    def _largest(self) -> int:
        """Places of a state: the particles of the largest trajectory that are kept."""
        counts = [int(n) for dataset in self.trajectories.datasets for n in dataset.nodes]
        return max(n if self.sampling is None else self.sampling.count(n) for n in counts)

    def _padded(self, y: Tensor) -> Tensor:
        states, nodes, channels = y.shape
        if nodes == self._nodes:
            return y
        padding = y.new_zeros(states, self._nodes - nodes, channels)
        padding[..., self.window * self.box.dim + self._kind_at] = PADDING
        return torch.cat([y, padding], dim=1)
