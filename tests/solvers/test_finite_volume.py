"""Ghost cells, limiters, reconstructions and flux differences, each against what defines it."""

import math

import pytest
import torch

from sciml.solvers.finite_volume import (
    MUSCL,
    WENO5,
    PiecewiseConstant,
    Positive,
    flux_divergence,
    mc,
    minmod,
    outflow,
    pad,
    periodic,
    van_leer,
    wall,
)

LIMITERS = (minmod, mc, van_leer)
RECONSTRUCTIONS = (PiecewiseConstant(), *(MUSCL(limiter) for limiter in LIMITERS), WENO5())


def noise(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def advect(field, boundary, reconstruction):
    """The divergence of the upwind flux of advection with speed 1 along every axis."""
    axes = field.dim() - 2
    return flux_divergence(
        field,
        lambda left, right, axis: left,
        spacing=[1 / field.shape[k + 2] for k in range(axes)],
        boundaries=[boundary] * axes,
        reconstruction=reconstruction,
    )


def test_ghost_cells_continue_the_field():
    field = torch.arange(1.0, 13.0).reshape(1, 3, 4)
    assert pad(field, 0, 2, periodic)[0, 0].tolist() == [3, 4, 1, 2, 3, 4, 1, 2]
    assert pad(field, 0, 2, outflow)[0, 0].tolist() == [1, 1, 1, 2, 3, 4, 4, 4]
    assert pad(field, 0, 2, wall)[0].tolist() == [
        [2, 1, 1, 2, 3, 4, 4, 3],
        [-6, -5, 5, 6, 7, 8, -8, -7],
        [10, 9, 9, 10, 11, 12, 12, 11],
    ]
    assert pad(field, 0, 1, (wall, outflow))[0, 1].tolist() == [-5, 5, 6, 7, 8, 8]


def test_a_wall_reflects_the_velocity_normal_to_it_alone():
    field = noise(2, 4, 3, 3)
    low = pad(field, 1, 1, wall)[..., 0]
    assert torch.equal(low, field[..., 0] * torch.tensor([1.0, 1.0, -1.0, 1.0])[:, None])


def test_too_few_cells_are_refused():
    with pytest.raises(ValueError, match="at least 5 cells along space axis 0"):
        pad(noise(1, 3, 4), 0, 5, periodic)


@pytest.mark.parametrize("limiter", LIMITERS)
def test_limiters_are_symmetric_second_order_and_tvd(limiter):
    low, high = 2 * noise(1000) - 1, 2 * noise(1000, seed=1) - 1
    slope = limiter(low, high)
    torch.testing.assert_close(slope, limiter(high, low))
    torch.testing.assert_close(-slope, limiter(-low, -high))
    torch.testing.assert_close(limiter(low, low), low)
    assert (slope[low * high < 0] == 0).all()
    assert (slope.abs() <= 2 * torch.minimum(low.abs(), high.abs()) + 1e-15).all()  # Sweby's region
    assert (slope * low >= 0).all()


@pytest.mark.parametrize("reconstruction", RECONSTRUCTIONS)
def test_a_constant_field_has_no_divergence_at_all(reconstruction):
    field = noise(3, 4, 1, 1).expand(3, 4, 7, 6).contiguous()
    for boundary in (periodic, outflow):
        assert (advect(field, boundary, reconstruction) == 0).all()


@pytest.mark.parametrize("reconstruction", RECONSTRUCTIONS)
def test_the_divergence_sums_to_zero_over_a_periodic_box(reconstruction):
    divergence = advect(noise(2, 5, 8, 7, 6), periodic, reconstruction)
    assert divergence.abs().max() > 1
    assert divergence.flatten(2).sum(dim=2).abs().max() < 1e-10


@pytest.mark.parametrize(
    ("reconstruction", "order"), [(PiecewiseConstant(), 1), (MUSCL(), 2), (MUSCL(mc), 2), (WENO5(), 5)]
)
def test_measured_order_of_the_derivative(reconstruction, order):
    """On a monotone smooth stretch, away from extrema, where limiters give up their order by design."""

    def error(cells):
        edges = torch.linspace(0, 1, cells + 1, dtype=torch.float64)
        centres = 0.5 * (edges[1:] + edges[:-1])
        if order == 5:  # point values
            values, exact = torch.exp(centres), torch.exp(centres)
        else:  # cell averages
            values, exact = torch.exp(edges).diff() * cells, torch.exp(edges).diff() * cells
        derivative = advect(values[None, None], outflow, reconstruction)[0, 0]
        return (derivative - exact)[cells // 4 : -cells // 4].abs().max()

    measured = math.log2(error(32) / error(64))
    assert measured > order - 0.15


def test_weno_interpolates_quartics_nearly_exactly_and_keeps_a_step_sharp():
    x = torch.arange(-6.0, 7.0, dtype=torch.float64) * 0.01
    quartic = (1 + x + x**2 - x**3 + 2 * x**4)[None, None]
    left, right = WENO5()(quartic, 0)
    faces = x[2:-3] + 0.005
    exact = 1 + faces + faces**2 - faces**3 + 2 * faces**4
    assert (left[0, 0] - exact).abs().max() < 1e-8
    assert (right[0, 0] - exact).abs().max() < 1e-8
    step = (x > 0).double()[None, None]
    for side in WENO5()(step, 0):
        assert side.min() > -1e-6 and side.max() < 1 + 1e-6


def test_weno_does_not_depend_on_units():
    field = noise(1, 1, 30)
    for scale in (2.0**-40, 2.0**40):
        for side, scaled in zip(WENO5()(field, 0), WENO5()(field * scale, 0), strict=True):
            torch.testing.assert_close(scaled / scale, side)


@pytest.mark.parametrize("reconstruction", [MUSCL(minmod), MUSCL(mc), MUSCL(van_leer)])
def test_muscl_faces_lie_between_the_neighbours(reconstruction):
    field = noise(4, 1, 50) ** 8
    left, right = reconstruction(field, 0)
    below, above = field[..., 1:-2], field[..., 2:-1]
    low, high = torch.minimum(below, above) - 1e-15, torch.maximum(below, above) + 1e-15
    for side in (left, right):
        assert ((side >= low) & (side <= high)).all()


def test_the_guard_returns_to_the_cell_where_a_face_is_not_positive():
    field = torch.ones(1, 3, 12, dtype=torch.float64)
    field[0, 0, 6:] = torch.tensor([0.5, 0.01, 0.0001, 0.5, 0.5, 0.5])
    field[0, 1] = noise(12)

    def overshooting(values, axis):
        return values[:, :, 1:-2] - 0.3, values[:, :, 2:-1] + 0.3

    overshooting.ghosts, overshooting.differences = 2, (1.0,)
    left, right = Positive(overshooting, channels=(0,))(field, 0)
    thin = field[0, 0, 1:-2] <= 0.33
    assert thin.sum() == 2
    assert torch.equal(left[0][:, thin], field[0, :, 1:-2][:, thin])
    assert torch.equal(left[0][:, ~thin], field[0, :, 1:-2][:, ~thin] - 0.3)
    assert torch.equal(right, field[:, :, 2:-1] + 0.3)
