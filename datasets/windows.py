"""Training windows over trajectories: a torch ``Dataset`` of (t, u)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.utils import data

from .channel import Axis, Channel
from .dataset import Dataset
from .frame_reader import FrameReader
from .frames import AllPairs, WholeTrajectory, frame_plan
from .memory import dataset_from_arrays
from .open import open_dataset
from .selection import Place, places_of, require_alike
from .statistics import Statistics
from .training_statistics import training_statistics

Openable = str | Path | Dataset


class Window(NamedTuple):
    """Frames of one trajectory.

    Attributes:
        t: (time,) float64, in the dataset's time units.
        u: (time, channel, *space), or (time, node, channel) for particles; physical units.
    """

    t: Float[Tensor, "time"]
    u: Float[Tensor, "time *frame"]


class Trajectories(data.Dataset[Window]):
    """Windows, whole trajectories or pairs of frames of one file or several, in any supported layout.

    Files are opened where they are read, once in each worker process, and only the frames asked for are read. Nothing
    is normalised: operators do that, with ``statistics``.

    Attributes:
        datasets: the files.
        channels: what the channel axis holds, the parameter channels last.
        axes: spatial axes, as returned.
        shape: points along them, () for particles.
        kind: "grid" or "particles".
        time_units: "" where the files state none.
        notes: what was decided for the user, one sentence each.
    """

    def __init__(
        self,
        paths: Openable | Sequence[Openable],
        *,
        split: str | None = None,
        window: int | None = None,
        stride: int = 1,
        lead_times: int | AllPairs | None = None,
        names: Sequence[str] | None = None,
        parameters: Sequence[str] = (),
        space_stride: int = 1,
        max_trajectories: int | None = None,
        seed: int = 0,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Args:
            paths: one or several files of the same channels and grid, opened or not.
            split: "train", "valid" or "test"; all trajectories by default. Where a file has no splits, its trajectories
                are divided 80/10/10 by ``seed``.
            window: frames of an item; whole trajectories by default.
            stride: frames from one to the next in an item.
            lead_times: items are all pairs of frames up to that many strides apart, instead of windows.
            names: channels, in this order; all by default.
            parameters: physical parameters to append as constant channels.
            space_stride: keep every that many points along each spatial axis.
            max_trajectories: a random choice of that many, the same for the same ``seed``.
            seed: of the two choices above.
            dtype: of u.

        Raises:
            DatasetError: a file cannot be read.
            ValueError: files that do not belong together, no such split, name or parameter, or nothing left.
        """
        listed = [paths] if isinstance(paths, str | Path | Dataset) else list(paths)
        self.datasets = tuple(entry if isinstance(entry, Dataset) else open_dataset(entry) for entry in listed)
        require_alike(self.datasets, names, parameters)
        self._names = None if names is None else tuple(names)
        self._parameters, self._space_stride = tuple(parameters), space_stride
        self._split, self._seed = split, seed
        self._plan = frame_plan(window=window, stride=stride, lead_times=lead_times)
        self._places = places_of(self.datasets, split=split, limit=max_trajectories, seed=seed)
        counts = [self._plan.count(self._length(place)) for place in self._places]
        self._ends = np.cumsum(counts)
        self._count = int(self._ends[-1]) if counts else 0
        if not len(self):
            raise ValueError(self._nothing_left())
        fallback = [dataset.path.name for dataset in self.datasets if split is not None and not dataset.splits]
        divided = tuple(f"{name} has no splits: divided 80/10/10 by seed {seed}." for name in fallback)
        self.notes = tuple(note for dataset in self.datasets for note in dataset.notes) + divided
        self._readers = tuple(
            FrameReader(dataset, self._names, space_stride=space_stride, dtype=_numpy_dtype(dtype))
            for dataset in self.datasets
        )

    @classmethod
    def from_arrays(
        cls,
        u: np.ndarray | Tensor,
        times: np.ndarray | Tensor,
        *,
        channels: Sequence[Channel | str] | None = None,
        axes: Sequence[Axis] | None = None,
        parameters: Mapping[str, np.ndarray] | None = None,
        window: int | None = None,
        stride: int = 1,
    ) -> Trajectories:
        """Windows over an array (trajectory, time, channel, *space) in memory; ``dataset_from_arrays`` has more.

        Raises:
            ValueError: shapes that disagree.
        """
        array, clock = (np.asarray(torch.as_tensor(values).detach().cpu()) for values in (u, times))
        dataset = dataset_from_arrays(array, clock, channels=channels, axes=axes, parameters=parameters)
        dtype = torch.as_tensor(array[:0]).dtype
        return cls(dataset, window=window, stride=stride, dtype=dtype if dtype.is_floating_point else torch.float32)

    def __len__(self) -> int:
        """Number of items."""
        return self._count

    def __getitem__(self, index: int) -> Window:
        """An item.

        Raises:
            IndexError: there is no such item.
            DatasetError: the file is damaged there.
        """
        place, frames = self.locate(index)
        return Window(self._time(place, frames), self._frames(place, frames))

    def __getitems__(self, indices: Sequence[int]) -> list[Window]:
        """Items, read in the order in which they lie in the files."""
        order = sorted(range(len(indices)), key=lambda i: indices[i])
        items = {i: self[indices[i]] for i in order}
        return [items[i] for i in range(len(indices))]

    def locate(self, index: int) -> tuple[Place, slice]:
        """Where an item lies: the trajectory, and its frames (one frame alone stands for itself twice in pairs)."""
        if not -self._count <= index < self._count:
            raise IndexError(f"Expected an index below {self._count}, got {index}.")
        index %= self._count
        row = int(np.searchsorted(self._ends, index, side="right"))
        place = self._places[row]
        before = int(self._ends[row - 1]) if row else 0
        return place, self._plan.frames(self._length(place), index - before)

    def mask(self, index: int) -> np.ndarray | None:
        """Where an item's domain is solid or outside (True), (time, *space); None without a mask."""
        place, frames = self.locate(index)
        return self.datasets[place.file].read_mask(place.trajectory, frames, space_stride=self._space_stride)

    @cached_property
    def channels(self) -> tuple[Channel, ...]:
        """What the channel axis holds, parameter channels last."""
        first = self.datasets[0]
        by_name = {channel.name: channel for channel in first.channels}
        units = first.attributes.get("parameter_units", {})
        constant = tuple(Channel(name, units.get(name, ""), static=True) for name in self._parameters)
        return tuple(by_name.values() if self._names is None else (by_name[name] for name in self._names)) + constant

    @cached_property
    def statistics(self) -> Statistics:
        """Of ``channels`` over the training split: stored in the files, or else computed, once in this process.

        Over all trajectories where a file has no splits and none was asked for.
        """
        seed = None if self._split is None else self._seed
        return training_statistics(self.datasets, self._names, self._parameters, divided_by=seed)

    @property
    def kind(self) -> str:
        """ "grid" or "particles"."""
        return self.datasets[0].kind

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Spatial axes, as returned."""
        axes, step = self.datasets[0].axes, self._space_stride
        return (
            tuple(replace(axis, coordinates=axis.coordinates[::step]) for axis in axes) if self.kind == "grid" else axes
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each spatial axis; () for particles."""
        return tuple(-(-n // self._space_stride) for n in self.datasets[0].shape)

    @property
    def time_units(self) -> str:
        """ "" where the files state none."""
        return self.datasets[0].time_units

    @property
    def dt(self) -> float | None:
        """Time from one frame of an item to the next where it is always the same (to 1e-4), else None."""
        steps = [dataset.dt for dataset in self.datasets]
        if any(step is None or not math.isclose(step, steps[0] or 0.0, rel_tol=1e-4) for step in steps):
            return None
        return (steps[0] or 0.0) * self._plan.stride

    def __repr__(self) -> str:
        names = ", ".join(channel.name for channel in self.channels)
        files = ", ".join(dataset.path.name for dataset in self.datasets[:3]) + ", ..." * (len(self.datasets) > 3)
        return f"Trajectories({files}: {len(self)} items of {len(self._places)} trajectories; {names}; {self.shape})"

    def _length(self, place: Place) -> int:
        return int(self.datasets[place.file].lengths[place.trajectory])

    def _time(self, place: Place, frames: slice) -> Tensor:
        t = self.datasets[place.file].times_of(place.trajectory)[frames]
        return torch.from_numpy(t.repeat(2) if self._is_identity(frames) else t.copy())

    def _frames(self, place: Place, frames: slice) -> Tensor:
        dataset = self.datasets[place.file]
        u = self._readers[place.file].read(place.trajectory, frames)
        u = u.repeat(2, axis=0) if self._is_identity(frames) else u
        if self._parameters:
            u = self._with_parameters(u, dataset, place.trajectory)
        return torch.from_numpy(u)

    def _with_parameters(self, u: np.ndarray, dataset: Dataset, trajectory: int) -> np.ndarray:
        values = np.array([dataset.parameters[name][trajectory] for name in self._parameters], dtype=u.dtype)
        axis = 1 if self.kind == "grid" else u.ndim - 1
        shape = list(u.shape)
        shape[axis] = len(values)
        spread = values.reshape([-1 if i == axis else 1 for i in range(u.ndim)])
        return np.concatenate([u, np.broadcast_to(spread, shape)], axis=axis)

    def _is_identity(self, frames: slice) -> bool:
        return isinstance(self._plan, AllPairs) and frames.stop - frames.start == 1

    def _nothing_left(self) -> str:
        longest = max((self._length(place) for place in self._places), default=0)
        if isinstance(self._plan, WholeTrajectory) or not self._places:
            return f"Expected at least one trajectory, got none of {[str(d.path) for d in self.datasets]}."
        return (
            f"Expected trajectories long enough for {self._plan}, got at most {longest} frames. Take a smaller window."
        )


def _numpy_dtype(dtype: torch.dtype) -> np.dtype:
    known = {torch.float16: np.float16, torch.float32: np.float32, torch.float64: np.float64}
    if dtype not in known:
        raise ValueError(f"Expected dtype torch.float16, float32 or float64, got {dtype}. Convert the windows instead.")
    return np.dtype(known[dtype])
