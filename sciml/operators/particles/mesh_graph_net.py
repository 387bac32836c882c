"""Simulator of deforming meshes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from sciml.operators.physical import ChannelLike
from sciml.solvers.stepper import Step

from .blocks import MLP, TypedEncoder
from .box import BoxLike
from .frame import ParticleFrame
from .graph import Edges, ParticleGraph, edge_features
from .message_passing import MessagePassing
from .simulator import ParticleSimulator


@dataclass(frozen=True, eq=False, slots=True)
class Mesh:
    """A mesh of fixed connectivity.

    Attributes:
        edges: (source, target) of each; both directions are used, one is enough here.
        rest: positions of its nodes where it is at rest; of two axes for a cloth in space.

    Raises:
        ValueError: an edge to a node that is not there.
    """

    edges: Int[Tensor, "edge 2"]
    rest: Float[Tensor, "node axis"]

    def __post_init__(self) -> None:
        edges = self.edges
        if edges.is_meta or not edges.numel():
            return
        if not 0 <= int(edges.min()) <= int(edges.max()) < len(self.rest):
            raise ValueError(
                f"Expected edges between the {len(self.rest)} nodes of rest, numbered from 0, got numbers from "
                f"{int(edges.min())} to {int(edges.max())}."
            )


class MeshGraphNet(ParticleSimulator):
    """Message passing along the edges of a mesh, and between parts of it that come near each other.

    Pfaff, Fortunato, Sanchez-Gonzalez, Battaglia, "Learning Mesh-Based Simulation with Graph Networks", 2021: its
    simulator of deforming bodies, with 15 steps of message passing. A state is that of ``GNS``, of two positions
    (``particle_channels(dim, 2)``); obstacles are nodes of a prescribed type. The mesh is part of the weights.

    Args:
        channels: of the state.
        box: that the mesh lives in.
        radius: within which nodes that share no edge see each other.
        mesh: the same for all samples; its sizes, in a stored configuration.
        steps: of message passing.
        width: of everything hidden.
        types: how many node types there are.
        prescribed: types of nodes that are not predicted.

    Raises:
        ValueError: an argument is out of its range.
    """

    mesh_edges: Tensor
    rest: Tensor

    def __init__(
        self,
        channels: Sequence[ChannelLike],
        *,
        box: BoxLike,
        radius: float,
        mesh: Mesh | Mapping[str, Any],
        steps: int = 15,
        width: int = 128,
        types: int = 9,
        prescribed: Sequence[int] = (),
    ) -> None:
        super().__init__(ParticleFrame(channels, box=box, radius=radius, types=types, prescribed=prescribed))
        mesh = mesh if isinstance(mesh, Mesh) else _empty_mesh(**mesh)
        self.register_buffer("mesh_edges", mesh.edges.long().clone())
        self.register_buffer("rest", mesh.rest.float().clone())
        config = {key: value for key, value in self.frame.config.items() if key != "contain"}
        sizes = {"edges": len(mesh.edges), "nodes": len(mesh.rest), "axes": mesh.rest.shape[1]}
        self.config: dict[str, Any] = {**config, "mesh": sizes, "steps": steps, "width": width}
        dim, axes = self.frame.layout.dim, mesh.rest.shape[1]
        self.nodes = TypedEncoder(self.frame.features, types, width, [width] * 2)
        sets = (dim + 1 + axes + 1, self.frame.edge_features)
        self.encoders = nn.ModuleList(MLP([features, width, width, width], norm=True) for features in sets)
        self.processor = nn.ModuleList(MessagePassing(width, sets=2) for _ in range(steps))
        self.decoder = MLP([width, width, width, dim])

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Float[Tensor, "batch node channel"]
    ) -> Step:
        """The state one frame later; dt is the trained one, or 0 for none.

        Raises:
            ValueError: y is not a state of the mesh's nodes, or as ``GNS`` raises.
        """
        particles = self.frame.read(dt, y)
        if y.shape[1] != len(self.rest):
            raise ValueError(f"Expected a state of the mesh's {len(self.rest)} nodes, got {y.shape[1]}.")
        graph = self.frame.graph(particles, next(self.parameters()).dtype)
        sets = self._edges(graph)
        nodes = self.nodes(graph.nodes, graph.types)
        features = [encode(edges.features) for encode, edges in zip(self.encoders, sets)]
        for layer in self.processor:
            nodes, features = layer(nodes, features, sets)
        return self.frame.step(dt, y, particles, self.decoder(nodes))

    def _edges(self, graph: ParticleGraph) -> list[Edges]:
        """Those of the mesh, and those between nodes that are near in space and no neighbours on the mesh."""
        batch, count, _ = graph.positions.shape
        both = torch.cat([self.mesh_edges, self.mesh_edges.flip(1)]).unique(dim=0)
        first = torch.arange(batch, device=both.device)[:, None] * count
        source, target = ((first + both[:, k]).flatten() for k in range(2))
        x, dtype = graph.positions.flatten(0, 1), graph.nodes.dtype
        now = edge_features(self.frame.box.difference(x[source], x[target]), self.frame.radius)
        rest = edge_features(self.rest[both[:, 0]] - self.rest[both[:, 1]], self.frame.radius).repeat(batch, 1)
        mesh = Edges(source, target, torch.cat([now.to(dtype), rest.to(dtype)], dim=-1))
        near, total = graph.edges, batch * count
        new = ~torch.isin(near.source * total + near.target, source * total + target) & (near.source != near.target)
        return [mesh, Edges(near.source[new], near.target[new], near.features[new])]


def _empty_mesh(edges: int, nodes: int, axes: int) -> Mesh:
    """A mesh of those sizes, to be filled with stored weights."""
    return Mesh(torch.zeros(edges, 2, dtype=torch.long), torch.zeros(nodes, axes))
