"""Pairs within a radius beside scipy's tree: sizes, boxes, ties, masks, gradients, memory, and bad arguments."""

import math
import re
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sciml.kernels.neighbors import cells, radius_neighbors
from sciml.kernels.neighbors.cloud import cloud_of, periods
from tests.kernels.neighbors.clouds import F64, all_distances, by_tree, cloud, edges

every_dim = pytest.mark.parametrize("dim", [1, 2, 3])


@settings(max_examples=150, deadline=None)
@given(
    st.integers(1, 3),
    st.integers(0, 3),
    st.sampled_from([0, 1, 2, 3, 10, 60]),
    st.sampled_from([None, 0, 1, 7, 40]),
    st.floats(0.01, 0.5),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["even", "lattice", "clusters"]),
    st.sampled_from([torch.float32, F64]),
    st.integers(0, 99),
)
def test_pairs_are_those_of_the_tree(dim, batch, nodes, asked, radius, periodic, loop, kind, dtype, seed):
    x = cloud(batch, nodes, dim, seed=seed, kind=kind, dtype=dtype)
    q = None if asked is None else cloud(batch, asked, dim, seed=seed + 1, kind=kind, dtype=dtype)
    radius = round(8 * radius) / 8 or 0.125 if kind == "lattice" else radius
    period = 1.0 if periodic else None
    found = radius_neighbors(x, q, radius=radius, period=period, loop=loop)
    targets = x if q is None else q
    assert edges(found) == by_tree(x, targets, radius, period, loop=loop or q is not None)
    assert found.shape == (batch, nodes, targets.shape[1])
    # Sorted, each edge once, and the rows of the table are the targets.
    key = found.target * max(batch * nodes, 1) + found.source
    assert bool((key.diff() > 0).all())
    assert found.splits[0] == 0 and found.splits[-1] == len(found.source)
    assert torch.equal(found.splits.diff(), torch.bincount(found.target, minlength=batch * targets.shape[1]))
    assert found.displacement.dtype == dtype and found.displacement.shape == (len(found.source), dim)
    assert bool((found.distance <= radius * (1 + 1e-6)).all())


@every_dim
@pytest.mark.parametrize("periodic", [False, True])
def test_a_tie_at_the_radius_is_a_neighbour(dim: int, periodic: bool) -> None:
    axis = torch.arange(8, dtype=F64) / 8
    x = torch.cartesian_prod(*[axis] * dim).view(1, -1, dim)
    found = radius_neighbors(x, radius=1 / 8, period=1.0 if periodic else None, loop=False)
    expected = 2 * dim * 8**dim if periodic else 2 * dim * 7 * 8 ** (dim - 1)
    assert len(found.source) == expected
    assert len(radius_neighbors(x, radius=0.124, period=1.0 if periodic else None).source) == 8**dim


@pytest.mark.parametrize("period", [[1.0, None, None], [None, 1.0, math.inf], [1.0, 1.0, None], [None, 1.0, 1.0]])
@pytest.mark.parametrize("radius", [0.07, 0.2, 0.4, 0.5])
def test_some_axes_periodic(period: list, radius: float) -> None:
    x = cloud(2, 80, 3)
    expected = by_tree(x, x, radius, [None if length in (None, math.inf) else length for length in period])
    assert edges(radius_neighbors(x, radius=radius, period=period)) == expected


@every_dim
def test_positions_outside_the_box_are_wrapped(dim: int) -> None:
    x = cloud(1, 100, dim)
    turns = torch.randint(-3, 4, x.shape, generator=torch.Generator().manual_seed(1))
    first, moved = (radius_neighbors(y, radius=0.2, period=1.0) for y in (x, x + turns))
    assert edges(first) == edges(moved)
    torch.testing.assert_close(first.displacement, moved.displacement)
    nearest = all_distances(x, x, torch.ones(dim, dtype=F64))[0]
    torch.testing.assert_close(first.distance, nearest[first.target, first.source])


