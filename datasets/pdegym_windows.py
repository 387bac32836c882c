"""PDEGym's pairs as training windows: physical units, with the constants that make them the reference's items."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import replace
from itertools import accumulate

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
    """Windows t (2,), u (2, channel, x, y) over the pairs of one set or several, for ``fit`` and physical operators.

    t is 0 and the lead time, so that a Poseidon takes ``time_scale=1``, as the published models have. Values are
    physical, a pressure relative to its set's mean (``Quantity.shift``), as those models take it. The statistics are
    the sets' constants: an operator normalised by them sees the very items of the pairs. A steady map's answer is zero
    at t = 0, and its input a static channel.

    Attributes:
        pairs: the items.
        channels: of u, the static ones last.
        statistics: constants of the channels; the std of differences is taken to be that of the values.
        dt: the longest lead time.
        kind: "grid".
    """

    kind = "grid"

    def __init__(self, *pairs: PDEGymPairs) -> None:
        """Args:
            pairs: of sets with the same channels, constants and grid, such as the six of the pretraining.

        Raises:
            ValueError: none, or sets that differ.
        """
        if not pairs:
            raise ValueError("Expected PDEGymPairs, got none.")
        self.pairs = pairs
        for other in pairs[1:]:
            if _constants(other) != _constants(pairs[0]):
                raise ValueError(
                    f"Expected sets of one grid with the same channels and constants, got {pairs[0]!r} and {other!r}."
                )
        inputs, outputs = pairs[0].entry.inputs, pairs[0].entry.outputs
        answers = {quantity.name for quantity in outputs}
        self._static = tuple(quantity for quantity in inputs if quantity.name not in answers)
        self._inputs, self._outputs = _unshifted(inputs), _unshifted(outputs)
        self._quantities = _unshifted((*outputs, *self._static))
        self.channels = tuple(_channel(quantity, quantity.name not in answers) for quantity in self._quantities)
        self._ends = tuple(accumulate(len(of) for of in pairs))

    def __len__(self) -> int:
        """Number of items of all sets."""
        return self._ends[-1]

    def __getitem__(self, index: int) -> Window:
        """An item; raises as the pairs do."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected an index below {len(self)}, got {index}.")
        index %= len(self)
        number = bisect_right(self._ends, index)
        item = self.pairs[number][index - (self._ends[number - 1] if number else 0)]
        first = self.state(item.inputs[None])[0]
        last = torch.cat([in_units(self._outputs, item.labels), first[len(item.labels) :]])
        lead = 1.0 if item.time is None else item.time
        return Window(torch.tensor([0.0, lead], dtype=torch.float64), torch.stack([first, last]))

    @property
    def statistics(self) -> Statistics:
        """Of ``channels``."""
        mean = np.array([quantity.mean for quantity in self._quantities])
        std = np.array([quantity.std for quantity in self._quantities])
        return Statistics(mean, std, np.hypot(mean, std), np.zeros_like(mean), std, std)

    @property
    def dt(self) -> float:
        """The longest lead time; 1 for a steady map."""
        return max(_longest_lead(pairs) for pairs in self.pairs) or 1.0

    def state(self, inputs: Float[Tensor, "batch channel x y"]) -> Float[Tensor, "batch all x y"]:
        """The state at t = 0 in physical units, from an item's inputs."""
        names = [quantity.name for quantity in self._inputs]
        known = dict(zip(names, in_units(self._inputs, inputs).unbind(1)))
        zero = torch.zeros_like(inputs[:, 0])
        return torch.stack([known.get(quantity.name, zero) for quantity in self._quantities], dim=1)

    def labels(self, state: Float[Tensor, "batch all x y"]) -> Float[Tensor, "batch label x y"]:
        """The normalised prediction in a state."""
        return normalised(self._outputs, state[:, : len(self._outputs)])


def _constants(pairs: PDEGymPairs) -> tuple[object, ...]:
    channels = (pairs.entry.inputs, pairs.entry.outputs)
    return (pairs.shape, *([(q.name, q.mean, q.std) for q in quantities] for quantities in channels))


def _unshifted(quantities: tuple[Quantity, ...]) -> tuple[Quantity, ...]:
    return tuple(replace(quantity, shift=0.0) for quantity in quantities)


def _longest_lead(pairs: PDEGymPairs) -> float:
    constant = pairs.entry.time_constant
    return 1.0 if constant is None else float(np.ptp(pairs.pairs, axis=1).max()) / constant


def _channel(quantity: Quantity, static: bool) -> Channel:
    field, _, component = quantity.name.rpartition("_")
    vector = field == "velocity"
    return Channel(quantity.name, field=field if vector else "", component=component if vector else "", static=static)
