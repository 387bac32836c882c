"""The one view of every layout: trajectories with named channels, coordinates, times and parameters.

A reader (``pdebench.py``, ``the_well.py``, ...) opens a file, checks it and describes what lies where as a few
``Variable`` records; everything after that, from training windows to conversion, knows only this file. The records
hold names and numbers, never an open file, so that a ``Dataset`` can be pickled to a worker process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .channel import Axis, Channel
from .statistics import Statistics

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Variable:
    """Where the values of one field lie.

    Attributes:
        channels: its channels, in the order of the "channel" axis of the stored array (one for an array without it).
        axes: names of the stored array's axes, in stored order: "sample", "time", "channel", "node", or a spatial axis
            of the dataset. An absent "time" means static, an absent "sample" means shared by all trajectories, and a
            spatial axis of length 1 or absent is repeated.
        read: ``read(selection, trajectory) -> array`` reads the stored array at a tuple of slices and integers, one per
            stored axis. A module-level function, ``functools.partial`` or a picklable callable; it opens what it needs.
    """

    channels: tuple[Channel, ...]
    axes: tuple[str, ...]
    read: Callable[[tuple[Any, ...], int], np.ndarray]
