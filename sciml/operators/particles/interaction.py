"""The interaction operator of GIOROM."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .blocks import MLP, aggregate
from .graph import Edges

_SELF = 0.7


class InteractionOperator(nn.Module):
    """m = f(x_target, x_source, e); e' = e + m; x' = x + g(x, mean of m / (1 + distance)) + L(0.7 x).

    Viswanath et al., "Reduced-Order Neural Operators: Learning Lagrangian Dynamics on Highly Sparse Graphs", 2024,
    released code. L is written there as a convolution over the graph's Laplacian; its rows sum to 0, the normalisation
    by degrees divides by that, and what remains is this linear layer, to the last bit.

    Args:
        width: of nodes and edges.
        hidden: width of each hidden layer.
    """

    def __init__(self, width: int = 128, hidden: int = 128) -> None:
        super().__init__()
        self.message = MLP([3 * width, hidden, hidden, width], norm=True)
        self.update = MLP([2 * width, hidden, hidden, width], norm=True)
        self.own = nn.Linear(width, width)

    def forward(self, nodes: Tensor, features: Tensor, edges: Edges) -> tuple[Tensor, Tensor]:
        """New features of the nodes (node, width) and edges (edge, width)."""
        message = self.message(torch.cat([nodes[edges.target], nodes[edges.source], features], dim=-1))
        near = message / (1 + edges.distance)
        incoming = aggregate(near, edges.target, len(nodes), "mean").to(nodes.dtype)
        updated = nodes + self.update(torch.cat([nodes, incoming], dim=-1)) + self.own(_SELF * nodes)
        return updated, features + message
