"""Reading an irregular series with gaps into features, backwards in time."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class BackwardGRU(nn.Module):
    """A gated recurrent unit run from the last time to the first over [values, which are seen, time to the next].

    A time at which nothing is observed changes nothing.

    Args:
        channels: of the observations.
        hidden: number of features.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.cell = nn.GRUCell(2 * channels + 1, hidden)
        self.hidden = hidden

    def forward(
        self,
        ts: Float[Tensor, " time"] | Float[Tensor, "batch time"],
        values: Float[Tensor, "batch time channel"],
    ) -> Float[Tensor, "batch time hidden"]:
        """The features at each time: what is known from that time on.

        Args:
            ts: times, strictly increasing, shared or per sample.
            values: observations, NaN where missing.
        """
        ts = ts.expand(values.shape[:2])
        seen = ~torch.isnan(values)
        known = torch.where(seen, values, 0.0)
        # The last time with an observation is its own next one; times after it are never a gap's end.
        last = torch.where(seen.any(dim=2), ts, ts[:, :1]).amax(dim=1, keepdim=True)
        state, later, states = values.new_zeros(len(values), self.hidden), last, []
        for i in reversed(range(values.shape[1])):
            any_seen = seen[:, i].any(dim=1, keepdim=True)
            now = ts[:, i : i + 1]
            inputs = torch.cat([known[:, i], seen[:, i].to(values.dtype), (later - now).to(values.dtype)], dim=1)
            state = torch.where(any_seen, self.cell(inputs, state), state)
            later = torch.where(any_seen, now, later)
            states.append(state)
        return torch.stack(states[::-1], dim=1)
