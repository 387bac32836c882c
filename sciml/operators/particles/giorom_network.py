"""GIOROM's network: interactions on the particles, a transformer on a latent grid, interactions again."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sciml.kernels.neighbors.radius import radius_neighbors

from .blocks import MLP, TypedEncoder
from .giorom_config import GIOROMConfig
from .gnot import GNOT
from .graph import ParticleGraph
from .integral import IntegralTransform
from .interaction import InteractionOperator
from .latent_grid import LatentGrid


class GIOROMNetwork(nn.Module):
    """Normalised accelerations of the particles of a graph.

    Args:
        features: of a node.
        edge_features: of an edge.
        types: how many particle types there are.
        grid: the latent one.
        config: of the network.
    """

    def __init__(self, features: int, edge_features: int, types: int, grid: LatentGrid, config: GIOROMConfig) -> None:
        super().__init__()
        self.grid, self.config = grid, config
        width, dim, published = config.width, grid.box.dim, config.published
        # The released 2D network hands the grid what its decoder makes of the particles, 2 features.
        self.bottleneck = published and dim == 2
        self.nodes = TypedEncoder(features, types, width, [width] * 2)
        self.edges = MLP([edge_features, width, width, width], norm=True)
        self.before, self.after = (
            nn.ModuleList(InteractionOperator(width, width) for _ in range(config.steps)) for _ in range(2)
        )
        *hidden, made = config.to_grid
        given = dim if self.bottleneck else width
        self.to_grid = IntegralTransform(dim, given, hidden, made, reads=True, published=published)
        self.transformer = GNOT(
            config.token,
            dim,
            width,
            width=config.transformer_width,
            layers=config.layers,
            heads=config.heads,
            experts=config.experts,
            gate=config.token if published else dim,
            dropout=config.dropout,
        )
        self.from_grid = IntegralTransform(dim, width, config.from_grid, width, reads=False, published=published)
        self.projection = MLP([width, *config.projection, width], activation=nn.GELU)
        self.decoder = MLP([width, width, width, dim])
        if self.bottleneck:
            # The one difference left to the released count is 8: a linear layer from 3 to 2 features would be that, and
            # the version before had one in its 3D network. Nothing reads it.
            self.unused = nn.Linear(3, 2).requires_grad_(False)

    def forward(self, graph: ParticleGraph) -> Tensor:
        """(batch * node, dim)."""
        nodes, edges = self.nodes(graph.nodes, graph.types), self.edges(graph.edges.features)
        for layer in self.before:
            nodes, edges = layer(nodes, edges, graph.edges)
        latent = self._through_grid(self.decoder(nodes) if self.bottleneck else nodes, graph)
        nodes = self.projection(latent) if self.bottleneck else nodes + self.projection(latent)
        for layer in self.after:
            nodes, edges = layer(nodes, edges, graph.edges)
        return self.decoder(nodes)

    def _through_grid(self, nodes: Tensor, graph: ParticleGraph) -> Tensor:
        """What the transformer makes of all particles of a sample, at each of them."""
        grid, box = self.grid, self.grid.box
        x, real = graph.positions, graph.real
        centre = grid.centre(x, real)
        y = grid.nodes(centre)
        origin = torch.zeros_like(centre) if self.config.published else centre
        own, places = x - origin[:, None], y - origin[:, None]
        there = radius_neighbors(x, y, radius=grid.radius, period=box.period(x), mask=real)
        tokens = self.to_grid(there, nodes, own.flatten(0, 1).to(nodes.dtype), grid.radius)
        tokens = tokens.unflatten(0, y.shape[:2])
        if tokens.shape[-1] < self.config.token:
            tokens = nn.functional.pad(tokens, (0, self.config.token - tokens.shape[-1]))
        # Along periodic axes every place is like any other, and none is given.
        scale = x.new_tensor([0.0 if repeats else 2 / side for side, repeats in zip(box.sides, box.periodic)])
        coordinates = (places if self.config.published else places * scale).to(tokens.dtype)
        gate = tokens if self.config.published else coordinates
        made = self.transformer(tokens, coordinates, gate).flatten(0, 1)
        back = radius_neighbors(y, x, radius=grid.radius, period=box.period(x), query_mask=real)
        return self.from_grid(back, made, places.flatten(0, 1).to(made.dtype), grid.radius).to(nodes.dtype)
