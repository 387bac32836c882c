"""Components beside scipy's, and the errors that name what is apart."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sciml.kernels.neighbors import check_connected, check_occupied, components, radius_neighbors
from tests.kernels.neighbors.clouds import cloud


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 3), st.integers(0, 60), st.floats(0.01, 0.4), st.integers(0, 99))
def test_components_are_those_of_scipy(batch: int, nodes: int, radius: float, seed: int) -> None:
    found = radius_neighbors(cloud(batch, nodes, 2, seed=seed), radius=radius, limit=1 + seed % 4)
    parts = components(found)
    ones = torch.ones(len(found.source))
    for sample in range(batch * (nodes > 0)):
        mine = torch.div(found.target, nodes, rounding_mode="floor") == sample
        pairs = (found.source[mine] - sample * nodes).numpy(), (found.target[mine] - sample * nodes).numpy()
        count, label = connected_components(coo_matrix((ones[mine], pairs), (nodes, nodes)), directed=False)
        assert int(parts.count[sample]) == count
        assert parts.label[sample].tolist() == label.tolist()  # both number them by their first points
        lonely = torch.bincount(torch.from_numpy(label), minlength=count)[label] == 1
        assert torch.equal(parts.isolated[sample], lonely)


def test_a_long_chain_in_any_order_takes_few_rounds(monkeypatch) -> None:
    order = torch.randperm(20_000, generator=torch.Generator().manual_seed(0))
    x = order.double()[None, :, None]
    graph, rounds = radius_neighbors(x, radius=1.0), []
    equal = torch.equal
    monkeypatch.setattr(torch, "equal", lambda a, b: rounds.append(1) or equal(a, b))
    assert components(graph).count.tolist() == [1]
    assert len(rounds) < 20


def test_a_disconnected_graph_is_named() -> None:
    x = torch.tensor([[[0.0], [0.1], [0.2]], [[0.0], [0.1], [5.0]]])
    check_connected(radius_neighbors(x[:1], radius=0.15))
    with pytest.raises(ValueError, match="disconnected one: batch 1 has 2 components, the largest with 2 of 3"):
        check_connected(radius_neighbors(x, radius=0.15))
    mask = torch.tensor([[True] * 3, [True, True, False]])
    graph = radius_neighbors(x, radius=0.15, mask=mask)
    check_connected(graph, mask=mask)
    assert components(graph, mask=mask).label.tolist() == [[0, 0, 0], [0, 0, -1]]


def test_an_empty_neighbourhood_is_named() -> None:
    x, q = torch.zeros(1, 3, 2), torch.tensor([[[0.0, 0.1], [4.0, 0.0]]])
    graph = radius_neighbors(x, q, radius=0.5)
    assert graph.degree.tolist() == [[3, 0]]
    with pytest.raises(ValueError, match="empty neighbourhood for 1 of 2, first batch 0, query 1"):
        check_occupied(graph)
    check_occupied(graph, query_mask=torch.tensor([[True, False]]))
    with pytest.raises(ValueError, match="points among themselves, got 3 points for 2 queries"):
        components(graph)
