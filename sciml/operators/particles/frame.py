"""What every learned particle simulator does around its network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.datasets.channel import Channel
from sciml.kernels.neighbors.connectivity import check_connected
from sciml.kernels.neighbors.radius import radius_neighbors
from sciml.operators.physical import ChannelLike, channel_dicts
from sciml.solvers.stepper import Step

from .box import BoxLike, parse_box
from .graph import ParticleGraph, node_features, particle_graph
from .integrator import advance, shifted
from .normalization import MotionNormalization
from .state import Layout, Particles, read_particles


class ParticleFrame(nn.Module):
    """Reads a state into a graph, and a predicted acceleration into the next state; it has no weights.

    A simulator is a frame and a network between its two halves (see ``GNS``).

    Args:
        channels: of the state, see ``particle_channels``.
        box: that the particles live in.
        radius: within which they see each other, in the units of the positions.
        types: how many particle types there are.
        prescribed: types of particles that are not predicted: obstacles, moving walls.
        contain: stop particles at the walls.

    Attributes:
        layout: of the state.
        normalization: scales of the training data.
        features: of a node of the graph, without its type.
        edge_features: of an edge of the graph.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[ChannelLike],
        *,
        box: BoxLike,
        radius: float,
        types: int = 9,
        prescribed: Sequence[int] = (),
        contain: bool = False,
    ) -> None:
        super().__init__()
        self.layout = Layout.of(channels)
        self.box = parse_box(box, self.layout.dim)
        if not radius > 0:
            raise ValueError(f"Expected radius > 0, in the units of the positions, got {radius}.")
        if any(self.box.periodic) and any(
            radius > side / 2 for side, repeats in zip(self.box.sides, self.box.periodic) if repeats
        ):
            raise ValueError(
                f"Expected a radius of at most half a period of {self.box.sides}, got {radius}. "
                "Take a smaller radius, or a box of several periods."
            )
        if types < 1 or not all(0 <= kind < types for kind in prescribed):
            raise ValueError(f"Expected prescribed types from 0 to types - 1 = {types - 1}, got {list(prescribed)}.")
        self.radius, self.types = float(radius), types
        self.prescribed, self.contain = tuple(prescribed), contain
        self.normalization = MotionNormalization(self.layout.dim, len(self.layout.inputs))
        self.features = node_features(self.layout.dim, self.layout.window, self.box, len(self.layout.inputs))
        self.edge_features = (self.layout.dim + 1) * (2 if self.layout.reference else 1)

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Of the state."""
        return self.layout.channels

    @property
    def config(self) -> dict[str, Any]:
        """Its arguments as JSON can hold them."""
        return {
            "channels": channel_dicts(self.channels),
            "box": self.box.as_dict(),
            "radius": self.radius,
            "types": self.types,
            "prescribed": list(self.prescribed),
            "contain": self.contain,
        }

    def set_scales(self, train: Any, noise: float) -> None:
        """Take the scales of training data, of the particles that are predicted, for a training with that noise.

        Raises:
            ValueError: the data are not ``ParticleWindows``, or the like, with ``motion`` and ``dt``.
        """
        if not hasattr(train, "motion"):
            raise ValueError(
                f"Expected training data that know their motion, got {type(train).__name__}. Give "
                f"ParticleWindows(Trajectories(..., window={self.layout.window + 1}), window={self.layout.window})."
            )
        self.normalization.set(train.motion(self.prescribed), train.dt, noise=noise)

    def read(self, dt: Float[Tensor, " batch"], y: Float[Tensor, "batch node channel"]) -> Particles:
        """A state taken apart.

        Raises:
            ValueError: it is not a state, holds NaN or unknown types, or dt is not the trained step.
        """
        self.layout.check(y, dt)
        self.normalization.check_step(dt)
        return read_particles(y, self.layout, types=self.types, prescribed=self.prescribed)

    def check_connected(self, y: Float[Tensor, "batch node channel"]) -> None:
        """Refuse a state whose particles are not one connected graph within the radius of each other.

        A simulator does not ask for it, since drops part from a fluid; a sparse sample should be asked once.

        Raises:
            ValueError: names the sample, its parts, and the way out.
        """
        particles = read_particles(y, self.layout, types=self.types)
        x, real = particles.newest, particles.real
        check_connected(radius_neighbors(x, radius=self.radius, period=self.box.period(x), mask=real), mask=real)

    def graph(self, particles: Particles, dtype: torch.dtype) -> ParticleGraph:
        """What a network sees of it, with features of ``dtype``."""
        return particle_graph(particles, self.box, self.normalization, self.radius, dtype)

    def step(
        self,
        dt: Float[Tensor, " batch"],
        y: Float[Tensor, "batch node channel"],
        particles: Particles,
        output: Float[Tensor, "total dim"],
    ) -> Step:
        """The next state, from the normalised accelerations of all particles."""
        predicted = output.reshape(particles.newest.shape)
        new = advance(particles, predicted, box=self.box, normalization=self.normalization, contain=self.contain)
        return Step(y=shifted(y, new, dt, self.layout, particles))
