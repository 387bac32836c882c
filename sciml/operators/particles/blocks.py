"""Pieces of networks on particles."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class MLP(nn.Module):
    """Linear layers with an activation between them, and a norm of the output.

    Weights are drawn from N(0, 1 / inputs), biases are 0, as in the released codes of GNS and GIOROM.

    Args:
        widths: features of the input, of each hidden layer, and of the output.
        activation: between the layers.
        norm: whether the output is normalised; decoders leave it out.
    """

    def __init__(
        self, widths: Sequence[int], *, activation: Callable[[], nn.Module] = nn.ReLU, norm: bool = False
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in pairwise(widths):
            layer = nn.Linear(inputs, outputs)
            nn.init.normal_(layer.weight, std=inputs**-0.5)
            nn.init.zeros_(layer.bias)
            layers += [layer, activation()]
        layers[-1:] = [nn.LayerNorm(widths[-1])] if norm else []
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Float[Tensor, "*batch feature"]) -> Float[Tensor, "*batch out"]:
        """The output, (..., widths[-1])."""
        return self.layers(x)


def aggregate(
    messages: Float[Tensor, "edge feature"], target: Int[Tensor, " edge"], nodes: int, reduce: str = "sum"
) -> Float[Tensor, "node feature"]:
    """Sum or mean of the messages to each of ``nodes`` nodes, 0 where there is none; PyTorch Geometric's scatter."""
    from torch_geometric.utils import scatter  # here, as it takes a second to import

    return scatter(messages, target, dim=0, dim_size=nodes, reduce=reduce)


class TypedEncoder(nn.Module):
    """Node features together with an embedding of the particle type, then an ``MLP``.

    Args:
        features: of a node.
        types: how many there are.
        width: of the output.
        hidden: width of each of the hidden layers.
        embedding: features of a type.
    """

    def __init__(self, features: int, types: int, width: int, hidden: Sequence[int], embedding: int = 16) -> None:
        super().__init__()
        self.embedding = nn.Embedding(types, embedding)
        self.mlp = MLP([features + embedding, *hidden, width], norm=True)

    def forward(self, nodes: Float[Tensor, "node feature"], types: Int[Tensor, " node"]) -> Float[Tensor, "node width"]:
        """The encoded nodes."""
        return self.mlp(torch.cat([self.embedding(types), nodes], dim=-1))
