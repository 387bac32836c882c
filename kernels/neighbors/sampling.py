"""How far to look, and which points to keep."""

from __future__ import annotations

import math

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from .cloud import Period, Points, cloud_of, minimum_image, periods
from .nearest import nearest_neighbors

_MOST_QUERIES = 4096


def radius_for(
    points: Points,
    *,
    neighbors: float,
    period: Period = None,
    mask: Bool[Tensor, "batch node"] | None = None,
) -> float:
    """The least radius at which a point has ``neighbors`` other points around it, on average.

    Over all points up to 4096; over so many, evenly chosen by their order, of larger clouds. Thin clouds need a larger
    radius for as many neighbours: a radius belongs to a density, not to a data set.

    Args:
        points: of all samples together.
        neighbors: the mean number wanted, the point itself not counted.
        period: as in ``radius_neighbors``.
        mask: True where there is a point.

    Raises:
        ValueError: as ``radius_neighbors``, or fewer points than that, or no radius under half a period.
    """
    cloud, length = cloud_of(points, mask), periods(period, points)
    there = torch.bincount(cloud.sample, minlength=cloud.batch)[cloud.sample]
    fewest = int(there.min()) - 1 if len(there) else 0
    if not 0 < neighbors <= fewest:
        raise ValueError(f"Expected 0 < neighbors <= {fewest}, the other points there are, got {neighbors}.")
    chosen = torch.linspace(0, len(cloud.row) - 1, min(len(cloud.row), _MOST_QUERIES), device=points.device).long()
    asked = torch.zeros(points.shape[:2], dtype=torch.bool, device=points.device)
    asked.view(-1)[cloud.row[chosen]] = True
    exact, wanted = points.detach().double(), math.ceil(neighbors * len(chosen))
    count = min(fewest, 2 * math.ceil(neighbors))
    while True:
        # The nearest of each is itself, or its double at distance 0.
        found = nearest_neighbors(exact, exact, count=count + 1, period=period, mask=mask, query_mask=asked)
        distance = found.distance[asked][:, 1:]
        radius = float(distance.flatten().kthvalue(wanted).values)
        if count == fewest or radius <= float(distance[:, -1].min()):
            break
        count = min(fewest, 2 * count)
    # The search compares squares: what was rounded down must still be reached.
    radius *= 1 + 1e-12
    if bool((radius > length / 2).any()) or radius == 0:
        why = "points lie on each other" if radius == 0 else f"half a period is {float(length.min()) / 2:.6g}"
        raise ValueError(f"No radius gives {neighbors} neighbours: it would be {radius:.6g}, and {why}.")
    return radius


def farthest_points(
    points: Points,
    count: int,
    start: int = 0,
    *,
    period: Period = None,
    mask: Bool[Tensor, "batch node"] | None = None,
) -> Int[Tensor, "batch count"]:
    """Points far from each other: each next one is the farthest from those chosen; the first where several are.

    Y. Eldar, M. Lindenbaum, M. Porat, Y. Y. Zeevi, The Farthest Point Strategy for Progressive Image Sampling, 1997.
    Their covering radius is at most twice that of the best choice (T. F. Gonzalez, 1985). Takes batch * node * count
    distances.

    Args:
        count: how many to choose.
        start: index of the first, the same in every sample.
        period: as in ``radius_neighbors``.
        mask: True where there is a point; only those are chosen.

    Returns:
        Their indices in each sample, in the order they were chosen.

    Raises:
        ValueError: a sample with fewer points than ``count``, or ``start`` that is not one of its points.
    """
    cloud, length = cloud_of(points, mask), periods(period, points)
    batch, nodes, dim = points.shape
    position = cloud.position.new_zeros(batch * nodes, dim)
    position[cloud.row] = cloud.position
    there = torch.zeros(batch * nodes, dtype=torch.bool, device=points.device)
    there[cloud.row] = True
    position, there = position.unflatten(0, (batch, nodes)), there.unflatten(0, (batch, nodes))
    fewest = int(there.sum(-1).min()) if batch else count
    if not 1 <= count <= fewest:
        raise ValueError(f"Expected 1 <= count <= {fewest}, the points there are, got {count}.")
    if not 0 <= start < nodes or not bool(there[:, start].all()):
        raise ValueError(f"Expected start to be one of the {nodes} points, in every sample, got {start}.")
    chosen = torch.full((batch, count), start, device=points.device)
    gap = torch.where(there, math.inf, -1.0).double()
    rows = torch.arange(batch, device=points.device)
    for number in range(1, count):
        last = position[rows, chosen[:, number - 1]][:, None]
        gap = torch.minimum(gap, minimum_image(position - last, length).square().sum(-1))
        gap[rows, chosen[:, number - 1]] = -1.0  # chosen once, even among points that lie on each other
        chosen[:, number] = gap.argmax(-1)
    return chosen
