"""What is wrong with a graph: queries that see nothing, and parts that know nothing of each other."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from .radius import Neighbors


@dataclass(frozen=True, eq=False, slots=True)
class Components:
    """The connected components of a graph of points among themselves, edges taken both ways.

    Attributes:
        label: number of each point's component in its sample, in the order of their first points; -1 where a mask
            drops the point.
        count: of the components of each sample.
        isolated: points that have no neighbour but themselves.
    """

    label: Int[Tensor, "batch node"]
    count: Int[Tensor, " batch"]
    isolated: Bool[Tensor, "batch node"]


def components(neighbors: Neighbors, *, mask: Bool[Tensor, "batch node"] | None = None) -> Components:
    """The components of a graph: least labels handed along edges until nothing changes.

    Y. Zhang, A. Azad, Z. Hu, FastSV: A Distributed-Memory Connected Component Algorithm with Fast Convergence, 2020.

    Args:
        neighbors: of points among themselves.
        mask: that of the search; points it drops are in no component.

    Raises:
        ValueError: queries that are not the points.
    """
    batch, nodes, queries = neighbors.shape
    if nodes != queries:
        raise ValueError(f"Expected a graph of points among themselves, got {nodes} points for {queries} queries.")
    source, target = neighbors.source, neighbors.target
    label = torch.arange(batch * nodes, device=source.device)
    while True:
        second, lower = label[label], label
        for here, there in ((source, target), (target, source)):
            for hooked in (label[there], there):  # the tree a point hangs on, and the point itself
                lower = lower.scatter_reduce(0, hooked, second[here], "amin")
        lower = lower[lower]
        if torch.equal(lower, label):
            break
        label = lower
    present = torch.ones_like(label, dtype=torch.bool) if mask is None else mask.to(label.device).flatten()
    first = present & (label == torch.arange(len(label), device=label.device))
    count = first.view(batch, nodes).sum(-1)
    number = first.view(batch, nodes).cumsum(-1).flatten() - 1
    other = (source != target).long()
    touched = torch.zeros_like(label).index_add_(0, source, other).index_add_(0, target, other)
    return Components(
        label=torch.where(present, number[label], -1).view(batch, nodes),
        count=count,
        isolated=((touched == 0) & present).view(batch, nodes),
    )


def check_connected(neighbors: Neighbors, *, mask: Bool[Tensor, "batch node"] | None = None) -> None:
    """Raise a ``ValueError`` unless the points of every sample are one component."""
    found = components(neighbors, mask=mask)
    apart = (found.count > 1).nonzero()[:, 0].tolist()
    if not apart:
        return
    sample = apart[0]
    label = found.label[sample]
    largest = int(label[label >= 0].bincount().max())
    raise ValueError(
        f"Expected a connected graph, got a disconnected one: batch {sample} has {int(found.count[sample])} "
        f"components, the largest with {largest} of {int((label >= 0).sum())} points, "
        f"and {int(found.isolated[sample].sum())} isolated points. Take a larger radius: "
        "radius_for(points, neighbors=...)."
    )


def check_occupied(neighbors: Neighbors, *, query_mask: Bool[Tensor, "batch query"] | None = None) -> None:
    """Raise a ``ValueError`` where a query has no neighbour."""
    empty = neighbors.degree == 0
    if query_mask is not None:
        empty &= query_mask.to(empty.device)
    if bool(empty.any()):
        sample, query = empty.nonzero()[0].tolist()
        there = empty.numel() if query_mask is None else int(query_mask.sum())
        raise ValueError(
            f"Expected a neighbour for every query, got an empty neighbourhood for {int(empty.sum())} of {there}, "
            f"first batch {sample}, query {query}. Take a larger radius: radius_for(points, neighbors=...)."
        )
