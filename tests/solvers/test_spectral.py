"""Truncated Fourier transforms: exact on what they keep, free of aliasing, differentiable."""

import math

import pytest
import torch

from sciml.solvers.initial import gaussian_random_field
from sciml.solvers.spectral import PeriodicGrid

SHAPES = [(16,), (15,), (12, 10), (9, 16), (8, 6, 10), (7, 9, 6)]


def random_coefficients(grid: PeriodicGrid) -> torch.Tensor:
    field = torch.randn(2, 3, *grid.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return grid.forward(field)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("degree", [1, 2, 3])
def test_forward_undoes_inverse(shape, degree):
    grid = PeriodicGrid.of(torch.zeros(2, 3, *shape, dtype=torch.float64), 1.0, degree)
    coefficients = random_coefficients(grid)
    torch.testing.assert_close(grid.forward(grid.inverse(coefficients)), coefficients, rtol=0, atol=1e-14)


@pytest.mark.parametrize("shape", SHAPES)
def test_derivatives_of_a_plane_wave(shape):
    lengths = tuple(2.0 + axis for axis in range(len(shape)))
    phase = torch.full(shape, 0.3, dtype=torch.float64)
    numbers = [1, -2, 1][: len(shape)] if len(shape) > 1 else [2]
    for axis, (points, number) in enumerate(zip(shape, numbers)):
        line = [1] * len(shape)
        line[axis] = points
        phase = phase + 2 * math.pi * number * torch.arange(points, dtype=torch.float64).reshape(line) / points
    field = torch.sin(phase)[None, None]
    grid = PeriodicGrid.of(field, lengths)
    total = 0.0
    for axis, (number, length) in enumerate(zip(numbers, lengths)):
        k = 2 * math.pi * number / length
        total += k**2
        derivative = grid.inverse(grid.gradient(axis) * grid.forward(field))
        torch.testing.assert_close(derivative, k * torch.cos(phase)[None, None], rtol=0, atol=1e-12)
    laplacian = grid.inverse(grid.laplacian * grid.forward(field))
    torch.testing.assert_close(laplacian, -total * field, rtol=0, atol=1e-11)


@pytest.mark.parametrize("degree", [2, 3])
@pytest.mark.parametrize("shape", [(16,), (12, 10), (8, 12, 9)])
def test_products_of_degree_factors_are_not_aliased(shape, degree):
    """The kept modes of a power are those of the power on a grid so fine that nothing can alias."""
    grid = PeriodicGrid.of(torch.zeros(2, 3, *shape, dtype=torch.float64), 1.0, degree)
    coefficients = random_coefficients(grid)
    fine_shape = tuple(4 * points for points in shape)
    ratio = [4 * points // (2 * cutoff + 1) + 1 for points, cutoff in zip(shape, grid.cutoffs)]
    assert min(ratio) >= degree
    power = grid.forward(grid.inverse(coefficients) ** degree)
    fine = _evaluate(grid, coefficients, fine_shape) ** degree
    expected = torch.fft.fftn(fine, dim=tuple(range(2, fine.dim())), norm="forward")
    for axis, cutoff in enumerate(grid.cutoffs):
        numbers = torch.cat([torch.arange(cutoff + 1), torch.arange(-cutoff, 0)]) % fine_shape[axis]
        if axis == len(shape) - 1:
            numbers = numbers[: cutoff + 1]
        expected = expected.index_select(axis + 2, numbers)
    expected = expected.permute(0, 1, *range(expected.dim() - 1, 1, -1))
    torch.testing.assert_close(power, expected, rtol=0, atol=1e-13)


def _evaluate(grid, coefficients, shape):
    """The trigonometric polynomial on another grid, by its definition."""
    half = coefficients.permute(0, 1, *range(coefficients.dim() - 1, 1, -1))
    total = half
    for axis, points in enumerate(shape):
        cutoff = grid.cutoffs[axis]
        numbers = torch.cat([torch.arange(cutoff + 1), torch.arange(-cutoff, 0)]).double()
        if axis == len(shape) - 1:
            numbers = numbers[: cutoff + 1]
            weight = torch.where(numbers == 0, 1.0, 2.0)
        else:
            weight = torch.ones_like(numbers)
        x = torch.arange(points, dtype=torch.float64) / points
        wave = weight[:, None] * torch.exp(2j * math.pi * numbers[:, None] * x)
        total = torch.tensordot(total, wave, dims=([2], [0]))
    return total.real


def test_mean_is_the_zeroth_coefficient_at_any_resolution():
    for points in (8, 31):
        field = 2.5 + torch.zeros(1, 1, points, points)
        assert PeriodicGrid.of(field, 1.0, 2).forward(field)[0, 0, 0, 0].item() == pytest.approx(2.5)


def test_gradients():
    field = torch.randn(1, 1, 6, 8, dtype=torch.float64, requires_grad=True)
    grid = PeriodicGrid.of(field, (1.0, 2.0), 2)
    assert torch.autograd.gradcheck(lambda u: grid.inverse(grid.gradient(1) * grid.forward(u)), field)


def test_wrong_fields_are_refused():
    with pytest.raises(ValueError, match="batch, channel"):
        PeriodicGrid.of(torch.zeros(4, 4), 1.0)
    with pytest.raises(ValueError, match="length"):
        PeriodicGrid.of(torch.zeros(1, 1, 4, 4), (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="parameter"):
        PeriodicGrid.of(torch.zeros(1, 1, 4), 1.0).per_sample(torch.zeros(2, 2))


def test_random_fields_have_the_asked_spectrum_and_variance():
    fields = gaussian_random_field(
        400,
        (32,),
        spectrum=lambda k: (k < 40).double() * (1 + k),
        generator=torch.Generator().manual_seed(1),
        dtype=torch.float64,
    )
    assert fields.square().mean().item() == pytest.approx(1.0, abs=0.05)
    power = torch.fft.rfft(fields, norm="forward").abs().square().mean(dim=(0, 1))
    k = 2 * math.pi * torch.arange(7, dtype=torch.float64)
    torch.testing.assert_close(power[1:7] / power[1:7].sum(), (1 + k[1:]) / (1 + k[1:]).sum(), rtol=0.25, atol=0)
    assert power[7:].max() < 1e-25 and power[0] < 1e-25
