"""The recipes say what the paper says (Herde et al. 2024, appendix C.1)."""

import pytest

from sciml.training import GroupedRelativeLoss, PoseidonGroups, finetuning, pretraining, scratch
from tests.sciml.training.tiny import FLOW


@pytest.mark.parametrize(
    ("size", "lr", "batch", "warmup", "epochs"),
    [("T", 1e-3, 640, 2, 40), ("B", 5e-4, 320, 2, 40), ("l", 2e-4, 128, 1, 20)],
)
def test_pretraining(size, lr, batch, warmup, epochs):
    settings = pretraining(size)
    assert (settings.lr, settings.batch_size, settings.epochs) == (lr, batch, epochs)
    assert (settings.weight_decay, settings.clip_norm, settings.betas, settings.eps) == (0.1, 5.0, (0.9, 0.999), 1e-8)
    assert settings.loss == GroupedRelativeLoss((1, 2, 1)) and settings.groups == PoseidonGroups()
    assert settings.schedule(warmup / 2, epochs) == pytest.approx(0.5)
    assert settings.schedule(float(warmup), epochs) == pytest.approx(1.0)
    assert settings.schedule(float(epochs), epochs) == pytest.approx(0.0)


def test_finetuning():
    settings = finetuning("B", FLOW[:3])
    assert (settings.lr, settings.batch_size, settings.epochs, settings.patience) == (5e-5, 40, 200, None)
    assert (settings.weight_decay, settings.clip_norm) == (1e-6, 5.0)
    assert settings.loss == GroupedRelativeLoss((1, 2))
    assert settings.groups == PoseidonGroups(lr_embedding=5e-4, lr_time=5e-4)
    assert settings.schedule(0.0, 200) == 1.0 and settings.schedule(200.0, 200) == pytest.approx(0.0)
    assert finetuning("L").batch_size == 16
    assert finetuning("T", replaced=False).groups == PoseidonGroups(lr_time=5e-4)


def test_scratch():
    settings = scratch()
    assert (settings.lr, settings.batch_size, settings.epochs, settings.patience) == (5e-4, 40, 400, 40)
    assert settings.weight_decay == 1e-6 and settings.schedule(10.0, 400) == pytest.approx(0.5)


@pytest.mark.parametrize("recipe", [pretraining, finetuning])
def test_sizes_without_weights_are_refused(recipe):
    with pytest.raises(ValueError, match="T, B, L, got 'S'"):
        recipe("S")
