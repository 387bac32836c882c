"""What can be wrong with a training before it starts, and the one error for what goes wrong later."""

from __future__ import annotations

from collections.abc import Sized
from typing import Any

from torch import nn

from sciml.datasets.channel import Channel

from .settings import FitSettings


class TrainingError(RuntimeError):
    """Training cannot go on: what happened, where, and what to change."""


def check_operator(operator: nn.Module, train: Any) -> None:
    """Refuse an operator that does not fit the data.

    Raises:
        ValueError: it has other channels, all are static, or it has nothing to train.
    """
    for name in ("channels", "normalization"):
        if not hasattr(operator, name):
            raise ValueError(
                f"Expected an operator with the attribute {name}, got a {type(operator).__name__} without it."
            )
    check_channels(tuple(operator.channels), tuple(train.channels), "train")  # type: ignore[arg-type]
    if not any(parameter.requires_grad for parameter in operator.parameters()):
        raise ValueError(f"Expected an operator with parameters to train, got a {type(operator).__name__} without any.")


def check_channels(
    expected: tuple[Channel, ...], found: tuple[Channel, ...], name: str, owner: str = "the operator"
) -> None:
    """Refuse data whose channels are not, in order, those expected; units are compared where both are known."""
    if _identities(expected) != _identities(found):
        build = f"Build the operator with channels={name}.channels, or c" if owner == "the operator" else "C"
        raise ValueError(
            f"Expected {name} to have {owner}'s channels {_listed(expected)}, got {_listed(found)}. "
            f"{build}hoose and order those of the data with names=[...]."
        )
    for mine, theirs in zip(expected, found):
        if mine.units and theirs.units and mine.units != theirs.units:
            raise ValueError(
                f"Expected channel {mine.name} of {name} in {mine.units}, {owner}'s units, got {theirs.units}."
            )


def check_windows(data: Sized, settings: FitSettings, name: str, frames: int) -> None:
    """Refuse data without windows, or with windows of fewer than ``frames`` frames.

    Raises:
        ValueError: with what to pass to ``Trajectories``.
    """
    if len(data) == 0:
        raise ValueError(
            f"Expected {name} to hold at least one window, got none. Choose another split, or a shorter window."
        )
    t, u = data[0]  # type: ignore[index]
    if len(t) != len(u):
        raise ValueError(f"Expected as many times as frames in {name}[0], got {len(t)} and {len(u)}.")
    if len(t) < frames:
        raise ValueError(
            f"Expected windows of at least {frames} frames in {name} (unroll={settings.unroll}, "
            f"pushforward={settings.pushforward}), got {len(t)}. Make the data with window={frames}, or unroll less."
        )


def _identities(channels: tuple[Channel, ...]) -> list[tuple[str, bool]]:
    return [(channel.name, channel.static) for channel in channels]


def _listed(channels: tuple[Channel, ...]) -> str:
    return "(" + ", ".join(channel.name + " (static)" * channel.static for channel in channels) + ")"
