"""The radius of a number of neighbours, and points far from each other."""

import math

import pytest
import torch

from sciml.kernels.neighbors import farthest_points, nearest_neighbors, radius_for, radius_neighbors, sampling
from tests.kernels.neighbors.clouds import all_distances, cloud


@pytest.mark.parametrize("period", [None, 1.0])
@pytest.mark.parametrize("neighbors", [1.0, 6.5, 20.0])
@pytest.mark.parametrize("kind", ["even", "clusters"])
def test_the_radius_is_the_least_with_so_many_neighbours(period, neighbors: float, kind: str) -> None:
    x = cloud(2, 300, 2, kind=kind)
    radius = radius_for(x, neighbors=neighbors, period=period)
    reached = [
        len(radius_neighbors(x, radius=r, period=period, loop=False).source) / 600 for r in (radius, radius * 0.999999)
    ]
    assert reached[1] < neighbors <= reached[0] <= neighbors + 0.01


def test_of_large_clouds_some_points_are_asked(monkeypatch) -> None:
    x = cloud(1, 5000, 3)
    exact = radius_for(x, neighbors=12.0)
    monkeypatch.setattr(sampling, "_MOST_QUERIES", 1000)
    assert radius_for(x, neighbors=12.0) == pytest.approx(exact, rel=0.03)


def test_padding_does_not_count() -> None:
    x = cloud(2, 60, 3)
    mask = torch.arange(60)[None] < torch.tensor([[60], [60]])
    padded = torch.cat([x, torch.full((2, 7, 3), math.nan, dtype=x.dtype)], 1)
    wide = torch.cat([mask, torch.zeros(2, 7, dtype=torch.bool)], 1)
    assert radius_for(padded, neighbors=5.0, mask=wide) == radius_for(x, neighbors=5.0)
    assert torch.equal(farthest_points(padded, 9, mask=wide), farthest_points(x, 9))


def test_no_such_radius() -> None:
    with pytest.raises(ValueError, match=r"0 < neighbors <= 3, the other points there are, got 5"):
        radius_for(cloud(1, 4, 2), neighbors=5.0)
    with pytest.raises(ValueError, match=r"half a period is 0\.05"):
        radius_for(cloud(1, 50, 2), neighbors=45.0, period=0.1)
    with pytest.raises(ValueError, match="points lie on each other"):
        radius_for(torch.zeros(1, 9, 2), neighbors=3.0)


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_each_next_point_is_the_farthest_from_those_before(dim: int) -> None:
    x = cloud(3, 40, dim)
    chosen, distance = farthest_points(x, 12, start=5), all_distances(x, x)
    assert (chosen[:, 0] == 5).all()
    for sample in range(3):
        for number in range(1, 12):
            gap = distance[sample][chosen[sample, :number]].min(0).values
            assert int(gap.argmax()) == int(chosen[sample, number])


def test_they_cover_the_cloud_at_most_twice_as_wide_as_they_are_apart() -> None:
    x = cloud(1, 500, 2)
    kept = x[:, farthest_points(x, 30)[0]]
    cover = nearest_neighbors(kept, x, count=1).distance.max()
    apart = nearest_neighbors(kept, count=1, loop=False).distance.min()
    assert cover <= apart


def test_periodic_ends_are_near() -> None:
    x = torch.tensor([[[0.0], [0.95], [0.5], [0.4]]])
    assert farthest_points(x, 2, period=1.0).tolist() == [[0, 2]]
    assert farthest_points(x, 2).tolist() == [[0, 1]]


def test_points_that_lie_on_each_other_are_chosen_once_each() -> None:
    assert farthest_points(torch.zeros(1, 4, 2), 4).sort().values.tolist() == [[0, 1, 2, 3]]


def test_wrong_counts_are_named() -> None:
    with pytest.raises(ValueError, match="1 <= count <= 4, the points there are, got 5"):
        farthest_points(cloud(1, 4, 2), 5)
    with pytest.raises(ValueError, match="start to be one of the 4 points, in every sample, got 4"):
        farthest_points(cloud(1, 4, 2), 2, start=4)
