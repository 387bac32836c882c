"""The one view of every layout: trajectories with named channels, coordinates, times and parameters.

A reader (``pdebench.py``, ``the_well.py``, ...) opens a file, checks it, and describes what lies where as a few
``Variable`` records; everything after that, from training windows to conversion, knows only this file. The records
hold names and numbers, never an open file, so that a ``Dataset`` can be pickled to a worker process.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from .channel import Axis, Channel
from .reading import read_variable, stack
from .statistics import Statistics
from .variable import Variable

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True, eq=False)
class Dataset:
    """Trajectories of one file (or of one directory that a layout treats as one).

    Attributes:
        path: what was opened.
        layout: "native", "pdebench", "the_well", "pdegym", "lagrangebench", "gns", "giorom", "nclaw",
            "neuraloperator" or "fno".
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
            ValueError: a negative step or stride.
            DatasetError: the file is damaged there.
        """
        time = self._window(trajectory, frames)
        picked = self._picked(names)
        blocks = []
        for number in dict.fromkeys(number for number, _ in picked):
            places = {place: component for place, (home, component) in enumerate(picked) if home == number}
            low, high = min(places.values()), max(places.values()) + 1
            space = self._space(space_stride)
            block = read_variable(self.variables[number], trajectory, time, space, slice(low, high))
            blocks.append((block, {place: component - low for place, component in places.items()}))
        shape = (_count(time), len(picked), *self._points(trajectory, space_stride))
        return stack(blocks, shape, channel_axis=1 if self.kind == "grid" else -1)

    def read_mask(self, trajectory: int, frames: slice = slice(None), *, space_stride: int = 1) -> np.ndarray | None:
        """Where the domain is solid or outside (True), (time, *space) bool; None for a dataset without a mask.

        Raises: as ``read``.
        """
        time = self._window(trajectory, frames)
        if self.mask is None:
            return None
        block = read_variable(self.mask, trajectory, time, self._space(space_stride))[:, 0]
        return np.broadcast_to(block.astype(bool), (_count(time), *self._points(trajectory, space_stride)))

    def to_xarray(self) -> xarray.Dataset:
        """The dataset for people: dims (trajectory, time, *space), a variable per channel, read when looked at."""
        from .xarray_view import xarray_view

        return xarray_view(self)

    def _window(self, trajectory: int, frames: slice) -> slice:
        if not 0 <= trajectory < len(self):
            raise IndexError(f"Expected trajectory in 0..{len(self) - 1}, got {trajectory}.")
        start, stop, step = frames.indices(int(self.lengths[trajectory]))
        if step < 1:
            raise ValueError(f"Expected frames with a positive step, got {frames}. Reverse the result instead.")
        return slice(start, max(start, stop), step)

    def _picked(self, names: Sequence[str] | None) -> list[tuple[int, int]]:
        """(variable, component) of each channel to return."""
        home = {c.name: (number, i) for number, v in enumerate(self.variables) for i, c in enumerate(v.channels)}
        unknown = [name for name in names or () if name not in home]
        if unknown:
            raise KeyError(f"No channel {unknown[0]!r} in {self.path}; there are {list(home)}.")
        return [home[name] for name in home] if names is None else [home[name] for name in names]

    def _space(self, stride: int) -> dict[str, slice]:
        if stride < 1:
            raise ValueError(f"Expected space_stride of 1 or more, got {stride}.")
        return (
            {axis.name: slice(None, None, stride) for axis in self.axes}
            if self.kind == "grid"
            else {"node": slice(None)}
        )

    def _points(self, trajectory: int, stride: int) -> tuple[int, ...]:
        if self.nodes is not None:
            return (int(self.nodes[trajectory]),)
        return tuple(-(-n // stride) for n in self.shape)


def _count(window: slice) -> int:
    return len(range(window.start, window.stop, window.step))
