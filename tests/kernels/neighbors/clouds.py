"""Clouds, and their neighbours by scipy's tree and by all distances."""

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from sciml.kernels.neighbors import Neighbors

F64 = torch.float64


def cloud(batch: int, nodes: int, dim: int, *, seed: int = 0, dtype: torch.dtype = F64, kind: str = "even") -> Tensor:
    """Points of the unit box: "even"; on a "lattice" of ties; in "clusters" of very different sizes."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(batch, nodes, dim, generator=generator, dtype=F64)
    if kind == "lattice":
        x = (x * 7).floor() / 8
    if kind == "clusters":
        x = x ** torch.randint(1, 9, (batch, nodes, 1), generator=generator)
    return x.to(dtype)


def edges(found: Neighbors) -> set[tuple[int, int]]:
    """(source, target) pairs."""
    return set(zip(found.source.tolist(), found.target.tolist()))


def by_tree(
    points: Tensor, queries: Tensor, radius: float, period: float | list | None = None, *, loop: bool = True
) -> set[tuple[int, int]]:
    """The pairs that scipy finds, of all samples."""
    found, box = set(), None
    if period is not None:
        box = [0.0 if length is None else length for length in np.broadcast_to(period, points.shape[-1])]
    for sample, (x, q) in enumerate(zip(points.double().numpy(), queries.double().numpy())):
        if not len(x) or not len(q):
            continue
        near = cKDTree(x, boxsize=box).query_ball_point(q, radius)
        first, asked = sample * len(x), sample * len(q)
        found |= {(first + s, asked + t) for t, row in enumerate(near) for s in row if loop or s != t}
    return found


def all_distances(points: Tensor, queries: Tensor, period: Tensor | None = None) -> Tensor:
    """(batch, query, node) distances, to the nearest image."""
    between = queries[:, :, None] - points[:, None]
    if period is not None:
        between = between - period * torch.round(between / period)
    return between.norm(dim=-1)
