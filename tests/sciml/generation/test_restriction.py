import math

import pytest
import torch

from sciml.generation.restriction import average, truncate


def wave(n, mode, phase=0.3):
    return torch.cos(2 * math.pi * mode * torch.arange(n, dtype=torch.float64) / n + phase)


@pytest.mark.parametrize("factor", [2, 3, 4])
@pytest.mark.parametrize("size", [12, 15])
def test_truncation_keeps_the_resolved_modes_and_drops_the_others(size, factor):
    fine = size * factor
    resolved = sum(wave(fine, mode) for mode in range((size + 1) // 2))
    unresolved = sum(wave(fine, mode) for mode in range((size + 1) // 2, fine // 2))
    expected = sum(wave(size, mode) for mode in range((size + 1) // 2))
    torch.testing.assert_close(truncate(resolved + unresolved, factor, 1), expected, atol=1e-12, rtol=0)


def test_truncation_works_axis_by_axis_in_two_dimensions():
    fine = torch.outer(wave(32, 3), wave(32, 5)) + torch.outer(wave(32, 9), wave(32, 1))
    coarse = truncate(fine.expand(2, 3, 32, 32), 2, 2)
    assert coarse.shape == (2, 3, 16, 16)
    torch.testing.assert_close(coarse[1, 2], torch.outer(wave(16, 3), wave(16, 5)), atol=1e-12, rtol=0)


@pytest.mark.parametrize("restrict", [average, truncate])
@pytest.mark.parametrize("dimensions", [1, 2, 3])
def test_both_keep_the_mean_and_the_shape_of_the_other_axes(restrict, dimensions):
    field = torch.randn(2, 3, *[12] * dimensions, dtype=torch.float64)
    coarse = restrict(field, 3, dimensions)
    assert coarse.shape == (2, 3, *[4] * dimensions)
    axes = tuple(range(2, 2 + dimensions))
    torch.testing.assert_close(coarse.mean(dim=axes), field.mean(dim=axes))


def test_averages_are_those_of_the_blocks():
    field = torch.arange(16.0).reshape(4, 4)
    assert average(field, 2, 2).tolist() == [[2.5, 4.5], [10.5, 12.5]]


@pytest.mark.parametrize("restrict", [average, truncate])
def test_factor_one_changes_nothing(restrict):
    field = torch.randn(2, 8, 8)
    assert torch.equal(restrict(field, 1, 2), field)
