"""Heat conduction: closed forms to second order, conservation, and the flux through a jump of the conductivity."""

import math

import pytest
import torch

from sciml.solvers import RK4, FixedStep, RungeKutta, solve
from sciml.solvers.equations.boundary import Dirichlet, Neumann, Periodic
from sciml.solvers.equations.heat import Heat

BOUNDARIES = {"periodic": Periodic(), "dirichlet": Dirichlet(0.0), "neumann": Neumann(0.0)}


def centres(points, length=1.0):
    return (torch.arange(points, dtype=torch.float64) + 0.5) * (length / points)


def mode(x, name):
    return torch.sin(2 * math.pi * x) if name != "neumann" else torch.cos(2 * math.pi * x)


@pytest.mark.parametrize("name", BOUNDARIES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_slope_of_an_eigenfunction_to_second_order(name, dims):
    def error(points):
        x = centres(points)
        u = torch.ones((), dtype=torch.float64)
        for axis in range(dims):
            u = u * mode(x, name).reshape([-1 if axis == a else 1 for a in range(dims)])
        y = torch.stack([u, torch.full_like(u, 0.3)])[None]
        slope = Heat(spacing=1 / points, boundary=BOUNDARIES[name])(torch.zeros(1), y)
        assert (slope[:, 1] == 0).all()
        return ((slope[0, 0] + 0.3 * dims * (2 * math.pi) ** 2 * u).square().mean()).sqrt().item()

    # At Dirichlet faces the truncation error is O(1), and that of the solution O(h^2) all the same (tested below).
    least = 0.4 if name == "dirichlet" else 1.9
    assert math.log2(error(8) / error(16)) > least


@pytest.mark.parametrize("name", BOUNDARIES)
def test_decay_to_second_order_in_space(name):
    def error(points):
        x = centres(points)
        u = mode(x, name)[:, None] * mode(x, name)
        y0 = torch.stack([u, torch.ones_like(u)])[None]
        stepper = RungeKutta(Heat(spacing=1 / points, boundary=BOUNDARIES[name]), RK4)
        y = solve(stepper, y0, torch.tensor([0.0, 0.01], dtype=torch.float64), FixedStep(0.2 / points**2)).ys[0, -1]
        return (y[0] - u * math.exp(-8 * math.pi**2 * 0.01)).norm().item() / points

    assert math.log2(error(8) / error(16)) == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("name", ["periodic", "neumann"])
def test_heat_is_conserved_for_any_conductivity(name):
    y = torch.rand(2, 2, 7, 9, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.1
    slope = Heat(spacing=(0.1, 0.2, 0.3), boundary=BOUNDARIES[name])(torch.zeros(2), y)
    assert slope.abs().max() > 1
    assert slope[:, 0].sum((1, 2, 3)).abs().max() < 1e-10


def test_prescribed_flux_and_source_heat_the_box():
    y = torch.ones(1, 2, 16, 8, dtype=torch.float64)
    heat = Heat(
        spacing=0.25, boundary=(Neumann(0.5), Periodic()), source=lambda t: 3.0 * t[:, None, None, None] * y[:, :1]
    )
    slope = heat(torch.full((1,), 2.0, dtype=torch.float64), y)[:, 0]
    # Two faces of length 2 let 0.5 in per unit length; the source adds 6 per unit of the area 4 x 2.
    assert slope.sum().item() * 0.25**2 == pytest.approx(2 * 2 * 0.5 + 6 * 8)


def test_steady_flux_through_a_jump_is_that_of_resistances_in_series():
    points, left, right = 16, 1.0, 10.0
    k = torch.where(centres(points) < 0.5, left, right)
    flux = 1 / (0.5 / left + 0.5 / right)  # of the profile from 0 at the left wall to 1 at the right one
    x = centres(points)
    u = torch.where(x < 0.5, flux * x / left, 1 - flux * (1 - x) / right)
    slope = Heat(spacing=1 / points, boundary=Neumann(0.0))(torch.zeros(1), torch.stack([u, k])[None])[0, 0]
    torch.testing.assert_close(slope[1:-1], torch.zeros_like(slope[1:-1]), rtol=0, atol=1e-11)
    # The walls being closed, what flows from the last cell to the first stays there.
    expected = torch.tensor([flux, -flux], dtype=torch.float64)
    torch.testing.assert_close(slope[[0, -1]] / points, expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batched_equals_one_by_one(dtype):
    y = (torch.rand(3, 2, 6, 5, generator=torch.Generator().manual_seed(0)) + 0.1).to(dtype)
    heat = Heat(spacing=0.1, boundary=Dirichlet(0.5), source=torch.ones(1, 1, 6, 5, dtype=dtype))
    together = heat(torch.zeros(3), y)
    assert together.dtype == dtype
    for i in range(3):
        assert torch.equal(together[i : i + 1], heat(torch.zeros(1), y[i : i + 1]))


@pytest.mark.parametrize("name", BOUNDARIES)
def test_gradients_in_temperature_and_conductivity(name):
    y = (torch.rand(1, 2, 4, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) + 0.5).requires_grad_()
    heat = Heat(spacing=0.5, boundary=BOUNDARIES[name])
    assert torch.autograd.gradcheck(lambda y: heat(torch.zeros(1), y), y)


def test_wrong_states_are_refused():
    with pytest.raises(ValueError, match="channels"):
        Heat(spacing=0.1)(torch.zeros(1), torch.zeros(1, 1, 8))
    with pytest.raises(ValueError, match="one boundary and one spacing"):
        Heat(spacing=(0.1, 0.1))(torch.zeros(1), torch.zeros(1, 2, 8))
