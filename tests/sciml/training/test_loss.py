"""Losses against their definitions."""

import math

import pytest
import torch

from sciml.training import mean_absolute, mean_square, relative_l1, relative_l2

LOSSES = [mean_square, mean_absolute, relative_l1, relative_l2]


@pytest.mark.parametrize(
    ("loss", "expected"),
    [(mean_square, 4.0), (mean_absolute, 2.0), (relative_l1, 2.0 / 3.0), (relative_l2, 2.0 / 3.0)],
)
def test_constant_error_has_the_loss_of_its_definition(loss, expected):
    target = torch.full((3, 2, 4, 5), -3.0, dtype=torch.float64)
    torch.testing.assert_close(loss(target + 2.0, target), torch.full((3,), expected, dtype=torch.float64))


@pytest.mark.parametrize("loss", LOSSES)
def test_a_sample_is_scored_as_if_alone(loss):
    prediction, target = torch.randn(2, 5, 2, 7, dtype=torch.float64)
    alone = torch.cat([loss(prediction[k : k + 1], target[k : k + 1]) for k in range(5)])
    torch.testing.assert_close(loss(prediction, target), alone, rtol=0, atol=0)


@pytest.mark.parametrize("loss", [relative_l1, relative_l2])
def test_relative_losses_do_not_depend_on_units(loss):
    prediction, target = torch.randn(2, 5, 2, 7, dtype=torch.float64)
    torch.testing.assert_close(loss(1e6 * prediction, 1e6 * target), loss(prediction, target))


@pytest.mark.parametrize("loss", LOSSES)
def test_an_exact_prediction_has_no_loss_and_a_finite_gradient(loss):
    target = torch.randn(2, 1, 4)
    prediction = target.clone().requires_grad_()
    value = loss(prediction, target)
    value.sum().backward()
    assert torch.equal(value, torch.zeros(2))
    assert torch.isfinite(prediction.grad).all()


@pytest.mark.parametrize("loss", LOSSES)
def test_gradient_matches_finite_differences(loss):
    prediction = torch.randn(2, 2, 3, dtype=torch.float64, requires_grad=True)
    target = torch.randn(2, 2, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda u: loss(u, target), (prediction,))


def test_a_zero_target_counts_as_an_absolute_error():
    value = relative_l2(torch.ones(1, 1, 4), torch.zeros(1, 1, 4))
    assert math.isfinite(float(value)) and float(value) > 1
