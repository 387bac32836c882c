"""Neighbours on a GPU are those on the CPU, edge for edge."""

import pytest
import torch

from sciml.kernels.neighbors import (
    components,
    farthest_points,
    nearest_neighbors,
    radius_for,
    radius_neighbors,
)

from .compare import F64, assert_close

pytestmark = pytest.mark.gpu


def cloud(dim: int, nodes: int = 3000, dtype: torch.dtype = F64, seed: int = 0) -> torch.Tensor:
    return torch.rand(2, nodes, dim, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


@pytest.mark.parametrize("dim", [1, 2, 3])
@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("options", [{}, {"period": 1.0}, {"limit": 4, "loop": False}])
def test_edges_and_gradients(dim: int, dtype: torch.dtype, options: dict, device: torch.device) -> None:
    radius = (10 / 3000) ** (1 / dim) / 2
    found = []
    for place in (device, torch.device("cpu")):
        x = cloud(dim, dtype=dtype).to(place).requires_grad_()
        graph = radius_neighbors(x, radius=radius, **options)
        assert graph.source.device.type == graph.displacement.device.type == place.type
        (gradient,) = torch.autograd.grad(graph.displacement.pow(3).sum(), x)
        found.append((graph, gradient, components(graph)))
    (graph, gradient, parts), (expected, slope, whole) = found
    for name in ("source", "target", "splits", "displacement"):
        assert torch.equal(getattr(graph, name).cpu(), getattr(expected, name))
    assert torch.equal(parts.label.cpu(), whole.label) and torch.equal(parts.isolated.cpu(), whole.isolated)
    assert_close([gradient], [slope], 1e-4 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("period", [None, 1.0])
def test_nearest_radius_and_farthest(period: float | None, device: torch.device) -> None:
    x, q = cloud(3), cloud(3, 100, seed=1)
    q[0] += 0 if period else 1e4
    here = nearest_neighbors(x.to(device), q.to(device), count=5, period=period)
    there = nearest_neighbors(x, q, count=5, period=period)
    assert torch.equal(here.index.cpu(), there.index)
    assert_close([here.distance], [there.distance], 1e-12)
    radii = [radius_for(points, neighbors=9.0, period=period) for points in (x.to(device), x)]
    assert radii[0] == pytest.approx(radii[1], rel=1e-14)  # lengths may differ in their last bits
    assert torch.equal(farthest_points(x.to(device), 40, period=period).cpu(), farthest_points(x, 40, period=period))


def test_a_mask_may_be_on_the_host(device: torch.device) -> None:
    x, mask = cloud(2), torch.rand(2, 3000, generator=torch.Generator().manual_seed(2)) < 0.5
    here, there = (radius_neighbors(y, radius=0.02, mask=mask) for y in (x.to(device), x))
    assert torch.equal(here.source.cpu(), there.source)
