"""Poseidon's loss: what it is, and what it must not depend on."""

import pytest
import torch

from sciml.datasets.channel import Channel
from sciml.operators import ScOTConfig
from sciml.training import FitSettings, GroupedRelativeLoss, fit
from tests.sciml.training.tiny import FLOW, small_poseidon, small_waves

GROUPS = (1, 2, 1)


@pytest.fixture
def fields():
    """Prediction and target (5, 4, 6, 6), of samples and channels of very different size."""
    random = torch.Generator().manual_seed(0)
    size = (
        torch.logspace(-2, 2, 5, dtype=torch.float64)[:, None, None, None]
        * torch.tensor([1.0, 5.0, 0.2, 3.0])[:, None, None]
    )
    prediction, target = torch.randn(2, 5, 4, 6, 6, generator=random, dtype=torch.float64)
    return prediction * size, target * size


@pytest.mark.parametrize("p", [1, 2])
def test_it_is_the_mean_over_groups_of_relative_errors(fields, p):
    prediction, target = fields
    expected = [
        sum(
            float((a[part] - b[part]).abs().pow(p).sum() / b[part].abs().pow(p).sum())
            for part in (slice(0, 1), slice(1, 3), slice(3, 4))
        )
        / 3
        for a, b in zip(prediction, target)
    ]
    found = GroupedRelativeLoss(GROUPS, p)(prediction, target)
    torch.testing.assert_close(found, torch.tensor(expected, dtype=torch.float64), rtol=1e-6, atol=0)


@pytest.mark.parametrize("groups", [GROUPS, (4,), None])
def test_a_sample_costs_the_same_in_any_batch(fields, groups):
    prediction, target = fields
    loss = GroupedRelativeLoss(groups)
    alone = torch.cat([loss(prediction[k : k + 1], target[k : k + 1]) for k in range(len(target))])
    torch.testing.assert_close(loss(prediction, target), alone, rtol=1e-12, atol=0)


def test_the_scale_of_a_sample_and_of_a_group_does_not_count(fields):
    prediction, target = fields
    scale = torch.tensor([10.0, 0.1, 0.1, 7.0], dtype=torch.float64)[:, None, None]
    loss = GroupedRelativeLoss(GROUPS)
    torch.testing.assert_close(loss(prediction * scale, target * scale), loss(prediction, target), rtol=1e-6, atol=0)


@pytest.mark.parametrize("p", [1, 2])
def test_the_reference_has_one_ratio_for_the_batch(fields, p):
    prediction, target = fields
    ratios = [
        (a - b).abs().pow(p).mean() / (b.abs().pow(p).mean() + 1e-10)
        for a, b in zip(prediction.split(GROUPS, dim=1), target.split(GROUPS, dim=1))
    ]
    found = GroupedRelativeLoss(GROUPS, p, reference=True)(prediction, target)
    torch.testing.assert_close(found, torch.stack(ratios).mean().expand(5), rtol=1e-12, atol=0)


def test_the_reference_lets_a_masked_group_lower_the_mean(fields):
    prediction, target = fields
    mask = torch.tensor([True, True, True, False])[:, None, None]
    overwritten = torch.where(mask, prediction, target)
    reference = GroupedRelativeLoss(GROUPS, reference=True)
    torch.testing.assert_close(reference.masked(mask)(prediction, target), reference(overwritten, target))


def test_masked_values_do_not_count(fields):
    prediction, target = fields
    mask = torch.rand(5, 4, 6, 6, generator=torch.Generator().manual_seed(1)) < 0.5
    loss = GroupedRelativeLoss(GROUPS).masked(mask)
    wild = torch.where(mask, prediction, 1e6), torch.where(mask, target, -1e6)
    torch.testing.assert_close(loss(*wild), loss(prediction, target), rtol=1e-12, atol=0)


def test_a_masked_group_does_not_dilute_the_mean(fields):
    prediction, target = fields
    mask = torch.tensor([True, True, True, False])[:, None, None]
    expected = GroupedRelativeLoss((1, 2))(prediction[:, :3], target[:, :3])
    torch.testing.assert_close(GroupedRelativeLoss(GROUPS).masked(mask)(prediction, target), expected)


def test_a_sample_that_is_masked_altogether_costs_nothing(fields):
    prediction, target = fields
    mask = (torch.arange(5) != 2)[:, None, None, None]
    found = GroupedRelativeLoss(GROUPS).masked(mask)(prediction, target)
    assert found[2] == 0 and bool((found[[0, 1, 3, 4]] > 0).all())


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("reference", [False, True])
def test_gradients_are_finite_where_the_prediction_is_exact_or_the_target_zero(p, reference):
    target = torch.zeros(3, 4, 5, 5)
    target[0] = torch.randn(4, 5, 5)
    prediction = target.clone().requires_grad_(True)
    GroupedRelativeLoss(GROUPS, p, reference)(prediction, target).sum().backward()
    assert bool(torch.isfinite(prediction.grad).all())


def test_groups_follow_the_fields_of_the_channels():
    assert GroupedRelativeLoss.by_field(FLOW) == GroupedRelativeLoss((1, 2, 1))
    wall = Channel("wall", static=True)
    assert GroupedRelativeLoss.by_field((*FLOW[:3], wall), p=2, reference=True) == GroupedRelativeLoss((1, 2), 2, True)


def test_groups_of_an_architecture():
    preset = ScOTConfig.preset("T")
    assert GroupedRelativeLoss.of(preset) == GroupedRelativeLoss((1, 2, 1))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: GroupedRelativeLoss(p=3), "p 1 or 2, got 3"),
        (lambda: GroupedRelativeLoss((1, 0)), r"at least one channel.*\(1, 0\)"),
        (lambda: GroupedRelativeLoss((1, 2))(torch.ones(2, 4, 3), torch.ones(2, 4, 3)), r"4 channels.*got \(1, 2\)"),
        (lambda: GroupedRelativeLoss.by_field([FLOW[1], FLOW[0], FLOW[2]]), "'velocity'.*follow one another"),
        (lambda: GroupedRelativeLoss.by_field([Channel("wall", static=True)]), "not static"),
    ],
)
def test_what_does_not_fit_is_refused(wrong, message):
    with pytest.raises(ValueError, match=message):
        wrong()


def test_fit_lowers_it():
    data = small_waves(48)
    loss = GroupedRelativeLoss.by_field(data.channels)
    settings = FitSettings(epochs=6, batch_size=4, lr=1e-2, loss=loss, quiet=True, device="cpu")
    history = fit(small_poseidon(), data, valid=small_waves(4, seed=1), settings=settings).history
    assert history[-1].valid_loss < 0.8 * history[0].valid_loss


def test_a_group_without_a_target_is_left_out_of_its_samples_mean() -> None:
    """Incompressible flow, whose normalised pressure is zero, beside compressible flow, without a mask."""
    prediction, target = torch.randn(2, 4, 5, 5), torch.randn(2, 4, 5, 5)
    target[0, 3] = 0
    loss = GroupedRelativeLoss((1, 2, 1))
    found = loss(prediction, target)
    torch.testing.assert_close(found[0], GroupedRelativeLoss((1, 2))(prediction[:, :3], target[:, :3])[0])
    torch.testing.assert_close(found[1], loss(prediction[1:], target[1:])[0])
    assert not loss(0 * target, 0 * target).any()
