"""What every learned particle simulator is, whatever its network."""

from __future__ import annotations

from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from sciml.datasets.channel import Channel
from sciml.solvers.stepper import Step

from .frame import ParticleFrame
from .normalization import MotionNormalization
from .objective import MotionLoss, PerSampleLoss


class ParticleSimulator(nn.Module):
    """A stepper of particles around a ``network`` from a ``ParticleGraph`` to the accelerations of all particles.

    Args:
        frame: reads states into graphs, and accelerations into states.
    """

    network: nn.Module

    def __init__(self, frame: ParticleFrame) -> None:
        super().__init__()
        self.frame = frame

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Of the state."""
        return self.frame.channels

    @property
    def normalization(self) -> MotionNormalization:
        """Scales of the training data."""
        return self.frame.normalization

    def pack(
        self, frames: Float[Tensor, "batch time node _"], static: Float[Tensor, "batch node _"] | None = None
    ) -> Float[Tensor, "batch node channel"]:
        """The state after as many frames as it holds; see ``Layout.pack``."""
        return self.frame.layout.pack(frames, static)

    def newest(self, y: Float[Tensor, "*batch channel"]) -> Float[Tensor, "*batch dim"]:
        """The last positions, of a state or of ``Solution.ys``."""
        return self.frame.layout.newest(y)

    def set_scales(self, train: Any, noise: float) -> None:
        """Take the scales of ``ParticleWindows``, for a training with that noise."""
        self.frame.set_scales(train, noise)

    def state_loss(self, loss: PerSampleLoss) -> MotionLoss:
        """What ``fit`` minimises: the error of normalised accelerations."""
        return MotionLoss(self.frame, loss)

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Float[Tensor, "batch node channel"]
    ) -> Step:
        """The state one frame later; dt is the trained one, or 0 for none.

        Raises:
            ValueError: y is not a state of finite positions and known types, dt is another step, or particles have left
                what the network covers.
        """
        particles = self.frame.read(dt, y)
        graph = self.frame.graph(particles, next(self.network.parameters()).dtype)
        return self.frame.step(dt, y, particles, self.network(graph))
