"""Reaction and diffusion: each part alone in closed form, and both discretisations against each other."""

import math

import pytest
import torch
from torch import nn

from sciml.solvers import RK4, FixedStep, RungeKutta, solve
from sciml.solvers.equations.boundary import Periodic
from sciml.solvers.equations.reaction_diffusion import (
    AllenCahn,
    FitzHughNagumo,
    GrayScott,
    ReactionDiffusion,
    ReactionDiffusionCells,
)
from sciml.solvers.exponential import ETDRK2, ETDRK4, ExponentialRungeKutta
from sciml.solvers.initial import gaussian_random_field

CLOCK = {"dtype": torch.float64}
REACTIONS = {"gray_scott": GrayScott(0.04, 0.06), "fitzhugh_nagumo": FitzHughNagumo()}


class Decay(nn.Module):
    """A linear reaction of rate -1, to have a closed form."""

    def forward(self, y):
        return -y


def low_modes(batch, shape):
    return gaussian_random_field(
        batch,
        shape,
        spectrum=lambda k: torch.exp(-((k / 8) ** 2)),
        generator=torch.Generator().manual_seed(0),
        channels=2,
        dtype=torch.float64,
    )


@pytest.mark.parametrize("shape", [(16,), (12, 10), (8, 9, 10)])
def test_each_species_diffuses_at_its_own_rate(shape):
    x = torch.cos(2 * math.pi * torch.arange(shape[-1], **CLOCK) / shape[-1]).expand(2, 2, *shape)
    diffusivity = torch.tensor([[0.1, 0.02], [0.3, 0.0]], **CLOCK)
    equation = ReactionDiffusion(Decay(), diffusivity, degree=1)
    ys = solve(ExponentialRungeKutta(equation, ETDRK4), x, torch.tensor([0.0, 0.5], **CLOCK), FixedStep(0.01)).ys
    factor = torch.exp(-0.5 * (1 + 4 * math.pi**2 * diffusivity)).reshape(2, 2, *[1] * len(shape))
    torch.testing.assert_close(ys[:, -1], x * factor, rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", REACTIONS)
def test_a_uniform_state_reacts_as_the_ordinary_equation(name):
    reaction = REACTIONS[name]
    y0 = torch.tensor([[0.6, 0.3], [0.9, 0.1]], **CLOCK)[:, :, None].expand(2, 2, 8).contiguous()
    ts = torch.tensor([0.0, 1.0], **CLOCK)
    ordinary = solve(RungeKutta(lambda t, y: reaction(y), RK4), y0, ts, FixedStep(0.01)).ys
    ours = solve(ExponentialRungeKutta(ReactionDiffusion(reaction, (0.1, 0.2)), ETDRK4), y0, ts, FixedStep(0.01)).ys
    cells = solve(
        RungeKutta(ReactionDiffusionCells(reaction, (0.1, 0.2), spacing=0.5), RK4), y0, ts, FixedStep(0.01)
    ).ys
    torch.testing.assert_close(ours, ordinary, rtol=0, atol=1e-9)
    torch.testing.assert_close(cells, ordinary, rtol=0, atol=1e-12)


def test_rest_states():
    """(1, 0) is a fixed point of Gray-Scott; at u = v = -k^(1/3) both FitzHugh-Nagumo rates vanish."""
    rest = torch.tensor([1.0, 0.0], **CLOCK).reshape(1, 2, 1)
    assert GrayScott(0.03, 0.06)(rest).abs().max() == 0
    threshold = 0.2
    rest = torch.full((1, 2, 1), -(threshold ** (1 / 3)), **CLOCK)
    assert FitzHughNagumo(threshold)(rest).abs().max() < 1e-15


def test_allen_cahn_keeps_a_front_and_lowers_its_energy():
    """tanh(x / sqrt(2 D / rate)) stands still; between two of them the energy falls until they meet."""
    rate, diffusivity, n = 4.0, 1e-3, 128
    x, width = torch.arange(n, **CLOCK) / n, math.sqrt(2 * diffusivity / rate)
    fronts = torch.tanh((x - 0.25) / width) * torch.tanh((0.75 - x) / width)
    equation = ReactionDiffusion(AllenCahn(rate), (diffusivity,), degree=1)
    stepper = ExponentialRungeKutta(equation, ETDRK4)
    ts = torch.linspace(0, 2, 5, **CLOCK)
    still = solve(stepper, fronts[None, None], ts, FixedStep(0.01)).ys
    torch.testing.assert_close(still[:, -1], fronts[None, None], rtol=0, atol=2e-3)
    ys = solve(stepper, low_modes(1, (n,))[:, :1], ts, FixedStep(0.01)).ys[0, :, 0]
    slope = (ys.roll(-1, -1) - ys) * n
    energy = (0.5 * diffusivity * slope.square() + 0.25 * rate * (1 - ys.square()).square()).mean(dim=-1)
    assert bool((energy.diff() < 0).all())


@pytest.mark.parametrize("name", REACTIONS)
def test_cells_converge_to_the_spectral_solution(name):
    ts, diffusivity = torch.tensor([0.0, 0.2], **CLOCK), (5e-2, 2e-2)
    y0 = low_modes(1, (64, 32))

    def cells(stride):
        field = ReactionDiffusionCells(REACTIONS[name], diffusivity, spacing=stride / 32, boundary=Periodic())
        coarse = y0[:, :, :: 2 * stride, ::stride]
        return solve(RungeKutta(field, RK4), coarse, ts, FixedStep(2e-3)).ys[:, -1]

    spectral = ExponentialRungeKutta(ReactionDiffusion(REACTIONS[name], diffusivity, degree=1), ETDRK4)
    exact = solve(spectral, y0[:, :, ::2], ts, FixedStep(0.01)).ys[:, -1]
    errors = [(cells(s) - exact[:, :, ::s, ::s]).square().mean().sqrt().item() for s in (2, 1)]
    assert math.log2(errors[0] / errors[1]) == pytest.approx(2, abs=0.25)


def test_rates_per_sample():
    feed, kill = torch.tensor([0.02, 0.05], **CLOCK), torch.tensor([0.05, 0.06], **CLOCK)
    y = low_modes(2, (8, 8))
    together = GrayScott(feed, kill)(y)
    for i in range(2):
        assert torch.equal(together[i : i + 1], GrayScott(feed[i], kill[i])(y[i : i + 1]))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_cells_batched_equal_one_by_one_and_keep_the_dtype(dtype):
    y = low_modes(2, (6, 5)).to(dtype)
    field = ReactionDiffusionCells(FitzHughNagumo(), (1e-3, 5e-3), spacing=0.2)
    together = field(torch.zeros(2), y)
    assert together.dtype == dtype
    assert torch.equal(together[1:], field(torch.zeros(1), y[1:]))


def test_gradients_in_rates_and_diffusivity():
    y = low_modes(2, (8,)).requires_grad_()
    feed = torch.tensor([0.03, 0.05], **CLOCK, requires_grad=True)
    diffusivity = torch.tensor([[0.1, 0.2], [0.3, 0.1]], **CLOCK, requires_grad=True)
    t, dt = torch.zeros(2), torch.full((2,), 0.02, **CLOCK)

    def step(y, feed, diffusivity):
        equation = ReactionDiffusion(GrayScott(feed, 0.06), diffusivity, degree=2)
        return ExponentialRungeKutta(equation, ETDRK2)(t, dt, y).y

    def slope(y, feed, diffusivity):
        return ReactionDiffusionCells(GrayScott(feed, 0.06), diffusivity, spacing=0.3)(t, y)

    assert torch.autograd.gradcheck(step, (y, feed, diffusivity))
    assert torch.autograd.gradcheck(slope, (y, feed, diffusivity))


def test_wrong_species_are_refused():
    equation = ReactionDiffusion(GrayScott(0.04, 0.06), (0.1, 0.2))
    with pytest.raises(ValueError, match="one species"):
        ExponentialRungeKutta(equation, ETDRK4)(torch.zeros(1), torch.ones(1), torch.zeros(1, 3, 8))
