"""A transformer on the nodes of a latent grid: GNOT."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ResidualMLP(nn.Module):
    """Linear, GELU; then per layer linear, GELU and the layer's input added; then linear.

    Args:
        inputs, width, outputs: features.
        layers: of the middle.
    """

    def __init__(self, inputs: int, width: int, outputs: int, layers: int = 1) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(inputs, width), nn.Linear(width, outputs)
        self.middle = nn.ModuleList(nn.Linear(width, width) for _ in range(layers))

    def forward(self, x: Float[Tensor, "*batch inputs"]) -> Float[Tensor, "*batch outputs"]:
        """The output, (..., outputs)."""
        x = nn.functional.gelu(self.first(x))
        for layer in self.middle:
            x = nn.functional.gelu(layer(x)) + x
        return self.last(x)


class LinearAttention(nn.Module):
    """Attention whose cost is linear in tokens: q + q (k^T v) / (q . sum of k), q and k softmax over channels.

    Hao, Wang, Su, Ying, Dong, Liu, Cheng, Song, Zhu, "GNOT: A General Neural Operator Transformer for Operator
    Learning", 2023, section 3.2.

    Args:
        width: of the tokens.
        heads: that divide it.
        dropout: of the attended values.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Float[Tensor, "batch token width"], y: Float[Tensor, "batch other width"]
    ) -> Float[Tensor, "batch token width"]:
        """Tokens x that attend to tokens y."""
        q, k, v = (
            layer(tokens).unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for layer, tokens in ((self.query, x), (self.key, y), (self.value, y))
        )
        q, k = q.softmax(dim=-1), k.softmax(dim=-1)
        share = 1 / (q * k.sum(dim=2, keepdim=True)).sum(dim=-1, keepdim=True)
        attended = self.dropout(q @ (k.transpose(2, 3) @ v) * share) + q
        return self.out(attended.transpose(1, 2).flatten(2))


class Experts(nn.Module):
    """MLPs whose outputs are mixed by given weights.

    Args:
        width: of the tokens and of the hidden layer.
        experts: how many.
    """

    def __init__(self, width: int, experts: int) -> None:
        super().__init__()
        self.experts = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, width)) for _ in range(experts)
        )

    def forward(self, x: Tensor, gate: Float[Tensor, "batch token expert"]) -> Tensor:
        """The mixture, of the shape of x."""
        return (torch.stack([expert(x) for expert in self.experts], dim=-1) * gate[..., None, :]).sum(dim=-1)


class Block(nn.Module):
    """Cross-attention to the coordinates' tokens, experts, self-attention, experts; each added to the tokens.

    Args:
        width, heads, experts, dropout: as in ``GNOT``.
        gate: features that the gate of the experts reads.
    """

    def __init__(self, width: int, heads: int, experts: int, gate: int, dropout: float) -> None:
        super().__init__()
        self.cross, self.own = (LinearAttention(width, heads, dropout) for _ in range(2))
        self.first, self.second = (Experts(width, experts) for _ in range(2))
        self.norm_cross, self.norm_branch, self.norm_first, self.norm_own, self.norm_second = (
            nn.LayerNorm(width) for _ in range(5)
        )
        self.gate = nn.Sequential(
            nn.Linear(gate, width), nn.GELU(), nn.Linear(width, width), nn.GELU(), nn.Linear(width, experts)
        )

    def forward(self, x: Tensor, branch: Tensor, place: Tensor) -> Tensor:
        """New tokens.

        Args:
            x: (batch, token, width).
            branch: tokens that are attended to, of the same width.
            place: what the gate reads, (batch, token, gate).
        """
        gate = self.gate(place).softmax(dim=-1)
        x = x + self.cross(self.norm_cross(x), self.norm_branch(branch))
        x = x + self.norm_first(self.first(x, gate))
        normed = self.norm_own(x)
        x = x + self.own(normed, normed)
        return x + self.norm_second(self.second(x, gate))


class GNOT(nn.Module):
    """General neural operator transformer with one input function, the coordinates of the tokens.

    Hao et al. 2023, figure 2; sizes and single branch as in GIOROM's released code.

    Args:
        features: of a token (the "trunk").
        coordinates: of a token (the "branch").
        out: features of the result.
        width, layers, heads, experts: of the transformer.
        gate: features that the gate of the experts reads.
        dropout: in the attention.

    Raises:
        ValueError: heads do not divide the width.
    """

    def __init__(
        self,
        features: int,
        coordinates: int,
        out: int,
        *,
        width: int,
        layers: int,
        heads: int,
        experts: int,
        gate: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"Expected heads that divide the width {width}, got {heads}.")
        self.trunk = ResidualMLP(features, width, width)
        self.branch = ResidualMLP(coordinates, width, width)
        self.blocks = nn.ModuleList(Block(width, heads, experts, gate, dropout) for _ in range(layers))
        self.out = ResidualMLP(width, width, out)

    def forward(
        self,
        features: Float[Tensor, "batch token feature"],
        coordinates: Float[Tensor, "batch token dim"],
        place: Float[Tensor, "batch token gate"],
    ) -> Float[Tensor, "batch token out"]:
        """The result at each token; ``place`` is what the gate reads."""
        x, branch = self.trunk(features), self.branch(coordinates)
        for block in self.blocks:
            x = block(x, branch, place)
        return self.out(x)
