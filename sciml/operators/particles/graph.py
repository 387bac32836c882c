"""The graph of particles within a radius of each other, with what the networks read at its nodes and edges."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from sciml.kernels.neighbors.radius import radius_neighbors

from .box import Box
from .normalization import MotionNormalization
from .state import Particles

_FAR = 2.0
"""Radii beyond which it does not matter how far apart two particles are at rest: they are not of one piece."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Edges of all samples' graphs; nodes are numbered through the batch, none joins two samples.

    Attributes:
        source, target: (edge,), from 0 to batch * node - 1; a message goes from source to target.
        features: what the network reads: with a reference, the vector from target to source at rest over the radius and
            its length, cut off at ``_FAR``; then those of now, of which the length is in [0, 1].
    """

    source: Int[Tensor, " edge"]
    target: Int[Tensor, " edge"]
    features: Float[Tensor, "edge feature"]

    @property
    def distance(self) -> Float[Tensor, "edge 1"]:
        """Length over the radius."""
        return self.features[:, -1:]


@dataclass(frozen=True, slots=True)
class ParticleGraph:
    """What a network of particles sees.

    Attributes:
        nodes: features of each particle but its type: normalised velocities, oldest first; distances to the walls over
            the radius, cut off at 1; normalised inputs.
        types: of each particle.
        edges: between particles within the radius, with one of each to itself.
        positions, real: as in ``Particles``, the newest ones.
    """

    nodes: Float[Tensor, "total feature"]
    types: Int[Tensor, " total"]
    edges: Edges
    positions: Float[Tensor, "batch node dim"]
    real: Bool[Tensor, "batch node"]


def particle_graph(
    particles: Particles, box: Box, normalization: MotionNormalization, radius: float, dtype: torch.dtype
) -> ParticleGraph:
    """The graph of a state; geometry is computed in the state's precision, features are of ``dtype``.

    Sanchez-Gonzalez, Godwin, Pfaff, Ying, Leskovec, Battaglia, "Learning to Simulate Complex Physics with Graph
    Networks", 2020, section 4.2 and appendix B.
    """
    x = particles.newest
    nodes = torch.cat(
        [
            normalization.encode_velocity(velocities(particles, box)).transpose(1, 2).flatten(2),
            wall_distances(x, box, radius),
            normalization.encode_inputs(particles.inputs),
        ],
        dim=-1,
    )
    nodes = torch.where(particles.real[..., None], nodes, torch.zeros_like(nodes))
    return ParticleGraph(
        nodes=nodes.flatten(0, 1).to(dtype),
        types=particles.types.flatten(),
        edges=radius_edges(x, particles.real, box, radius, dtype, reference=particles.reference),
        positions=x,
        real=particles.real,
    )


def node_features(dim: int, window: int, box: Box, inputs: int) -> int:
    """How many features ``particle_graph`` gives each node."""
    return (window - 1) * dim + 2 * len(box.walls) + inputs


def velocities(particles: Particles, box: Box) -> Float[Tensor, "batch past node dim"]:
    """Differences of consecutive positions, oldest first, per frame."""
    return box.difference(particles.positions[:, 1:], particles.positions[:, :-1])


def wall_distances(x: Float[Tensor, "batch node dim"], box: Box, radius: float) -> Float[Tensor, "batch node wall"]:
    """Distances to the lower and the upper walls over the radius, between -1 (outside) and 1 (far away)."""
    low, high = box.corners(x)
    walls = list(box.walls)
    both = torch.cat([(x - low)[..., walls], (high - x)[..., walls]], dim=-1)
    return (both / radius).clamp(-1.0, 1.0)


def radius_edges(
    x: Float[Tensor, "batch node dim"],
    real: Bool[Tensor, "batch node"],
    box: Box,
    radius: float,
    dtype: torch.dtype,
    *,
    loop: bool = True,
    reference: Float[Tensor, "batch node dim"] | None = None,
) -> Edges:
    """Edges between all particles of a sample within ``radius`` of each other; ``loop`` for those to themselves."""
    near = radius_neighbors(x, radius=radius, period=box.period(x), loop=loop, mask=real)
    features = edge_features(near.displacement, radius)
    if reference is not None:
        rest = reference.flatten(0, 1)
        apart = edge_features(box.difference(rest[near.source], rest[near.target]), radius)
        apart = apart / (apart[:, -1:] / _FAR).clamp(min=1.0)
        features = torch.cat([apart, features], dim=-1)
    return Edges(near.source, near.target, features.to(dtype))


def edge_features(displacement: Float[Tensor, "edge dim"], radius: float) -> Float[Tensor, "edge feature"]:
    """A vector over the radius, and its length; the gradient at length 0 is 0."""
    relative = displacement / radius
    return torch.cat([relative, torch.linalg.vector_norm(relative, dim=-1, keepdim=True)], dim=-1)
