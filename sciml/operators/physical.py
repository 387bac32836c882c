"""What every operator does around its network: named channels in, normalised fields inside, physical units out."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.normalization import Normalization, shaped

ChannelLike: TypeAlias = Channel | str | Mapping[str, Any]
Network: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""(normalised u (batch, channel, *space), relative dt (batch,)) -> (batch, dynamic channel, *space)."""


def parse_channels(channels: Iterable[ChannelLike]) -> tuple[Channel, ...]:
    """Channels given as such, by name, or as the dicts of a stored configuration.

    Raises:
        ValueError: there is none, none that changes in time, or a name comes twice.
    """
    if isinstance(channels, str):
        raise ValueError(f"Expected channels as a list, got the name {channels!r}. Write [{channels!r}].")
    parsed = tuple(_parse(channel) for channel in channels)
    names = [channel.name for channel in parsed]
    if len(set(names)) < len(names):
        raise ValueError(f"Expected channels of different names, got {names}.")
    if all(channel.static for channel in parsed):
        raise ValueError(f"Expected at least one channel that is not static, got {names or 'none'}.")
    return parsed


def channel_dicts(channels: Iterable[Channel]) -> list[dict[str, Any]]:
    """Channels as JSON can hold them; ``parse_channels`` takes them back."""
    return [asdict(channel) for channel in channels]


def dynamic_channels(channels: Sequence[Channel]) -> list[int]:
    """The positions of the channels that change in time: those an operator predicts."""
    return [k for k, channel in enumerate(channels) if not channel.static]


def check_field(u: Tensor, dt: Tensor, channels: Sequence[Channel], dim: int | None = None) -> None:
    """Refuse a state that is not (batch, channel, *space) with these channels and ``dim`` axes of space.

    Raises:
        ValueError: the rank, the number of channels or the length of dt is another.
    """
    axes = "*space" if dim is None else ", ".join(("depth", "height", "width")[3 - dim :])
    expected = f"Expected u of shape (batch, {len(channels)}, {axes}), got {tuple(u.shape)}."
    if dim is not None and u.dim() == dim + 1:
        raise ValueError(f"{expected} Add the missing axis: u[None] for the batch, u[:, None] for the channel.")
    if u.dim() < 2 or (dim is not None and u.dim() != dim + 2):
        raise ValueError(expected)
    if u.shape[1] != len(channels):
        raise ValueError(f"{expected} The channels are {', '.join(channel.name for channel in channels)}.")
    if dt.shape != u.shape[:1]:
        raise ValueError(f"Expected dt of shape ({len(u)},), one per sample of u, got {tuple(dt.shape)}.")


def advance(
    network: Network,
    dt: Float[Tensor, " batch"],
    u: Float[Tensor, "batch channel *space"],
    *,
    channels: Sequence[Channel],
    normalization: Normalization,
    residual: bool = True,
) -> Float[Tensor, "batch channel *space"]:
    """The state after dt, in the units and dtype of ``u``; static channels are the very numbers of ``u``.

    The residual form u + (dt / dt_scale) delta_std network(...) is the identity at dt = 0, as a flow is; the direct
    form mean + std network(...) is for steady maps and steps so long that u says little of the result.
    """
    lead = normalization.lead(dt)
    output = network(normalization.encode(u), lead)
    dynamic = dynamic_channels(channels)
    old = take(u, dynamic)
    if residual:
        scale = shaped(lead, u, dim=0) * shaped(take(normalization.delta_std, dynamic, dim=0), u)
        new = old + scale.to(old.dtype) * output.to(old.dtype)
    else:
        mean, std = (shaped(take(values, dynamic, dim=0), u) for values in (normalization.mean, normalization.std))
        new = mean.to(old.dtype) + std.to(old.dtype) * output.to(old.dtype)
    return replace_channels(u, new, dynamic)


def take(values: Tensor, positions: Sequence[int], dim: int = 1) -> Tensor:
    """Some positions of an axis, by slices: an index tensor would be copied to the device in every step."""
    if len(positions) == values.shape[dim]:
        return values
    return torch.cat([values.narrow(dim, k, 1) for k in positions], dim=dim)


def replace_channels(u: Tensor, new: Tensor, positions: Sequence[int]) -> Tensor:
    """``u`` with the channels at ``positions`` replaced by those of ``new``."""
    if len(positions) == u.shape[1]:
        return new
    columns = list(u.split(1, dim=1))
    for position, column in zip(positions, new.split(1, dim=1)):
        columns[position] = column
    return torch.cat(columns, dim=1)


def _parse(channel: ChannelLike) -> Channel:
    if isinstance(channel, Channel):
        return channel
    if isinstance(channel, str):
        return Channel(channel)
    try:
        return Channel(**channel)
    except TypeError as error:
        raise ValueError(f"Expected a Channel, a name or a dict of a Channel's attributes, got {channel!r}.") from error
