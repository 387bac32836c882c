"""The nearest points beside scipy's tree and all distances: sizes, clusters, far queries, ties, gradients."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from sciml.kernels.neighbors import boxes, cells, nearest, nearest_neighbors
from tests.kernels.neighbors.clouds import F64, all_distances, cloud


def expected(x, q, count, period=None, *, loop=True):
    """(index, distance) from all distances, ties by index."""
    distance = all_distances(x, q, None if period is None else torch.full(x.shape[-1:], period, dtype=x.dtype))
    if not loop:
        distance = distance + torch.eye(x.shape[1], dtype=x.dtype).masked_fill(torch.eye(x.shape[1]) == 1, math.inf)
    nearest = distance.sort(dim=-1, stable=True)
    return nearest.indices[..., :count], nearest.values[..., :count]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(2, 50),
    st.sampled_from([None, 0, 1, 20]),
    st.integers(1, 12),
    st.booleans(),
    st.sampled_from(["even", "lattice", "clusters"]),
    st.integers(0, 99),
)
def test_they_are_the_first_of_all_distances(dim, batch, nodes, asked, count, periodic, kind, seed):
    x = cloud(batch, nodes, dim, seed=seed, kind=kind)
    q = None if asked is None else cloud(batch, asked, dim, seed=seed + 1, kind=kind)
    count, period = min(count, nodes - 1), 1.0 if periodic else None
    loop = seed % 2 == 0
    index, distance = nearest_neighbors(x, q, count=count, period=period, loop=loop)
    numbers, values = expected(x, x if q is None else q, count, period, loop=loop or q is not None)
    torch.testing.assert_close(distance, values)
    if kind == "even":
        assert torch.equal(index, numbers)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("kind", ["even", "lattice", "clusters"])
@pytest.mark.parametrize("period", [None, 1.0])
@pytest.mark.parametrize(("count", "most"), [(1, 2**18), (5, 2000), (150, 2**14)])
def test_boxes_alone_find_the_same(dim: int, kind: str, period, count: int, most: int, monkeypatch) -> None:
    """Without a round of the growing radius, and in blocks so small that they have to be halved."""
    x, q = cloud(2, 200, dim, kind=kind), 1.4 * cloud(2, 20, dim, seed=1, kind=kind) - 0.2
    x[0, :9] += 3.0  # outside of the box, where there is one
    with_cells = nearest_neighbors(x, q, count=count, period=period), nearest_neighbors(x, count=count, loop=False)
    monkeypatch.setattr(nearest, "_ROUNDS", 0)
    monkeypatch.setattr(boxes, "BLOCK", {"cpu": most})
    alone = nearest_neighbors(x, q, count=count, period=period), nearest_neighbors(x, count=count, loop=False)
    for found, expected in zip(alone, with_cells):
        assert torch.equal(found.index, expected.index)
        assert torch.equal(found.distance, expected.distance)


def test_a_shifted_cloud_costs_about_as_much_as_the_same(monkeypatch) -> None:
    """A radius that grows for the half of the queries that are outside would look at half of all pairs."""
    x, q, looked_at = cloud(1, 4000, 3), cloud(1, 4000, 3, seed=1) + 0.5, []
    measured = cells.squared_length

    def counted(displacement, period):
        looked_at.append(displacement.numel() // 3)
        return measured(displacement, period)

    for module in (cells, boxes):
        monkeypatch.setattr(module, "squared_length", counted)
    found = nearest_neighbors(x, q, count=1)
    torch.testing.assert_close(found.distance, expected(x, q, 1)[1])
    assert sum(looked_at) < 4000 * 1000


def test_equally_near_ones_come_by_index() -> None:
    x = torch.tensor([[[1.0, 0], [0, 1], [0, 0], [-1, 0], [0, -1], [0, 0]]])
    index, distance = nearest_neighbors(x, torch.zeros(1, 1, 2), count=4)
    assert index.tolist() == [[[2, 5, 0, 1]]] and distance.tolist() == [[[0, 0, 1, 1]]]


@pytest.mark.parametrize("shift", [3.0, 1e3, 1e9])
def test_queries_far_from_the_cloud(shift: float) -> None:
    x, q = cloud(2, 300, 3), cloud(2, 20, 3, seed=3)
    q[0] += shift
    index, distance = nearest_neighbors(x, q, count=3)
    numbers, values = expected(x, q, 3)
    torch.testing.assert_close(distance, values)
    assert shift > 1e6 or torch.equal(index, numbers)


def test_clusters_of_very_different_density() -> None:
    x = torch.cat([cloud(1, 2000, 3), 1e-4 * cloud(1, 2000, 3, seed=1), 1e4 * cloud(1, 50, 3, seed=2)], 1)
    index, distance = nearest_neighbors(x, count=5)
    values, numbers = cKDTree(x[0].numpy()).query(x[0].numpy(), 5)
    torch.testing.assert_close(distance[0], torch.from_numpy(values))
    assert torch.equal(index[0], torch.from_numpy(numbers))


@pytest.mark.parametrize("dim", [1, 2, 3])
def test_points_in_one_place_or_on_a_line(dim: int) -> None:
    same = torch.full((1, 9, dim), 0.3, dtype=F64)
    index, distance = nearest_neighbors(same, count=9)
    assert torch.equal(index[0], torch.arange(9).expand(9, 9)) and not distance.any()
    line = torch.zeros(1, 50, dim, dtype=F64)
    line[0, :, 0] = torch.arange(50)
    assert nearest_neighbors(line, count=2, loop=False).distance.max() == 2


def test_batched_equals_one_by_one() -> None:
    x = torch.cat([scale * cloud(1, 40, 2, seed=s) for s, scale in enumerate((1.0, 1e-5, 1e5))])
    together = nearest_neighbors(x, count=4)
    for sample in range(3):
        alone = nearest_neighbors(x[[sample]], count=4)
        assert all(torch.equal(part[sample], one[0]) for part, one in zip(together, alone))


def test_masked_points_are_not_found_and_masked_queries_find_nothing() -> None:
    x, mask = cloud(2, 30, 2), torch.arange(30)[None] < torch.tensor([[30], [11]])
    padded = x.masked_fill(~mask[..., None], math.nan).requires_grad_()
    index, distance = nearest_neighbors(padded, count=3, mask=mask)
    assert torch.equal(index[1, :11], nearest_neighbors(x[1:, :11], count=3).index[0])
    assert (index[1, 11:] == -1).all() and distance[1, 11:].isinf().all()
    (gradient,) = torch.autograd.grad(distance[mask].sum(), padded)
    assert bool(gradient.isfinite().all())


def test_gradients_of_distances() -> None:
    x, q = (cloud(2, n, 3, seed=n).requires_grad_() for n in (9, 4))
    assert torch.autograd.gradcheck(lambda x, q: nearest_neighbors(x, q, count=3, period=1.0).distance, (x, q))


@pytest.mark.parametrize("dtype", [torch.float32, F64])
def test_many_points(dtype: torch.dtype) -> None:
    x, q = cloud(1, 100_000, 3, dtype=dtype), cloud(1, 100_000, 3, seed=1, dtype=dtype)
    index, distance = nearest_neighbors(x, q, count=1)
    values, numbers = cKDTree(x[0].double().numpy()).query(q[0].double().numpy())
    assert torch.equal(index[0, :, 0], torch.from_numpy(numbers)) and distance.dtype == dtype
    torch.testing.assert_close(distance[0, :, 0].double(), torch.from_numpy(values), rtol=1e-4, atol=1e-7)


def test_too_few_points_are_named() -> None:
    mask = torch.arange(5)[None] < torch.tensor([[5], [2]])
    with pytest.raises(ValueError, match="count <= the 2 points of batch 1, got 3"):
        nearest_neighbors(cloud(2, 5, 2), count=3, mask=mask)
    with pytest.raises(ValueError, match="count <= the 4 other points of batch 0, got 5"):
        nearest_neighbors(cloud(1, 5, 2), count=5, loop=False)
    with pytest.raises(ValueError, match="count <= the 0 points of batch 0"):
        nearest_neighbors(cloud(1, 0, 2), cloud(1, 1, 2), count=1)
    with pytest.raises(ValueError, match="count >= 1, got 0"):
        nearest_neighbors(cloud(1, 5, 2), count=0)
    with pytest.raises(ValueError, match="query_mask with queries alone"):
        nearest_neighbors(cloud(1, 5, 2), count=1, query_mask=torch.ones(1, 5, dtype=torch.bool))
