"""Waves: order in time, second order in space, energy, reversibility."""

import math

import pytest
import torch

from sciml.solvers import RK4, FixedStep, RungeKutta, solve
from sciml.solvers.equations.boundary import Dirichlet, Neumann, Periodic
from sciml.solvers.equations.wave import VelocityVerlet, Wave

BOUNDARIES = {"periodic": Periodic(), "dirichlet": Dirichlet(0.0), "neumann": Neumann(0.0)}
CLOCK = {"dtype": torch.float64}


def standing(points, name, t, dims=2, c=1.5):
    """prod_axes mode(x) cos(omega t), omega = 2 pi c sqrt(dims), with the channels (u, u_t, c)."""
    x = (torch.arange(points, **CLOCK) + 0.5) / points
    line = torch.cos(2 * math.pi * x) if name == "neumann" else torch.sin(2 * math.pi * x)
    u = torch.ones((), **CLOCK)
    for axis in range(dims):
        u = u * line.reshape([-1 if axis == a else 1 for a in range(dims)])
    omega = 2 * math.pi * c * math.sqrt(dims)
    return torch.stack([u * math.cos(omega * t), -omega * u * math.sin(omega * t), torch.full_like(u, c)])[None]


def rough(batch, shape):
    y = torch.rand(batch, 3, *shape, **CLOCK, generator=torch.Generator().manual_seed(0))
    return y - torch.tensor([0.5, 0.5, -0.5], **CLOCK).reshape(-1, *[1] * len(shape))


@pytest.mark.parametrize("name", BOUNDARIES)
@pytest.mark.parametrize("dims", [1, 2])
def test_standing_wave_to_second_order_in_space_and_time(name, dims):
    def error(points):
        stepper = VelocityVerlet(Wave(spacing=1 / points, boundary=BOUNDARIES[name]))
        y0 = standing(points, name, 0.0, dims)
        y = solve(stepper, y0, torch.tensor([0.0, 0.7], **CLOCK), FixedStep(0.2 / points)).ys[:, -1]
        return (y - standing(points, name, 0.7, dims))[:, 0].square().mean().sqrt().item()

    assert math.log2(error(16) / error(32)) == pytest.approx(2, abs=0.25)


def test_verlet_order_in_time():
    wave, y0 = Wave(spacing=1 / 8), standing(8, "periodic", 0.0)
    exact = solve(RungeKutta(wave, RK4), y0, torch.tensor([0.0, 0.5], **CLOCK), FixedStep(5e-3)).ys[:, -1]
    stepper = VelocityVerlet(wave)
    errors = [
        (solve(stepper, y0, torch.tensor([0.0, 0.5], **CLOCK), FixedStep(dt)).ys[:, -1] - exact).norm().item()
        for dt in (0.01, 0.005)
    ]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(stepper.order, abs=0.1)


@pytest.mark.parametrize("name", BOUNDARIES)
@pytest.mark.parametrize("shape", [(9,), (6, 7), (4, 5, 3)])
def test_the_semidiscrete_equation_conserves_energy(name, shape):
    """grad E . slope = 0 for any state and any medium."""
    wave = Wave(spacing=[0.1 * (axis + 1) for axis in range(len(shape))], boundary=BOUNDARIES[name])
    y = rough(2, shape).requires_grad_()
    (gradient,) = torch.autograd.grad(wave.energy(y).sum(), y)
    slope = wave(torch.zeros(2), y)
    change = (gradient * slope).flatten(1)
    assert change.sum(1).abs().max() < 1e-13 * change.abs().sum(1).max()


def test_energy_of_a_standing_wave():
    energy = Wave(spacing=1 / 64).energy(standing(64, "periodic", 0.0)).item()
    assert energy == pytest.approx(0.5 * 2 * (2 * math.pi) ** 2 / 4, rel=2e-3)


def test_verlet_energy_does_not_drift():
    wave, y0 = Wave(spacing=1 / 12), rough(2, (12, 12))
    ys = solve(VelocityVerlet(wave), y0, torch.linspace(0, 6, 61, **CLOCK), FixedStep(0.01)).ys
    energy = torch.stack([wave.energy(y) for y in ys.unbind(1)]) / wave.energy(y0)
    assert (energy - 1).abs().max() < 0.05
    assert (energy[-30:].mean(0) - energy[:30].mean(0)).abs().max() < 2e-3


def test_verlet_is_reversible():
    stepper, y0 = VelocityVerlet(Wave(spacing=1 / 10, boundary=Dirichlet(0.2))), rough(2, (10, 10))
    ahead = solve(stepper, y0, torch.tensor([0.0, 1.0], **CLOCK), FixedStep(0.02)).ys[:, -1]
    back = solve(stepper, ahead, torch.tensor([1.0, 0.0], **CLOCK), FixedStep(0.02)).ys[:, -1]
    assert (ahead - y0).abs().max() > 0.1
    torch.testing.assert_close(back, y0, rtol=0, atol=1e-12)


def test_reuse_saves_an_evaluation_and_changes_nothing():
    stepper, y, t, dt = VelocityVerlet(Wave(spacing=0.1)), rough(2, (8,)), torch.zeros(2), torch.tensor([0.01, 0.02])
    bare, kept = stepper(t, dt, y), stepper(t, dt, y, stepper.start(t, y))
    assert torch.equal(bare.y, kept.y) and (bare.evaluations, kept.evaluations) == (2, 1)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batched_equals_one_by_one(dtype):
    y, t, dt = rough(3, (6, 5)).to(dtype), torch.zeros(3), torch.tensor([0.01, 0.02, 0.0])
    stepper = VelocityVerlet(Wave(spacing=0.1, boundary=(Periodic(), Neumann(0.3))))
    together = stepper(t, dt, y).y
    assert together.dtype == dtype
    for i in range(3):
        assert torch.equal(together[i : i + 1], stepper(t[i : i + 1], dt[i : i + 1], y[i : i + 1]).y)


def test_gradients_in_state_medium_and_step():
    y, dt = rough(1, (4, 3)).requires_grad_(), torch.tensor([0.02], **CLOCK, requires_grad=True)
    stepper = VelocityVerlet(Wave(spacing=0.5, boundary=Dirichlet(0.1)))
    assert torch.autograd.gradcheck(lambda y, dt: stepper(torch.zeros(1), dt, y).y, (y, dt))


def test_wrong_states_are_refused():
    with pytest.raises(ValueError, match="channels"):
        VelocityVerlet(Wave(spacing=0.1))(torch.zeros(1), torch.ones(1), torch.zeros(1, 2, 8))
