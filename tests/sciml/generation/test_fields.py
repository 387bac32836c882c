import math

import pytest
import torch

from sciml.generation.fields import REFERENCE, random_field, series_on
from sciml.generation.grid import Domain, Grid
from sciml.generation.randomness import trajectory_generator
from sciml.solvers.initial import matern_spectrum

SPECTRUM = matern_spectrum(exponent=3.0, scale=15.0)


def square(size, *, centred=False):
    return Grid(Domain((0.0, 0.0), (1.0, 2.0), centred=centred), size)


def test_a_field_is_the_same_function_on_finer_grids():
    coarse, fine = (random_field(trajectory_generator(0, 0), square(size), SPECTRUM) for size in (64, 192))
    torch.testing.assert_close(fine[::3, ::3], coarse, atol=1e-12, rtol=0)


@pytest.mark.parametrize("size", [7, 16, 33])
@pytest.mark.parametrize("centred", [False, True])
def test_the_series_is_summed_at_the_grid_s_points(size, centred):
    def wave(x, y):
        return 0.5 + torch.cos(2 * math.pi * (2 * x - 3 * y / 2) + 0.4)

    x, y = square(REFERENCE).points()
    fine = square(size, centred=centred)
    torch.testing.assert_close(series_on(wave(x, y), fine), wave(*fine.points()), atol=1e-12, rtol=0)


def test_fields_have_zero_mean_and_about_unit_variance():
    draws = torch.stack([random_field(trajectory_generator(0, k), square(32), SPECTRUM) for k in range(64)])
    assert draws.mean(dim=(1, 2)).abs().max() < 1e-12
    assert abs(float(draws.square().mean()) - 1) < 0.1
