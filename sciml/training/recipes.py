"""How Poseidon was trained, as settings to start from: ``replace(finetuning("T"), epochs=50)``.

M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024, appendix C.1. Two things are not as in
the reference: the loss is one of each sample (``GroupedRelativeLoss``), and the position bias network decays
(``PoseidonGroups``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sciml.datasets.channel import Channel

from .grouped import GroupedRelativeLoss
from .poseidon import PoseidonGroups
from .schedule import Cosine, Warmup
from .settings import FitSettings

_PUBLIC_GROUPS = (1, 2, 1)  # density, velocity, pressure


class _Pretraining(NamedTuple):
    """Numbers of a published model."""

    lr: float
    batch_size: int
    warmup: int
    epochs: int


_PRETRAINING = {
    "T": _Pretraining(1e-3, 640, 2, 40),
    "B": _Pretraining(5e-4, 320, 2, 40),  # stopped after epoch 39
    "L": _Pretraining(2e-4, 128, 1, 20),
}
_FINETUNING_BATCH = {"T": 40, "B": 40, "L": 16}


def pretraining(size: str, channels: Sequence[Channel] | None = None) -> FitSettings:
    """The pretraining of Poseidon-T, -B or -L.

    Args:
        size: of the model.
        channels: of the data, for the groups of the loss; by default density, velocity and pressure.

    Raises:
        ValueError: no model of this size was pretrained.
    """
    if size.upper() not in _PRETRAINING:
        raise ValueError(
            f"Expected a size that was pretrained, {', '.join(_PRETRAINING)}, got {size!r}. "
            "S was trained from scratch: scratch()."
        )
    numbers = _PRETRAINING[size.upper()]
    return FitSettings(
        epochs=numbers.epochs,
        batch_size=numbers.batch_size,
        lr=numbers.lr,
        schedule=Warmup(numbers.warmup, Cosine(warmup=0.0)),
        weight_decay=0.1,
        clip_norm=5.0,
        loss=_loss(channels),
        groups=PoseidonGroups(),
    )


def finetuning(size: str, channels: Sequence[Channel] | None = None, *, replaced: bool = True) -> FitSettings:
    """The finetuning of Poseidon-T, -B or -L to a new task.

    Args:
        size: of the model.
        channels: of the data, for the groups of the loss; by default density, velocity and pressure.
        replaced: whether embedding and recovery were replaced, for other channels; if not, they learn at the low rate
            of all that was pretrained.

    Raises:
        ValueError: no model of this size was finetuned.
    """
    if size.upper() not in _FINETUNING_BATCH:
        raise ValueError(f"Expected a size with weights to finetune, {', '.join(_FINETUNING_BATCH)}, got {size!r}.")
    return FitSettings(
        epochs=200,
        batch_size=_FINETUNING_BATCH[size.upper()],
        lr=5e-5,
        schedule=Cosine(warmup=0.0),
        weight_decay=1e-6,
        clip_norm=5.0,
        loss=_loss(channels),
        groups=PoseidonGroups(lr_embedding=5e-4 if replaced else None, lr_time=5e-4),
    )


def scratch(channels: Sequence[Channel] | None = None) -> FitSettings:
    """The training without pretraining that the paper compares with, of size S; needs validation data.

    Args:
        channels: of the data, for the groups of the loss; by default density, velocity and pressure.
    """
    return FitSettings(
        epochs=400,
        batch_size=40,
        lr=5e-4,
        schedule=Warmup(20, Cosine(warmup=0.0)),
        weight_decay=1e-6,
        clip_norm=5.0,
        loss=_loss(channels),
        groups=PoseidonGroups(),
        patience=40,
    )


def _loss(channels: Sequence[Channel] | None) -> GroupedRelativeLoss:
    return GroupedRelativeLoss(_PUBLIC_GROUPS) if channels is None else GroupedRelativeLoss.by_field(channels)
