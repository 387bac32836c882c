"""A step of message passing over one or several sets of edges, as in GNS and MeshGraphNet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .blocks import MLP, aggregate
from .graph import Edges


class MessagePassing(nn.Module):
    """e' = e + f(e, x_source, x_target) on each set of edges, x' = x + g(x, sum of its messages of each set).

    Battaglia et al., "Relational inductive biases, deep learning, and graph networks", 2018; with several sets Pfaff,
    Fortunato, Sanchez-Gonzalez, Battaglia, "Learning Mesh-Based Simulation with Graph Networks", 2021, section 3.2.

    Args:
        width: of nodes, edges and hidden layers.
        sets: of edges.
    """

    def __init__(self, width: int, sets: int = 1) -> None:
        super().__init__()
        self.messages = nn.ModuleList(MLP([3 * width, width, width, width], norm=True) for _ in range(sets))
        self.update = MLP([(1 + sets) * width, width, width, width], norm=True)

    def forward(self, nodes: Tensor, features: Sequence[Tensor], edges: Sequence[Edges]) -> tuple[Tensor, list[Tensor]]:
        """New features of nodes (node, width), and of the edges of each set (edge, width)."""
        incoming, updated = [], []
        for network, old, set_of_edges in zip(self.messages, features, edges):
            ends = [nodes[set_of_edges.source], nodes[set_of_edges.target]]
            message = network(torch.cat([old, *ends], dim=-1))
            incoming.append(aggregate(message, set_of_edges.target, len(nodes)).to(nodes.dtype))
            updated.append(old + message)
        return nodes + self.update(torch.cat([nodes, *incoming], dim=-1)), updated
