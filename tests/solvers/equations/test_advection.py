"""Advection by an exact shift of the trigonometric interpolant."""

import math

import pytest
import torch

from sciml.solvers import FixedStep, solve
from sciml.solvers.equations.advection import Advection
from sciml.solvers.initial import gaussian_random_field, matern_spectrum


def smooth(batch, shape, dtype=torch.float64, channels=2):
    spectrum = matern_spectrum(exponent=5.0, scale=10.0)
    generator = torch.Generator().manual_seed(0)
    return gaussian_random_field(batch, shape, spectrum=spectrum, generator=generator, channels=channels, dtype=dtype)


@pytest.mark.parametrize("points", [16, 15])
def test_a_wave_arrives_where_it_should(points):
    x = 3.0 * torch.arange(points, dtype=torch.float64) / points
    velocity, dt = torch.tensor([0.7, -2.0], dtype=torch.float64), torch.tensor([0.9, 0.31], dtype=torch.float64)
    wave = lambda x: torch.sin(2 * math.pi * 5 / 3.0 * x + 0.4)  # noqa: E731
    step = Advection(velocity, length=3.0)(torch.zeros(2), dt, wave(x).expand(2, 1, -1))
    expected = wave(x - (velocity * dt)[:, None])[:, None]
    torch.testing.assert_close(step.y, expected, rtol=0, atol=1e-13)


@pytest.mark.parametrize("shape", [(12,), (8, 10), (6, 5, 8)])
def test_whole_cells_are_a_roll_in_any_dimension(shape):
    """Also for a state of white noise, whose Nyquist modes are full."""
    y = torch.randn(2, 2, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    lengths = tuple(float(points) for points in shape)
    cells = (2, -1, 3)[: len(shape)]
    step = Advection([float(c) for c in cells], length=lengths)(torch.zeros(2), torch.ones(2), y)
    torch.testing.assert_close(step.y, y.roll(cells, dims=tuple(range(2, y.dim()))), rtol=0, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_batched_equals_one_by_one(dtype):
    y, t, dt = smooth(3, (8, 9), dtype), torch.zeros(3), torch.tensor([0.1, 0.2, 0.0])
    velocity = torch.tensor([[1.0, 2.0], [0.0, -1.0], [3.0, 0.5]], dtype=torch.float64)
    together = Advection(velocity)(t, dt, y).y
    assert together.dtype == dtype
    tolerance = 1e-13 if dtype == torch.float64 else 1e-6
    for i in range(3):
        alone = Advection(velocity[i])(t[i : i + 1], dt[i : i + 1], y[i : i + 1]).y
        torch.testing.assert_close(together[i : i + 1], alone, rtol=tolerance, atol=tolerance)


def test_mean_and_energy_are_kept_over_many_steps():
    y0 = smooth(2, (31,))
    y = solve(Advection(0.37), y0, torch.tensor([0.0, 5.0], dtype=torch.float64), FixedStep(0.013)).ys[:, -1]
    torch.testing.assert_close(y.mean(-1), y0.mean(-1), rtol=0, atol=1e-13)
    torch.testing.assert_close(y.square().sum(-1), y0.square().sum(-1), rtol=1e-11, atol=0)


def test_gradients():
    y = smooth(2, (8,)).requires_grad_()
    velocity = torch.tensor([0.3, -1.0], dtype=torch.float64, requires_grad=True)
    dt = torch.tensor([0.1, 0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda y, c, dt: Advection(c)(torch.zeros(2), dt, y).y, (y, velocity, dt))


def test_wrong_velocities_are_refused():
    with pytest.raises(ValueError, match="velocity of shape"):
        Advection(torch.ones(3))(torch.zeros(2), torch.ones(2), smooth(2, (8,)))
    with pytest.raises(ValueError, match="velocity of shape"):
        Advection(1.0)(torch.zeros(2), torch.ones(2), smooth(2, (8, 8)))
