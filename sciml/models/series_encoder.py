"""Reading an irregular series with gaps into features, backwards in time."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn


class BackwardGRU(nn.Module):
    """A gated recurrent unit run from the last time to the first over [values, which are seen, time to the next].

    A time at which nothing is observed changes nothing, and costs nothing where the whole batch has as many of them:
    the unit runs over the observed times alone.

    Args:
        channels: of the observations.
        hidden: number of features.
    """

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.unit = nn.GRU(2 * channels + 1, hidden, batch_first=True)
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
        inputs, observed = observations(values)
        after = observed.flip(1).cumsum(1).flip(1)  # how many observed times are left from each time on
        # Backwards from the last observed time; rows with fewer of them run on over others, which nothing reads.
        order = observed.flip(1).to(torch.uint8).argsort(dim=1, descending=True, stable=True)
        order = values.shape[1] - 1 - order[:, : max(int(after[:, 0].max()), 1)]
        times = ts.expand(values.shape[:2]).gather(1, order)
        gaps = torch.cat([torch.zeros_like(times[:, :1]), times[:, :-1] - times[:, 1:]], dim=1).to(values.dtype)
        rows = torch.arange(len(values), device=values.device)[:, None]
        states, _ = self.unit(torch.cat([inputs[rows, order], gaps[..., None]], dim=2))
        states = nn.functional.pad(states, (0, 0, 1, 0))  # nothing is known: zero
        return states[rows, after]


def observations(
    values: Float[Tensor, "batch time channel"],
) -> tuple[Float[Tensor, "batch time features"], Bool[Tensor, "batch time"]]:
    """[values with zeros for the missing ones, which are seen], and the times at which anything is."""
    seen = ~torch.isnan(values)
    return torch.cat([torch.where(seen, values, 0.0), seen.to(values.dtype)], dim=2), seen.any(dim=2)
