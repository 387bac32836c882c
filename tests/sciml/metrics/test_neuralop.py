import pytest
import torch

from sciml.metrics import neuralop


def test_equals_the_librarys_losses(pair):
    losses = pytest.importorskip("neuralop.losses")
    prediction, target = (u[:, 0] for u in pair)
    dim = target.ndim - 2
    expected = losses.LpLoss(d=dim, p=2, measure=1.0, reduction="sum").rel(prediction, target)
    torch.testing.assert_close(neuralop.relative_l2(*(u[:, :1] for u in pair)).sum(), expected.sum())
    expected = losses.H1Loss(d=dim, measure=1.0, reduction="sum").rel(prediction, target)
    torch.testing.assert_close(neuralop.relative_h1(*(u[:, :1] for u in pair)).sum(), expected.sum())


def test_h1_of_a_constant_error_has_no_gradient_part(pair):
    _, target = pair
    constant = torch.ones_like(target)
    torch.testing.assert_close(
        neuralop.relative_h1(1.25 * constant, constant), neuralop.relative_l2(1.25 * constant, constant)
    )
    assert (neuralop.relative_h1(target + 1, target) < neuralop.relative_l2(target + 1, target)).all()