@every_dim
@pytest.mark.parametrize("period", [None, 1.0])
def test_batched_equals_one_by_one_with_radii_of_their_own(dim: int, period: float | None) -> None:
    x, q, radius = cloud(4, 50, dim), cloud(4, 30, dim, seed=9), torch.tensor([0.02, 0.5, 0.21, 0.34])
    together = radius_neighbors(x, q, radius=radius, period=period, limit=5)
    for sample in range(4):
        alone = radius_neighbors(x[[sample]], q[[sample]], radius=float(radius[sample]), period=period, limit=5)
        mine = torch.div(together.target, 30, rounding_mode="floor") == sample
        assert torch.equal(together.source[mine] - 50 * sample, alone.source)
        assert torch.equal(together.target[mine] - 30 * sample, alone.target)
        assert torch.equal(together.displacement[mine], alone.displacement)


@pytest.mark.parametrize("most", [1, 30, 2**30])
@pytest.mark.parametrize("limit", [None, 3])
def test_pairs_do_not_depend_on_how_the_work_is_split(most: int, limit: int | None, monkeypatch) -> None:
    x = cloud(2, 60, 2, kind="clusters")
    expected = radius_neighbors(x, radius=0.1, limit=limit)
    monkeypatch.setattr(cells, "BLOCK", {"cpu": most})
    found = radius_neighbors(x, radius=0.1, limit=limit)
    assert torch.equal(found.source, expected.source) and torch.equal(found.target, expected.target)


@pytest.mark.parametrize("limit", [1, 2, 5, 100])
@pytest.mark.parametrize("kind", ["even", "lattice"])
def test_a_limit_keeps_the_nearest_and_the_first_of_equals(limit: int, kind: str) -> None:
    x = cloud(2, 70, 2, kind=kind)
    found = radius_neighbors(x, radius=0.25, limit=limit)
    distance = all_distances(x, x)
    expected = set()
    for sample, rows in enumerate(distance):
        for target, row in enumerate(rows.tolist()):
            near = sorted((d, s) for s, d in enumerate(row) if d <= 0.25)[:limit]
            expected |= {(70 * sample + s, 70 * sample + target) for _, s in near}
    assert edges(found) == expected


@pytest.mark.parametrize("own", [True, False])
def test_masked_points_are_not_there(own: bool) -> None:
    x, q = cloud(3, 40, 2), cloud(3, 20, 2, seed=4)
    mask, asked = (torch.rand(3, n, generator=torch.Generator().manual_seed(n)) < 0.6 for n in (40, 20))
    mask[1] = False
    padded = x.masked_fill(~mask[..., None], math.nan)
    if own:
        found = radius_neighbors(padded, radius=0.3, mask=mask)
        whole, there = radius_neighbors(x, radius=0.3), mask.flatten()
    else:
        found = radius_neighbors(
            padded, q.masked_fill(~asked[..., None], math.nan), radius=0.3, mask=mask, query_mask=asked
        )
        whole, there = radius_neighbors(x, q, radius=0.3), asked.flatten()
    kept = mask.flatten()[whole.source] & there[whole.target]
    assert torch.equal(found.source, whole.source[kept]) and torch.equal(found.target, whole.target[kept])
    assert torch.equal(found.displacement, whole.displacement[kept])


@pytest.mark.parametrize("period", [None, 1.0])
def test_gradients_of_displacements(period: float | None) -> None:
    x, q = (cloud(2, n, 2, seed=n).requires_grad_() for n in (12, 7))

    def displacement(x, q):
        return radius_neighbors(x, q, radius=0.3, period=period).displacement

    assert torch.autograd.gradcheck(displacement, (x, q))
    padded = torch.cat([x.detach(), torch.full((2, 1, 2), math.nan, dtype=F64)], 1).requires_grad_()
    mask = torch.ones(2, 13, dtype=torch.bool)
    mask[:, -1] = False
    (gradient,) = torch.autograd.grad(radius_neighbors(padded, radius=0.3, mask=mask).distance.sum(), padded)
    assert bool(gradient.isfinite().all()) and not gradient[:, -1].any()  # of a point and itself too


def test_one_runaway_particle_costs_nothing(monkeypatch) -> None:
    """The box of all cells would have 10^24 of them, or one cell for the whole cloud."""
    x = cloud(1, 3000, 3)
    x[0, 7] = 1e8
    looked_at = []
    counted = cells._candidates
    monkeypatch.setattr(cells, "_candidates", lambda *ranges: looked_at.append(counted(*ranges)) or looked_at[-1])
    found = radius_neighbors(x, radius=0.05)
    assert edges(found) == by_tree(x, x, 0.05)
    assert sum(len(query) for query, _ in looked_at) < 20 * len(found.source)


