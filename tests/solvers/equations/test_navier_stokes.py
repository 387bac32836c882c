"""Two-dimensional flow: closed forms, invariants of the truncated equation, budgets, and an independent solver."""

import math

import pytest
import torch

from sciml.solvers import FixedStep, solve
from sciml.solvers.equations.navier_stokes import NavierStokes, kolmogorov_forcing, velocity_of, vorticity_of
from sciml.solvers.exponential import ETDRK2, ETDRK4, IFRK4, ExponentialRungeKutta
from sciml.solvers.initial import gaussian_random_field

TABLEAUS = {"argvalues": [ETDRK2, ETDRK4, IFRK4], "ids": lambda tableau: tableau.name}
CLOCK = {"dtype": torch.float64}


def low_modes(batch, shape, dtype=torch.float64, length=1.0):
    return gaussian_random_field(
        batch,
        shape,
        spectrum=lambda k: torch.exp(-((k / 12) ** 2)),
        generator=torch.Generator().manual_seed(0),
        dtype=dtype,
        length=length,
    )


def projected(equation, y):
    grid = equation.grid(y)
    return grid.inverse(grid.forward(y))


@pytest.mark.parametrize("tableau", **TABLEAUS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_taylor_green_vortex_decays_in_place(tableau, dtype):
    """G. I. Taylor, A. E. Green (1937): u = cos x sin y exp(-2 nu t), v = -sin x cos y exp(-2 nu t)."""
    x = (2 * math.pi * torch.arange(16, **CLOCK) / 16)[:, None]
    y = (2 * math.pi * torch.arange(24, **CLOCK) / 24)[None]
    velocity = torch.stack([torch.cos(x) * torch.sin(y), -torch.sin(x) * torch.cos(y)])[None].to(dtype)
    length, nu = 2 * math.pi, 0.3
    w0 = vorticity_of(velocity, length=length)
    tolerance = 1e-6 if dtype == torch.float32 else 1e-13
    torch.testing.assert_close(w0, (-2 * torch.cos(x) * torch.cos(y))[None, None].to(dtype), rtol=0, atol=4 * tolerance)
    stepper = ExponentialRungeKutta(NavierStokes(nu, length=length), tableau)
    w = solve(stepper, w0, torch.tensor([0.0, 0.5, 2.0], **CLOCK), FixedStep(0.25)).ys
    for k, t in ((1, 0.5), (2, 2.0)):
        expected = velocity * math.exp(-2 * nu * t)
        torch.testing.assert_close(velocity_of(w[:, k], length=length), expected, rtol=0, atol=tolerance)


def test_a_shear_layer_sign_convention():
    """A vortex of positive sign turns anticlockwise: u < 0 above its centre, v > 0 to its right."""
    x = (torch.arange(32, **CLOCK) / 32 - 0.5)[:, None]
    w = torch.exp(-(x.square() + x.T.square()) / 0.01)[None, None]
    u, v = velocity_of(w)[0]
    assert u[16, 20] < 0 < u[16, 12] and v[12, 16] < 0 < v[20, 16]


@pytest.mark.parametrize("shape", [(16, 16), (12, 20), (15, 9)])
def test_velocity_and_vorticity_are_inverse_and_velocity_has_no_divergence(shape):
    length = (1.0, 2.5)
    w, mean = low_modes(2, shape, length=length), torch.tensor([[0.1, 0.2], [0.0, -1.0]], **CLOCK)
    equation = NavierStokes(0.0, length=length)
    w = projected(equation, w)
    velocity = velocity_of(w, length=length, mean=mean)
    torch.testing.assert_close(vorticity_of(velocity, length=length), w, rtol=0, atol=1e-12)
    torch.testing.assert_close(velocity.mean((2, 3)), mean, rtol=0, atol=1e-13)
    grid = equation.grid(w)
    u, v = grid.forward(velocity).split(1, dim=1)
    assert grid.inverse(grid.gradient(0) * u + grid.gradient(1) * v).abs().max() < 1e-12


def test_transport_is_minus_velocity_times_gradient():
    """Against the advective form on the same truncation, of which the four-transform form is an identity."""
    equation = NavierStokes(0.0, length=(1.0, 2.0))
    w = projected(equation, torch.randn(2, 1, 24, 30, **CLOCK, generator=torch.Generator().manual_seed(0)))
    grid, stepper = equation.grid(w), ExponentialRungeKutta(equation, ETDRK4)
    coefficients = grid.forward(w)
    gradient = torch.cat([grid.inverse(grid.gradient(axis) * coefficients) for axis in (0, 1)], dim=1)
    advected = -(velocity_of(w, length=(1.0, 2.0)) * gradient).sum(1, keepdim=True)
    slope = stepper.slope(torch.zeros(2), w)
    torch.testing.assert_close(slope, projected(equation, advected), rtol=0, atol=1e-11 * slope.abs().max().item())


def budgets(equation, w, t):
    """Rates of change of mean energy, mean enstrophy and mean vorticity, (batch,) each."""
    slope = ExponentialRungeKutta(equation, ETDRK4).slope(t, w)
    velocity, change = (velocity_of(field, length=equation.length) for field in (w, slope))
    return (velocity * change).sum(1).mean((1, 2)), (w * slope).mean((1, 2, 3)), slope.mean((1, 2, 3))


def test_truncated_inviscid_flow_conserves_energy_enstrophy_and_vorticity():
    equation = NavierStokes(0.0, length=(1.0, 2.0))
    w = projected(equation, torch.randn(2, 1, 24, 30, **CLOCK, generator=torch.Generator().manual_seed(0)) + 0.3)
    velocity = velocity_of(w, length=(1.0, 2.0))
    scale = velocity.norm() * w.norm()  # of a term that must cancel
    for rate in budgets(equation, w, torch.zeros(2)):
        assert rate.abs().max() < 1e-14 * scale


@pytest.mark.parametrize("tableau", [ETDRK4, IFRK4], ids=lambda tableau: tableau.name)
def test_inviscid_drift_is_of_the_time_step_alone(tableau):
    """Over a fixed time, energy and enstrophy drift by O(dt^p) with p at least the order of the scheme."""
    equation = NavierStokes(0.0)
    w0 = projected(equation, low_modes(1, (20, 20)))
    stepper = ExponentialRungeKutta(equation, tableau)

    def drift(count):
        w = solve(stepper, w0, torch.tensor([0.0, 2.0], **CLOCK), FixedStep(2.0 / count)).ys[:, -1]
        energies = [velocity_of(field).square().mean() for field in (w, w0)]
        return torch.stack([w.square().mean() / w0.square().mean() - 1, energies[0] / energies[1] - 1]).abs()

    coarse, fine = drift(20), drift(40)
    assert (torch.log2(coarse / fine) > 3.8).all() and (fine < 1e-5).all()


def test_energy_budget_with_viscosity_drag_and_forcing():
    """dE/dt = -nu <w^2> - 2 drag E + <u . f>, to rounding; E the mean of u^2 / 2, f the force of a Kolmogorov flow."""
    w = low_modes(2, (24, 24), length=2.0)
    nu, drag = torch.tensor([0.01, 0.03], **CLOCK), torch.tensor([0.1, 0.0], **CLOCK)
    equation = NavierStokes(nu, length=2.0, drag=drag, forcing=kolmogorov_forcing(w, wavenumber=2, length=2.0))
    w = projected(equation, w)
    velocity = velocity_of(w, length=2.0)
    y = 2.0 * torch.arange(24, **CLOCK) / 24
    work = (velocity[:, 0] * torch.sin(2 * math.pi * 2 / 2.0 * y)).mean((1, 2))
    energy = 0.5 * velocity.square().sum(1).mean((1, 2))
    expected = -nu * w.square().mean((1, 2, 3)) - 2 * drag * energy + work
    rate, _, mean = budgets(equation, w, torch.zeros(2))
    torch.testing.assert_close(rate, expected, rtol=1e-12, atol=1e-14)
    assert mean.abs().max() < 1e-14


@pytest.mark.parametrize("tableau", **TABLEAUS)
def test_laminar_kolmogorov_flow_is_reached_exactly_in_time(tableau):
    """A vorticity of y alone is not transported: w = forcing (1 - exp(-(nu k^2 + drag) t)) / (nu k^2 + drag)."""
    w0 = torch.zeros(1, 1, 8, 16, **CLOCK)
    forcing = kolmogorov_forcing(w0, wavenumber=2, amplitude=0.7)
    stepper = ExponentialRungeKutta(NavierStokes(0.02, drag=0.3, forcing=forcing), tableau)
    rate = 0.02 * (4 * math.pi) ** 2 + 0.3
    count = 10 if tableau is not IFRK4 else 160  # an integrating factor does not hold a steady state exactly
    w = solve(stepper, w0, torch.tensor([0.0, 1.0], **CLOCK), FixedStep(1.0 / count)).ys[:, -1]
    expected = forcing * (1 - math.exp(-rate)) / rate
    torch.testing.assert_close(w, expected, rtol=0, atol=1e-13 if tableau is not IFRK4 else 1e-8)


def test_forcing_in_time_is_sampled_at_the_stages():
    w0, start = torch.zeros(2, 1, 8, 8, **CLOCK), torch.tensor([0.0, 0.4], **CLOCK)
    shape = kolmogorov_forcing(w0, wavenumber=1)
    equation = NavierStokes(0.0, forcing=lambda t: torch.cos(t)[:, None, None, None] * shape)
    step = ExponentialRungeKutta(equation, ETDRK4)(start, torch.full((2,), 0.1, **CLOCK), w0)
    expected = (torch.sin(start + 0.1) - torch.sin(start))[:, None, None, None] * shape
    torch.testing.assert_close(step.y, expected, rtol=0, atol=1e-7)


def test_agrees_with_exponax_on_a_resolved_flow():
    jax = pytest.importorskip("jax", reason="exponax, the independent solver, is not installed")
    exponax = pytest.importorskip("exponax", reason="exponax, the independent solver, is not installed")
    jax.config.update("jax_enable_x64", True)
    w0, dt, nu = low_modes(1, (64, 64)) * 4, 5e-3, 8e-3
    # exponax takes the velocity of the opposite rotation; its mask leaves out one mode more, hence a resolved flow.
    peer = exponax.stepper.NavierStokesVorticity(
        2, 1.0, 64, dt, diffusivity=nu, drag=-0.1, order=4, vorticity_convection_scale=-1.0
    )
    w, advance = jax.numpy.asarray(w0.numpy()), jax.jit(jax.vmap(peer))
    for _ in range(60):
        w = advance(w)
    stepper = ExponentialRungeKutta(NavierStokes(nu, drag=0.1), ETDRK4)
    ours = solve(stepper, w0, torch.tensor([0.0, 0.3], **CLOCK), FixedStep(dt)).ys[:, -1]
    theirs = torch.tensor(jax.device_get(w).copy())
    assert (ours - w0).norm() > 0.2 * w0.norm()  # something has happened
    assert (ours - theirs).norm() < 1e-6 * theirs.norm()


def test_wrong_states_and_forcings_are_refused():
    t = torch.zeros(1)
    with pytest.raises(ValueError, match=r"\(batch, 1, nx, ny\)"):
        ExponentialRungeKutta(NavierStokes(0.1), ETDRK4)(t, t, torch.zeros(1, 2, 8, 8))
    forced = ExponentialRungeKutta(NavierStokes(0.1, forcing=torch.zeros(8, 8)), ETDRK4)
    with pytest.raises(ValueError, match="forcing of shape"):
        forced(t, t, torch.zeros(1, 1, 8, 8))
