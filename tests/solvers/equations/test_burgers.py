"""Burgers' equation against the solution of E. Hopf (1950) and J. D. Cole (1951)."""

import math

import pytest
import torch

from sciml.solvers import FixedStep, solve
from sciml.solvers.equations.burgers import Burgers
from sciml.solvers.exponential import ETDRK2, ETDRK4, IFRK4, ExponentialRungeKutta


def cole_hopf(t, viscosity, length, points):
    """u = -2 nu theta_x / theta with theta = 2 + exp(-nu k^2 t) cos k x + exp(-4 nu k^2 t) sin(2 k x) / 2."""
    k, nu = 2 * math.pi / length, viscosity[:, None]
    x = length * torch.arange(points, dtype=torch.float64) / points
    first, second = torch.exp(-nu * k**2 * t), torch.exp(-4 * nu * k**2 * t)
    theta = 2 + first * torch.cos(k * x) + 0.5 * second * torch.sin(2 * k * x)
    slope = -k * first * torch.sin(k * x) + k * second * torch.cos(2 * k * x)
    return (-2 * nu * slope / theta)[:, None]


@pytest.mark.parametrize("tableau", [ETDRK2, ETDRK4, IFRK4], ids=lambda tableau: tableau.name)
def test_order_against_cole_hopf_per_sample(tableau):
    viscosity, length, end = torch.tensor([0.02, 0.05], dtype=torch.float64), 2.0, 1.0
    stepper = ExponentialRungeKutta(Burgers(viscosity, length=length), tableau)
    y0, exact = (cole_hopf(t, viscosity, length, 192) for t in (0.0, end))

    def error(count):
        ys = solve(stepper, y0, torch.tensor([0.0, end], dtype=torch.float64), FixedStep(end / count)).ys
        return (ys[:, -1] - exact).flatten(1).norm(dim=1)

    counts = (64, 128) if tableau.order == 2 else (16, 32)
    rate = torch.log2(error(counts[0]) / error(counts[1]))
    torch.testing.assert_close(rate, torch.full_like(rate, tableau.order), rtol=0, atol=0.25)
    assert (error(256) < (1e-4 if tableau.order == 2 else 1e-8)).all()


def test_momentum_is_conserved_and_energy_falls_by_dissipation():
    """d/dt integral u^2 / 2 = -nu integral u_x^2 holds of the truncated equation to rounding."""
    equation = Burgers(0.03)
    stepper = ExponentialRungeKutta(equation, ETDRK4)
    t = torch.zeros(1, dtype=torch.float64)
    y = stepper(t, t, torch.randn(1, 1, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).y
    slope, grid = stepper.slope(t, y), equation.grid(y)
    gradient = grid.inverse(grid.gradient(0) * grid.forward(y))
    assert slope.mean().abs() < 1e-12
    torch.testing.assert_close((y * slope).mean(), -0.03 * gradient.square().mean(), rtol=1e-11, atol=0)


def test_wrong_states_are_refused():
    with pytest.raises(ValueError, match=r"\(batch, 1, width\)"):
        ExponentialRungeKutta(Burgers(0.1), ETDRK4)(torch.zeros(1), torch.ones(1), torch.zeros(1, 2, 8))
