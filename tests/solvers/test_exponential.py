"""Exponential integrators: exact linear parts, declared orders, phi functions to rounding, reuse, gradients."""

import math
from decimal import Decimal, getcontext
from functools import lru_cache

import pytest
import torch

from sciml.solvers import FixedStep, PIDController, StepDoubling, solve
from sciml.solvers.equations.burgers import Burgers
from sciml.solvers.equations.navier_stokes import NavierStokes
from sciml.solvers.equations.reaction_diffusion import GrayScott, ReactionDiffusion
from sciml.solvers.exponential import ETDRK2, ETDRK4, IFRK4, ExponentialRungeKutta, Phi
from sciml.solvers.initial import gaussian_random_field, matern_spectrum

TABLEAUS = [ETDRK2, ETDRK4, IFRK4]
by_name = {"argvalues": TABLEAUS, "ids": lambda tableau: tableau.name}


def smooth(batch, shape, dtype=torch.float64, channels=1):
    spectrum = matern_spectrum(exponent=5.0, scale=10.0)
    generator = torch.Generator().manual_seed(0)
    return gaussian_random_field(batch, shape, spectrum=spectrum, generator=generator, channels=channels, dtype=dtype)


EQUATIONS = {
    "burgers": (lambda nu=0.02: Burgers(nu), (32,), 1),
    "navier_stokes": (lambda nu=0.002: NavierStokes(nu, drag=0.1, forcing=torch.ones(1, 1, 12, 16)), (12, 16), 1),
    "gray_scott": (lambda nu=0.03: ReactionDiffusion(GrayScott(nu, 0.06), (2e-2, 1e-2)), (8, 6, 10), 2),
}


@pytest.mark.parametrize("z", [0.0, -1e-12, -1e-3, -0.5, -0.999999, -1.0, -3.0, -40.0, -1e4, 0.7, 5.0])
def test_phi_functions_to_rounding(z):
    getcontext().prec = 60
    exact, values = Decimal(z), []
    for k in (1, 2, 3):
        if abs(z) < 1e-2:
            values.append(
                float(sum(exact**j / math.factorial(j + k) for j in range(1, 30)) + 1 / Decimal(math.factorial(k)))
            )
        else:
            tail = exact.exp() - sum(exact**j / math.factorial(j) for j in range(k))
            values.append(float(tail / exact**k))
    phi = Phi.of(torch.tensor([z], dtype=torch.float64))
    for computed, expected in zip(phi[1:], values):
        assert computed.item() == pytest.approx(expected, rel=5e-15)


