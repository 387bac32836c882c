"""PDEGym's pairs as training windows: physical units, with the constants that make them the reference's items."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import data

from .channel import Channel
from .pdegym_fields import in_units, normalised
from .pdegym_pairs import PDEGymPairs
from .pdegym_record import Quantity
from .statistics import Statistics
from .windows import Window


class PDEGymWindows(data.Dataset[Window]):
    """Windows t (2,), u (2, channel, x, y) over pairs, for ``fit`` and operators that take physical units.

    t is 0 and the lead time, so that a Poseidon takes ``time_scale=1``, as the published models have. The statistics
    are the set's constants: an operator normalised by them sees the very items of ``pairs``. A steady map's answer is
    zero at t = 0, and its input a static channel.

    Attributes:
        pairs: the items.
        channels: of u, the static ones last.
        statistics: mean and std of ``pairs.entry``; the std of differences is taken to be that of the values.
        dt: the longest lead time.
        kind: "grid".
    """

    kind = "grid"

    def __init__(self, pairs: PDEGymPairs) -> None:
        self.pairs = pairs
        inputs, outputs = pairs.entry.inputs, pairs.entry.outputs
        answers = {quantity.name for quantity in outputs}
        self._static = tuple(quantity for quantity in inputs if quantity.name not in answers)
        self._quantities = (*outputs, *self._static)
        self._from = [quantity.name for quantity in inputs]
        self.channels = tuple(_channel(quantity, quantity in self._static) for quantity in self._quantities)

    def __len__(self) -> int:
        """Number of items."""
        return len(self.pairs)

    def __getitem__(self, index: int) -> Window:
        """An item; raises as ``pairs`` does."""
        item = self.pairs[index]
        first = self.state(item.inputs[None])[0]
        last = torch.cat([self.pairs.physical(item.labels), first[len(item.labels) :]])
        lead = 1.0 if item.time is None else item.time
        return Window(torch.tensor([0.0, lead], dtype=torch.float64), torch.stack([first, last]))

    @property
    def statistics(self) -> Statistics:
        """Of ``channels``."""
        mean = np.array([quantity.mean + quantity.shift for quantity in self._quantities])
        std = np.array([quantity.std for quantity in self._quantities])
        none = np.zeros_like(mean)
        return Statistics(mean, std, np.hypot(mean, std), none, std, std)

    @property
    def dt(self) -> float:
        """The longest lead time; 1 for a steady map."""
        constant = self.pairs.entry.time_constant
        lead = 1.0 if constant is None else float(np.ptp(self.pairs.pairs, axis=1).max()) / constant
        return lead or 1.0

    def state(self, inputs: Float[Tensor, "batch channel x y"]) -> Float[Tensor, "batch all x y"]:
        """The state at t = 0 in physical units, from an item's inputs."""
        known = dict(zip(self._from, in_units(self.pairs.entry.inputs, inputs).unbind(1)))
        zero = torch.zeros_like(inputs[:, 0])
        return torch.stack([known.get(quantity.name, zero) for quantity in self._quantities], dim=1)

    def labels(self, state: Float[Tensor, "batch all x y"]) -> Float[Tensor, "batch label x y"]:
        """The normalised prediction in a state."""
        outputs = self.pairs.entry.outputs
        return normalised(outputs, state[:, : len(outputs)])


def _channel(quantity: Quantity, static: bool) -> Channel:
    field, _, component = quantity.name.rpartition("_")
    vector = field == "velocity"
    return Channel(quantity.name, field=field if vector else "", component=component if vector else "", static=static)
