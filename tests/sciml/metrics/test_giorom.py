"""Errors of particle rollouts: closed forms, the published scaling, and the Chamfer distance by all distances."""

import math

import pytest
import torch

from sciml.metrics import chamfer_distance, giorom, lagrangebench


@pytest.fixture
def rollouts():
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 7, 9, 3, generator=generator, dtype=torch.float64)
    return target + 0.1 * torch.randn(target.shape, generator=generator, dtype=torch.float64), target


def test_squared_distances_are_sums_over_the_axes(rollouts):
    prediction, target = rollouts
    distance = (prediction - target).norm(dim=-1)
    torch.testing.assert_close(giorom.rollout_mse(prediction, target), distance.square().mean((1, 2)))
    torch.testing.assert_close(
        giorom.rollout_mse(prediction, target), 3 * lagrangebench.mse(prediction, target).mean(1)
    )
    torch.testing.assert_close(giorom.one_step_mse(prediction[:, 2], target[:, 2]), distance[:, 2].square().mean(-1))


def test_given_frames_are_frames_without_error(rollouts):
    prediction, target = rollouts
    given = torch.rand(2, 6, 9, 3, dtype=torch.float64)
    longer = giorom.rollout_mse(torch.cat([given, prediction], 1), torch.cat([given, target], 1))
    torch.testing.assert_close(giorom.rollout_mse(prediction, target, given_frames=6), longer)
    with pytest.raises(ValueError, match="given_frames >= 0, got -1"):
        giorom.rollout_mse(prediction, target, given_frames=-1)


def test_one_step_errors_of_positions_are_those_of_accelerations(rollouts):
    """After true frames x_1, x: x' = x + (x - x_1) + a."""
    acceleration, true = rollouts[0][:, 0], rollouts[1][:, 0]
    before, now = rollouts[1][:, 1], rollouts[1][:, 2]
    positions = [2 * now - before + a for a in (acceleration, true)]
    torch.testing.assert_close(giorom.one_step_mse(*positions), giorom.one_step_mse(acceleration, true))


def test_the_relative_error_knows_no_origin(rollouts):
    prediction, target = rollouts
    reference = torch.rand(2, 9, 3, dtype=torch.float64)
    found = giorom.displacement_error(prediction, target, reference=reference)
    torch.testing.assert_close(giorom.displacement_error(prediction + 9, target + 9, reference=reference + 9), found)
    torch.testing.assert_close(giorom.displacement_error(3 * prediction, 3 * target, reference=3 * reference), found)
    still = target[:, :1].expand_as(target)  # no movement predicted at all: error 1
    torch.testing.assert_close(giorom.displacement_error(still, target), torch.ones(2, 6, dtype=torch.float64))


def test_relative_energy_error_of_a_stream_that_is_too_fast():
    target = torch.arange(5.0)[None, :, None, None] * torch.tensor([0.3, 0.4]) + torch.rand(1, 1, 7, 2)
    faster = target[:, :1] + 1.1 * (target - target[:, :1])
    torch.testing.assert_close(giorom.energy_error(faster, target), torch.full((1, 4), 0.21), rtol=1e-4, atol=0)
    periodic = giorom.energy_error(faster % 1, target % 1, box=(1.0, 1.0))
    torch.testing.assert_close(periodic, torch.full((1, 4), 0.21), rtol=1e-4, atol=0)


@pytest.mark.parametrize("box", [None, (1.0, 1.0, 1.0), (1.0, math.inf, 1.0)])
@pytest.mark.parametrize("average", [False, True])
def test_chamfer_is_that_of_all_distances(box, average):
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.rand(3, n, 3, generator=generator, dtype=torch.float64) for n in (40, 25))
    between = x[:, :, None] - y[:, None]
    if box is not None:
        period = torch.tensor(box, dtype=torch.float64)
        between = between - (period * (between / period).round()).nan_to_num(0.0)
    square = between.square().sum(-1)
    expected = square.amin(2).mean(1) + square.amin(1).mean(1)
    found = chamfer_distance(x, y, box=box, average=average)
    torch.testing.assert_close(found, expected / 2 if average else expected)
    torch.testing.assert_close(chamfer_distance(y, x, box=box, average=average), found)
    assert chamfer_distance(x, x[:, torch.randperm(40)]).abs().max() == 0


def test_chamfer_of_far_clouds_is_twice_the_squared_shift():
    x = torch.rand(1, 200, 2, dtype=torch.float64)
    assert chamfer_distance(x, x + torch.tensor([1e4, 0.0])).item() == pytest.approx(2e8, rel=1e-3)


def test_chamfer_gradients_and_masks():
    generator = torch.Generator().manual_seed(3)
    x, y = (torch.rand(2, n, 2, generator=generator, dtype=torch.float64).requires_grad_() for n in (9, 7))
    assert torch.autograd.gradcheck(chamfer_distance, (x, y))
    mask = torch.arange(9)[None] < torch.tensor([[9], [4]])
    padded = x.masked_fill(~mask[..., None], math.nan)
    found = chamfer_distance(padded, y, x_mask=mask)
    torch.testing.assert_close(found[1:], chamfer_distance(x[1:, :4], y[1:]))
    (gradient,) = torch.autograd.grad(found.sum(), y)
    assert bool(gradient.isfinite().all())
    (same,) = torch.autograd.grad(chamfer_distance(x, x.detach()).sum(), x)
    assert not same.any()


def test_chamfer_of_large_clouds():
    x = torch.rand(1, 100_000, 3, generator=torch.Generator().manual_seed(0))
    nudged = x + 1e-4 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    assert chamfer_distance(x, nudged).item() == pytest.approx(6e-8, rel=0.02)


def test_frames_that_blew_up_are_nan(rollouts):
    prediction, target = rollouts
    prediction[0, 4:] = math.inf
    found = giorom.chamfer(prediction, target, stride=2)
    assert found.shape == (2, 4) and found[0, 2:].isnan().all() and found[0, :2].isfinite().all()
    assert found[1].isfinite().all()
