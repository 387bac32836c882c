"""The released networks to the parameter; the latent grid reaches every particle."""

import math

import pytest
import torch

from sciml.kernels.neighbors import radius_neighbors
from sciml.operators.particles import (
    GIOROM,
    PUBLISHED_2D,
    PUBLISHED_3D,
    PUBLISHED_3D_LARGE,
    PUBLISHED_3D_SMALL,
    Box,
    GIOROMConfig,
    particle_channels,
)
from sciml.operators.particles.integral import IntegralTransform
from sciml.operators.particles.interaction import InteractionOperator
from sciml.operators.particles.latent_grid import LatentGrid, latent_shape, spacing_of
from tests.sciml.operators.particles.clouds import box, giorom, made, states

COUNTS = {
    "3d": (PUBLISHED_3D, 3, 2_387_669),
    "3d small": (PUBLISHED_3D_SMALL, 3, 3_690_199),
    "3d large": (PUBLISHED_3D_LARGE, 3, 5_344_591),
    "2d": (PUBLISHED_2D, 2, 3_493_694),
}


def parameters(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize(("config", "dim", "count"), COUNTS.values(), ids=COUNTS.keys())
@pytest.mark.filterwarnings("ignore:Expected a latent radius")
def test_released_networks_have_their_parameters_and_run(config, dim, count):
    model = GIOROM(particle_channels(dim), box=Box((0,) * dim, (1,) * dim), radius=0.1, architecture=config).eval()
    assert parameters(model) == count
    x = 0.3 + 0.4 * torch.rand(1, 6, 20, dim)
    y = model.pack(x, torch.zeros(1, 20, 1))
    assert bool(model(torch.zeros(1), torch.ones(1), y).y.isfinite().all())


def test_an_interaction_operator_has_its_parameters():
    assert parameters(InteractionOperator()) == 165_248


def test_a_radius_that_leaves_holes_is_refused_and_only_warned_of_in_released_networks():
    with pytest.raises(ValueError, match=r"latent radius above 0.*would reach no node. Enlarge it"):
        GIOROM(
            particle_channels(2),
            box=Box((0, 0), (1, 1)),
            radius=0.1,
            architecture=GIOROMConfig(grid=(8, 8), latent_radius=0.1),
        )
    with pytest.warns(UserWarning, match="would reach no node"):
        GIOROM(particle_channels(3), box=Box((0,) * 3, (1,) * 3), radius=0.1, architecture=PUBLISHED_3D_LARGE)


@pytest.mark.parametrize("dim", [2, 3])
@pytest.mark.parametrize("periodic", [False, True])
def test_every_particle_of_any_box_reaches_the_grid(dim, periodic):
    space = Box((-3.0, 10.0, 0.0)[:dim], (1.0, 12.5, 0.9)[:dim], (periodic,) * dim)
    shape = latent_shape(space, 0.4)
    grid = LatentGrid(space, shape, 1.01 * math.hypot(*spacing_of(space, shape)) / 2)
    low, high = space.corners(torch.zeros(()))
    x = low + (high - low) * torch.rand(2, 3000, dim)
    real = torch.ones(x.shape[:2], dtype=torch.bool)
    nodes = grid.nodes(grid.centre(x, real))
    near = radius_neighbors(nodes, x, radius=grid.radius, period=space.period(x))
    assert int(near.degree.min()) >= 1
    assert nodes.shape == (2, torch.tensor(shape).prod(), dim) and max(grid.spacing) <= 0.4 + 1e-9


def test_a_radius_up_to_half_a_period_will_do():
    model = made(giorom, box=box(2, periodic=True), radius=0.5)
    t, dt, y = states(model)
    assert model.network.grid.radius <= 0.5 and bool(model(t, dt, y).y.isfinite().all())
    with pytest.raises(ValueError, match="half a period"):
        giorom(2, box=box(2, periodic=True), radius=0.6)


def test_leaving_the_domain_is_named():
    model = made(giorom)
    t, dt, y = states(model)
    y[1, 0, : model.frame.layout.moving] += 3
    with pytest.raises(ValueError, match=r"sample 1 from .* have left the domain. Give a larger box"):
        model(t, dt, y)


def test_distant_particles_feel_each_other_through_the_grid():
    """Two clouds out of each other's radius: a GNS of two steps could not."""
    model = made(giorom, radius=0.1)
    t, dt, y = states(model)
    moving = model.frame.layout.moving
    y[:, :7, :moving] *= 0.3
    y[:, 7:, :moving] = 1 - 0.3 * y[:, 7:, :moving]
    y.requires_grad_()
    model.newest(model(t, dt, y).y)[:, :7].sum().backward()
    assert y.grad[:, 7:].abs().max() > 0


def test_the_kernel_is_continuous_in_the_query_and_the_released_one_is_not():
    torch.manual_seed(0)
    points, f = torch.rand(1, 40, 2).double(), torch.randn(40, 3).double()
    queries = torch.stack([torch.linspace(0.2, 0.8, 2000), torch.full((2000,), 0.5)], dim=-1)[None].double()
    near = radius_neighbors(points, queries, radius=0.2)
    jumps = {}
    for published in (False, True):
        transform = IntegralTransform(2, 3, (8,), 3, reads=False, published=published).double()
        g = transform(near, f, points[0], 0.2)
        change = g.diff(dim=0).abs().amax(dim=1)
        jumps[published] = float((change.max() / g.std()).detach())
        assert (float((change == 0).double().mean()) > 0.8) == published
    assert jumps[False] < 0.05 < jumps[True]


def test_nothing_near_is_zero():
    near = radius_neighbors(torch.zeros(1, 1, 2), torch.ones(1, 3, 2), radius=0.2)
    transform = IntegralTransform(2, 3, (8,), 3, reads=False)
    assert not transform(near, torch.randn(1, 3), torch.zeros(1, 2), 0.2).any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"token": 8, "to_grid": (8, 4)}, "to_grid to end in token=8"),
        ({"steps": 0}, "steps >= 1"),
        ({"spacing": -1.0}, "spacing > 0"),
    ],
)
def test_bad_configurations_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        GIOROMConfig(**arguments)