def test_more_cells_than_integers_are_widened() -> None:
    """Gaps are closed first; where that is not enough, here because all keys are said to be too many, cells grow."""
    x = cloud(1, 200, 3)
    assert edges(radius_neighbors(x, radius=1e-10)) == {(i, i) for i in range(200)}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "_MOST_KEYS", 1000)
        assert edges(radius_neighbors(x, radius=0.06)) == by_tree(x, x, 0.06)


def test_many_points_in_little_memory() -> None:
    """All distances of 100000 points would take 80 GB; of a crowded cell with a limit, the candidates half of one."""
    program = """if True:
        import resource, torch
        from sciml.kernels.neighbors import radius_neighbors
        x = torch.rand(1, 100_000, 3, generator=torch.Generator().manual_seed(0))
        radius_neighbors(x[:, :100], radius=0.1)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = radius_neighbors(x, radius=0.03)
        assert 1e6 < len(found.source) < 1.3e6, len(found.source)
        crowd = radius_neighbors(x[:, :3_000], radius=2.0, limit=1)
        assert torch.equal(crowd.source, torch.arange(3_000))
        print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(done.stdout) * unit < 300e6


def nothing(*shape: int, dtype: torch.dtype = F64) -> torch.Tensor:
    return torch.zeros(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("points", "mask", "message"),
    [
        (nothing(5, 3), None, r"shape \(batch, node, dim\).*got \(5, 3\).*x\[None\]"),
        (nothing(1, 5, 4), None, r"one to three dimensions, got \(1, 5, 4\)"),
        (nothing(1, 5, 2, dtype=torch.float16), None, "float32 or float64, got torch.float16"),
        (nothing(1, 5, 2), torch.ones(1, 4, dtype=torch.bool), r"bool mask of points of shape \(1, 5\)"),
        (nothing(1, 5, 2), torch.ones(1, 5), "bool mask"),
    ],
)
def test_wrong_points_are_named(points, mask, message) -> None:
    with pytest.raises(ValueError, match=message):
        cloud_of(points, mask)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"radius": 0.0}, "radius > 0, finite, .*got 0.0"),
        ({"radius": -1.0}, "radius > 0"),
        ({"radius": math.nan}, "radius > 0"),
        ({"radius": math.inf}, "radius > 0"),
        ({"radius": torch.tensor([0.1, 0.0])}, "radius > 0, finite, one or of shape"),
        ({"radius": 0.6, "period": 1.0}, re.escape("radius <= period / 2 = 0.5, got 0.6")),
        ({"radius": 0.1, "limit": 0}, "limit >= 1, got 0"),
        ({"radius": 0.1, "query_mask": torch.ones(2, 9, dtype=torch.bool)}, "query_mask with queries alone"),
        ({"radius": 0.1, "period": [1.0]}, "period of 2 positive lengths, got"),
        ({"radius": 0.1, "period": [1.0, 0.0]}, "period of 2 positive lengths"),
        ({"radius": 0.1, "queries": nothing(2, 3, 2, dtype=torch.float32)}, "queries of the points' batch, dim, dtype"),
        ({"radius": 1e-13}, r"within 2\^40 radii of each other, got batch 0 .*blew up"),
    ],
)
def test_wrong_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        radius_neighbors(cloud(2, 9, 2), **arguments)
    with pytest.raises(ValueError, match="period of 2 positive lengths"):
        periods(torch.ones(3), nothing(1, 1, 2))


def test_nan_is_named_by_batch_and_node() -> None:
    x = cloud(3, 9, 2)
    x[1, 4, 0] = math.nan
    with pytest.raises(ValueError, match=r"finite points, got \[nan, .*\] at batch 1, node 4. .*blew up"):
        radius_neighbors(x, radius=0.1)
    with pytest.raises(ValueError, match=r"finite queries, .* at batch 1, query 4"):
        radius_neighbors(cloud(3, 5, 2), x, radius=0.1)