def test_phi_functions_of_complex_arguments_and_their_gradients():
    angle = torch.linspace(0, 6, 9, dtype=torch.float64)
    for radius in (0.3, 0.99, 1.01, 4.0):
        z = radius * torch.exp(1j * angle)
        phi = Phi.of(z)
        torch.testing.assert_close(z * phi.one + 1, phi.exp)
        torch.testing.assert_close(z * phi.two + 1, phi.one)
        torch.testing.assert_close(z * phi.three + 0.5, phi.two)
    z = torch.tensor([-5.0, -1.1, -0.4, 0.0, 0.9, 2.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda z: tuple(Phi.of(z)), z)


@pytest.mark.parametrize("tableau", **by_name)
@pytest.mark.parametrize("name", EQUATIONS)
def test_measured_order_is_the_declared_one(tableau, name):
    build, shape, channels = EQUATIONS[name]
    stepper, y0 = ExponentialRungeKutta(build(), tableau), smooth(1, shape, channels=channels)
    counts = (32, 64) if tableau.order == 2 else (16, 32)
    coarse, fine = ((_advance(stepper, y0, 0.2, count) - _reference(name)).norm().item() for count in counts)
    assert math.log2(coarse / fine) == pytest.approx(tableau.order, abs=0.25), (coarse, fine)
    assert stepper.order == tableau.order


@lru_cache
def _reference(name):
    build, shape, channels = EQUATIONS[name]
    return _advance(ExponentialRungeKutta(build(), ETDRK4), smooth(1, shape, channels=channels), 0.2, 192)


def _advance(stepper, y0, end, count):
    return solve(stepper, y0, torch.tensor([0.0, end], dtype=torch.float64), FixedStep(end / count)).ys[:, -1]


@pytest.mark.parametrize("tableau", **by_name)
def test_linear_part_is_exact_for_any_step(tableau):
    """A vorticity of one |k| is not moved by its own flow: the whole solution is exp(-nu k^2 t)."""
    x = torch.arange(16, dtype=torch.float64) / 16
    y = torch.sin(2 * math.pi * x)[:, None] * torch.cos(2 * math.pi * x) * torch.ones(1, 1, 1, 1, dtype=torch.float64)
    step = ExponentialRungeKutta(NavierStokes(0.5), tableau)(torch.zeros(1), torch.ones(1), y)
    torch.testing.assert_close(step.y, y * math.exp(-8 * math.pi**2 * 0.5), rtol=1e-6, atol=1e-16 * 50)


@pytest.mark.parametrize("tableau", **by_name)
@pytest.mark.parametrize("name", EQUATIONS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batched_equals_one_by_one(tableau, name, dtype):
    """Each sample with its own step and its own parameter."""
    build, shape, channels = EQUATIONS[name]
    parameters = torch.tensor([0.01, 0.02, 0.05], dtype=torch.float64)
    y, t, dt = smooth(3, shape, dtype, channels), torch.zeros(3), torch.tensor([1e-2, 2e-2, 5e-3])
    together = ExponentialRungeKutta(build(parameters), tableau)(t, dt, y)
    assert together.y.dtype == dtype and together.evaluations == len(tableau.nodes)
    tolerance = 1e-13 if dtype == torch.float64 else 1e-6
    for i in range(3):
        alone = ExponentialRungeKutta(build(parameters[i]), tableau)(t[i : i + 1], dt[i : i + 1], y[i : i + 1])
        torch.testing.assert_close(together.y[i : i + 1], alone.y, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", EQUATIONS)
def test_reuse_only_saves_a_transform(name):
    build, shape, channels = EQUATIONS[name]
    stepper = ExponentialRungeKutta(build(), ETDRK4)
    y, t, dt = smooth(2, shape, channels=channels), torch.zeros(2), torch.full((2,), 1e-2)
    first = stepper(t, dt, y)
    again = stepper(t, dt, y, stepper.start(t, y))
    assert torch.equal(first.y, again.y)
    second, kept = stepper(t, dt, first.y), stepper(t, dt, first.y, first.reuse)
    torch.testing.assert_close(kept.y, second.y, rtol=0, atol=1e-13)


def test_slope_is_the_time_derivative():
    for build, shape, channels in EQUATIONS.values():
        stepper = ExponentialRungeKutta(build(), ETDRK4)
        y, t = smooth(1, shape, channels=channels), torch.zeros(1, dtype=torch.float64)
        y = stepper(t, t, y).y  # on the kept modes
        h = torch.full((1,), 1e-5, dtype=torch.float64)
        difference = (stepper(t, h, y).y - stepper(t, -h, y).y) / 2e-5
        torch.testing.assert_close(stepper.slope(t, y), difference, rtol=0, atol=1e-6 * difference.abs().max().item())


def test_weights_follow_the_step_and_the_parameter():
    """What is kept for the next step is dropped when dt, a parameter in place, or the resolution changes."""
    viscosity = torch.nn.Parameter(torch.tensor(0.01, dtype=torch.float64))
    stepper, t = ExponentialRungeKutta(Burgers(viscosity), ETDRK2), torch.zeros(1, dtype=torch.float64)
    y, dt = smooth(1, (32,)), torch.full((1,), 1e-2, dtype=torch.float64)

    def fresh(dt, y):
        return ExponentialRungeKutta(Burgers(viscosity.detach().clone()), ETDRK2)(t, dt, y).y

    with torch.no_grad():
        assert torch.equal(stepper(t, dt, y).y, fresh(dt, y))
        assert torch.equal(stepper(t, 2 * dt, y).y, fresh(2 * dt, y))
        viscosity.mul_(3)
        assert torch.equal(stepper(t, 2 * dt, y).y, fresh(2 * dt, y))
        assert torch.equal(stepper(t, 2 * dt, y[..., ::2]).y, fresh(2 * dt, y[..., ::2]))
    stepper(t, 2 * dt, y).y.sum().backward()
    stepper(t, 2 * dt, y).y.sum().backward()  # a kept graph would be freed by now
    with torch.inference_mode():
        stepper(t, dt, y)
    state = y.clone().requires_grad_()
    viscosity.requires_grad_(False)
    stepper(t, dt, state).y.sum().backward()
    assert torch.isfinite(state.grad).all()


@pytest.mark.parametrize("tableau", **by_name)
def test_gradients_in_state_step_and_parameters(tableau):
    y = smooth(2, (4, 6)).requires_grad_()
    dt = torch.tensor([0.01, 0.03], dtype=torch.float64, requires_grad=True)
    nu = torch.tensor([0.01, 0.02], dtype=torch.float64, requires_grad=True)
    force = torch.randn(1, 1, 4, 6, dtype=torch.float64, requires_grad=True)
    t = torch.zeros(2, dtype=torch.float64)

    def step(y, dt, nu, force):
        return ExponentialRungeKutta(NavierStokes(nu, drag=nu, forcing=force), tableau)(t, dt, y).y

    assert torch.autograd.gradcheck(step, (y, dt, nu, force))


def test_equal_steps_that_ask_for_gradients_get_one_each():
    dt = torch.full((2,), 0.1, dtype=torch.float64, requires_grad=True)
    y = smooth(2, (32,))
    ExponentialRungeKutta(Burgers(0.1), ETDRK4)(torch.zeros(2), dt, y).y.square().sum().backward()
    assert (dt.grad != 0).all()


def test_adaptive_by_step_doubling():
    y0, ts = smooth(2, (32,)), torch.tensor([0.0, 0.1, 0.25], dtype=torch.float64)
    stepper = ExponentialRungeKutta(Burgers(0.02), ETDRK4)
    adaptive = solve(StepDoubling(stepper), y0, ts, PIDController(rtol=1e-7, atol=1e-9))
    fixed = solve(stepper, y0, ts, FixedStep(1e-3))
    torch.testing.assert_close(adaptive.ys[:, 1:], fixed.ys[:, 1:], rtol=0, atol=1e-6)


def test_parameters_of_another_batch_are_refused():
    stepper = ExponentialRungeKutta(Burgers(torch.tensor([0.1, 0.2, 0.3])), ETDRK4)
    with pytest.raises(ValueError, match="physical parameters"):
        stepper(torch.zeros(2), torch.ones(2), smooth(2, (32,)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", EQUATIONS)
def test_cuda_agrees_with_cpu(name):
    build, shape, channels = EQUATIONS[name]
    y, t, dt = smooth(2, shape, channels=channels), torch.zeros(2), torch.tensor([1e-2, 2e-2])
    here = ExponentialRungeKutta(build(), ETDRK4)(t, dt, y).y
    there = ExponentialRungeKutta(build(), ETDRK4).cuda()(t.cuda(), dt.cuda(), y.cuda()).y
    torch.testing.assert_close(there.cpu(), here, rtol=0, atol=1e-12)
