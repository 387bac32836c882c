"""Graph network simulator."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from sciml.operators.physical import ChannelLike

from .blocks import MLP, TypedEncoder
from .box import BoxLike
from .frame import ParticleFrame
from .graph import ParticleGraph
from .message_passing import MessagePassing
from .simulator import ParticleSimulator


class GNS(ParticleSimulator):
    """Graph network simulator: encode, pass messages on the graph of neighbours, decode an acceleration.

    Sanchez-Gonzalez, Godwin, Pfaff, Ying, Leskovec, Battaglia, "Learning to Simulate Complex Physics with Graph
    Networks", 2020. The defaults are the paper's: 10 steps of message passing that share no weights, MLPs of two hidden
    layers of 128, sums of messages, residual connections at nodes and edges.

    Args:
        channels: of the state, those of ``ParticleWindows`` or ``particle_channels``.
        box: that the particles live in.
        radius: within which they see each other, in the units of the positions.
        steps: of message passing.
        width: of everything hidden.
        types: how many particle types there are.
        prescribed: types of particles that are not predicted.
        contain: stop particles at the walls.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[ChannelLike],
        *,
        box: BoxLike,
        radius: float,
        steps: int = 10,
        width: int = 128,
        types: int = 9,
        prescribed: Sequence[int] = (),
        contain: bool = False,
    ) -> None:
        super().__init__(
            ParticleFrame(channels, box=box, radius=radius, types=types, prescribed=prescribed, contain=contain)
        )
        self.config: dict[str, Any] = {**self.frame.config, "steps": steps, "width": width}
        self.network = _Network(self.frame, steps, width)


class _Network(nn.Module):
    def __init__(self, frame: ParticleFrame, steps: int, width: int) -> None:
        super().__init__()
        self.nodes = TypedEncoder(frame.features, frame.types, width, [width] * 2)
        self.edges = MLP([frame.edge_features, width, width, width], norm=True)
        self.processor = nn.ModuleList(MessagePassing(width) for _ in range(steps))
        self.decoder = MLP([width, width, width, frame.layout.dim])

    def forward(self, graph: ParticleGraph) -> Tensor:
        nodes, edges = self.nodes(graph.nodes, graph.types), self.edges(graph.edges.features)
        for layer in self.processor:
            nodes, (edges,) = layer(nodes, [edges], [graph.edges])
        return self.decoder(nodes)
