"""Flow of variable density: rest, mass, energy, symmetry, a shear layer that diffuses, growth of an unstable front."""

import math

import pytest
import torch

from sciml.solvers.bandits import Thompson
from sciml.solvers.controller import FixedStep
from sciml.solvers.courant import Courant
from sciml.solvers.divergence_free import DivergenceFree
from sciml.solvers.equations.variable_density import VariableDensityFlow
from sciml.solvers.linear import SSORPCG
from sciml.solvers.solve import solve

SOLVER = SSORPCG(1.5, tol=1e-11)


def layers(n, above, below, *, dim=2, ripple=0.0):
    """Two fluids at rest in a box twice as high (the last axis) as wide, the front rippled."""
    shape = (*(n,) * (dim - 1), 2 * n)
    centre = [(torch.arange(m, dtype=torch.float64) + 0.5) / n for m in shape]
    grid = torch.meshgrid(*centre, indexing="ij")
    front = 1 + ripple * torch.cos(2 * math.pi * grid[0])
    y = torch.zeros(1, dim + 1, *shape, dtype=torch.float64)
    y[:, dim] = torch.where(grid[-1] > front, above, below)
    return y


def flow(n, *, dim=2, solver=SOLVER, **arguments):
    return VariableDensityFlow(spacing=1 / n, gravity=(0.0,) * (dim - 1) + (-1.0,), solver=solver, **arguments)


def run(stepper, y, end, frames=2):
    return solve(stepper, y, torch.linspace(0, end, frames, dtype=torch.float64), FixedStep(end / (frames - 1))).ys


@pytest.mark.parametrize("dim", [2, 3])
def test_layers_at_rest_stay_at_rest(dim):
    n = 8 if dim == 3 else 16
    y = layers(n, 0.01, 1.0, dim=dim)
    last = run(Courant(flow(n, dim=dim)), y, 0.5)[:, -1]
    torch.testing.assert_close(last, y, rtol=0, atol=1e-9)


def test_mass_bounds_energy_and_divergence():
    n = 16
    y = layers(n, 3.0, 1.0, ripple=0.1)
    height = (torch.arange(2 * n, dtype=torch.float64) + 0.5) / n
    states = run(Courant(flow(n)), y, 2.0, frames=5)[0]
    rho = states[:, 2]
    torch.testing.assert_close(rho.sum((1, 2)), rho[0].sum().expand(5), rtol=1e-13, atol=0)
    assert float(rho.min()) > 0.99 and float(rho.max()) < 3.01
    energy = (rho * (states[:, :2] ** 2).sum(1) / 2 + rho * height).mean((1, 2))
    assert bool((energy.diff() < 1e-6).all()) and float(energy[0] - energy[-1]) < 0.01
    assert DivergenceFree(spacing=1 / n, periodic=False, staggered=True).residual(states).abs().max() < 1e-8
    assert float((states[-1, :2] ** 2).sum()) > 0.1  # it moves
    torch.testing.assert_close(rho[-1], rho[-1].flip(0), rtol=0, atol=1e-6)  # the ripple is symmetric, so is the flow


def test_a_stable_front_oscillates_and_an_unstable_one_grows():
    n = 16
    up, down = (layers(n, *densities, ripple=0.05) for densities in ((1.0, 3.0), (3.0, 1.0)))
    motion = [float(run(Courant(flow(n)), y, 3.0)[:, -1, :2].square().sum()) for y in (up, down)]
    assert motion[1] > 20 * motion[0]


def test_shear_diffuses_as_it_should():
    """u = sin(2 pi y) exp(-nu (2 pi)^2 t), a flow without pressure; the error falls at second order."""
    errors = []
    for n in (8, 16, 32):
        x = (torch.arange(n, dtype=torch.float64) + 0.5) / n
        y = torch.ones(1, 3, 4, n, dtype=torch.float64)
        y[:, 1] = 0
        y[:, 0] = torch.sin(2 * math.pi * x)
        stepper = VariableDensityFlow(spacing=1 / n, periodic=True, viscosity=0.05, solver=SOLVER)
        last = run(Courant(stepper), y, 0.1)[:, -1]
        errors.append(float((last[:, 0] - y[:, 0] * math.exp(-0.05 * 4 * math.pi**2 * 0.1)).abs().max()))
    assert math.log2(errors[0] / errors[1]) > 1.8 and math.log2(errors[1] / errors[2]) > 1.8


def test_a_vortex_is_second_order():
    """A Taylor-Green vortex in a periodic box, which is steady without viscosity."""
    errors = []
    for n in (16, 32, 64):
        face = torch.arange(n, dtype=torch.float64) / n * 2 * math.pi
        middle = face + math.pi / n
        y = torch.ones(1, 3, n, n, dtype=torch.float64)
        y[:, 0] = torch.sin(face)[:, None] * torch.cos(middle)
        y[:, 1] = -torch.cos(middle)[:, None] * torch.sin(face)
        stepper = VariableDensityFlow(spacing=2 * math.pi / n, periodic=True, solver=SOLVER)
        last = run(Courant(stepper), y, 0.5)[:, -1]
        errors.append(float((last - y)[:, :2].abs().mean()))
    assert math.log2(errors[0] / errors[1]) > 1.5 and math.log2(errors[1] / errors[2]) > 1.5


def test_a_bandit_tunes_the_pressure_solver_in_the_loop():
    solver = SSORPCG(Thompson([1.0, 1.3, 1.6, 1.8]), tol=1e-11)
    y = layers(12, 3.0, 1.0, ripple=0.1)
    tuned, fixed = (run(Courant(flow(12, solver=one)), y, 0.5)[:, -1] for one in (solver, SOLVER))
    torch.testing.assert_close(tuned, fixed, rtol=0, atol=1e-7)
    assert solver.omega.state_dict()["number"].sum() > 10


def test_batched_equals_one_by_one_and_gradients_flow():
    y = torch.cat([layers(8, 3.0, 1.0, ripple=0.1), layers(8, 0.5, 2.0, ripple=0.2)])
    stepper = flow(8)
    t, dt = torch.zeros(2, dtype=torch.float64), torch.full((2,), 0.05, dtype=torch.float64)
    once = stepper(t, dt, stepper(t, dt, y).y).y
    alone = torch.cat([stepper(t[:1], dt[:1], stepper(t[:1], dt[:1], y[k : k + 1]).y).y for k in range(2)])
    torch.testing.assert_close(once, alone, rtol=0, atol=1e-12)
    generator = torch.Generator().manual_seed(0)
    small = 0.1 * torch.randn(1, 3, 3, 6, dtype=torch.float64, generator=generator)  # no kink of the limiter is near
    small[:, 2] = 1 + small[:, 2]
    small.requires_grad_()
    assert torch.autograd.gradcheck(lambda y: flow(3)(t[:1], dt[:1], y).y, (small,), atol=1e-5)


def test_bad_states_are_named():
    t, dt = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    with pytest.raises(ValueError, match="velocities on lower faces and the density"):
        flow(8)(t, dt, torch.zeros(1, 2, 8, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match="density > 0 in channel 2, got 0"):
        flow(8)(t, dt, torch.zeros(1, 3, 8, 8, dtype=torch.float64))
    with pytest.raises(ValueError, match="viscosity >= 0"):
        flow(8, viscosity=-1.0)
