"""The one view of every layout: trajectories with named channels, coordinates, times and parameters.

A reader (``pdebench.py``, ``the_well.py``, ...) opens a file, checks it, and describes what lies where as a few
``Variable`` records; everything after that, from training windows to conversion, knows only this file. The records
hold names and numbers, never an open file, so that a ``Dataset`` can be pickled to a worker process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np

from .channel import Axis, Channel
from .statistics import Statistics

Selection = tuple[int | slice, ...]


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
        channels: its channels, in the order of the stored "channel" axes flattened row-major (one without such an axis).
        axes: names of the stored axes, in stored order: "sample", "time", "channel" (twice for a tensor field), "node",
            or a spatial axis of the dataset. No "time" means static; no "sample" means one array per trajectory, or
            shared by all; an absent spatial axis, or one of length 1, is repeated.
        source: reads it.
    """

    channels: tuple[Channel, ...]
    axes: tuple[str, ...]
    source: Source


@dataclass(frozen=True, eq=False)
class Dataset:
    """Trajectories of one file (or of one directory that a layout treats as one).

    Attributes:
        path: what was opened.
        layout: "native", "pdebench", "the_well", "pdegym", "lagrangebench", "gns", "neuraloperator" or "fno".
        kind: "grid": frames are (channel, *space); "particles": (node, channel).
        variables: the fields; the dataset's channels are theirs, in order.
        axes: spatial axes in canonical order (for particles: the box, coordinates holding its two bounds).
        times: (time,), or (trajectory, time) where trajectories keep their own clocks; at least as long as the longest
            trajectory. Steady maps have times (0, 1): the input and the answer.
        lengths: frames of each trajectory, (trajectory,).
        parameters: values of each physical parameter, (trajectory,).
        splits: trajectories of each split, sorted; disjoint, possibly not exhaustive.
        nodes: particles of each trajectory, (trajectory,); None for grids.
        mask: where the domain is solid or outside (True), static or not; None without one.
        statistics: those stored in the file, of ``channels``; None where there are none.
        time_units: "" where the file states none.
        attributes: what else the file says of itself.
        notes: what the reader mended on the way, one sentence each.
    """

    path: Path
    layout: str
    variables: tuple[Variable, ...]
    axes: tuple[Axis, ...]
    times: np.ndarray
    lengths: np.ndarray
    kind: Literal["grid", "particles"] = "grid"
    parameters: Mapping[str, np.ndarray] = field(default_factory=dict)
    splits: Mapping[str, np.ndarray] = field(default_factory=dict)
    nodes: np.ndarray | None = None
    mask: Variable | None = None
    statistics: Statistics | None = None
    time_units: str = ""
    attributes: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def channels(self) -> tuple[Channel, ...]:
        """All channels, dynamic and static, in the order ``read`` returns them."""
        return tuple(channel for variable in self.variables for channel in variable.channels)

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each spatial axis; () for particles."""
        return tuple(len(axis.coordinates) for axis in self.axes) if self.kind == "grid" else ()

    def __len__(self) -> int:
        """Number of trajectories."""
        return len(self.lengths)

    def times_of(self, trajectory: int) -> np.ndarray:
        """The times of a trajectory's frames, (frames,) float64."""
        row = self.times if self.times.ndim == 1 else self.times[trajectory]
        return np.asarray(row[: self.lengths[trajectory]], dtype=np.float64)

    @property
    def dt(self) -> float | None:
        """The time between frames where it is the same everywhere (to 1e-4), else None."""
        gaps = np.diff(self.times[..., : int(self.lengths.max(initial=0))], axis=-1)
        if gaps.size == 0 or not np.allclose(gaps, gaps.flat[0], rtol=1e-4, atol=0):
            return None
        return float(gaps.mean())

    def read(
        self,
        trajectory: int,
        frames: slice = slice(None),
        *,
        names: Sequence[str] | None = None,
        space_stride: int = 1,
    ) -> np.ndarray:
        """Frames of one trajectory: (time, channel, *space), or (time, node, channel) for particles.

        Nothing but the frames and fields asked for is read, each field by one slice. Static channels are repeated along
        time. The dtype is that of the widest field, float32 at least.

        Args:
            trajectory: its number, 0 <= trajectory < len(self).
            frames: which frames; a slice with positive step.
            names: channels to return, in this order; all by default.
            space_stride: keep every that many points of each spatial axis.

        Raises:
            IndexError: no such trajectory.
            KeyError: no such channel.
        """
        raise NotImplementedError
