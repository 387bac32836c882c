"""Where the values of a field lie in a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from .channel import Channel

Selection = tuple[int | slice, ...]


@runtime_checkable
class Source(Protocol):
    """A stored array: picklable, opened lazily, read in part."""

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        """The array at ``selection``, one entry per stored axis; ``trajectory`` picks the group or file where each
        trajectory has its own (the "sample" axis, where there is one, is in ``selection``)."""
        ...


@dataclass(frozen=True)
class Variable:
    """Where the values of one field lie.

    Attributes:
        channels: in the order of the stored "channel" axes flattened row-major; one where there is no such axis.
        axes: names of the stored axes, in stored order: "sample", "time", "channel" (twice for a tensor field), "node",
            or a spatial axis of the dataset. No "time" means static; no "sample" means one array per trajectory, or
            shared by all; an absent spatial axis, or one of length 1, is repeated.
        source: reads it.
    """

    channels: tuple[Channel, ...]
    axes: tuple[str, ...]
    source: Source
