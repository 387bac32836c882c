"""The forecast that nothing changes: what any operator must beat."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from sciml.normalization import Normalization
from sciml.solvers.stepper import Step

from .physical import ChannelLike, channel_dicts, check_field, parse_channels


class Persistence(nn.Module):
    """y(t + dt) = y(t). It has no parameters and nothing to train.

    Args:
        channels: of the state, as ``Channel``, name or dict.
    """

    def __init__(self, channels: Sequence[ChannelLike]) -> None:
        super().__init__()
        self.channels = parse_channels(channels)
        self.config: dict[str, Any] = {"channels": channel_dicts(self.channels)}
        self.normalization = Normalization(len(self.channels))

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], u: Float[Tensor, "batch channel *space"]
    ) -> Step:
        """``u``, whatever the dt; on a grid of any dimension."""
        check_field(u, dt, self.channels)
        return Step(y=u)
