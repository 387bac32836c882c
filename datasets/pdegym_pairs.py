"""PDEGym as Poseidon is trained and scored on it: normalised pairs of frames of a trajectory, and their lead time.

M. Herde et al., "Poseidon: Efficient Foundation Models for PDEs", NeurIPS 2024, sections 2 (all2all training) and 3.
Lengths, order and values are those of its reference code.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils import data

from .grids import tail_splits
from .pdegym_catalogue import pdegym_set
from .pdegym_fields import Scale, in_units, truncated
from .pdegym_files import missing_shards, require_files
from .pdegym_reader import PDEGymReader
from .pdegym_record import Group, PDEGymSet

_FRACTIONS = {-1: 1, -2: 2, -8: 8}


class PDEGymItem(NamedTuple):
    """A pair of frames in normalised units.

    Attributes:
        inputs: (channel, x, y) float32.
        labels: (channel, x, y) float32, the frame to predict.
        time: lead time, in units of the set's time constant; None for a steady map without one.
        mask: True where the label is *not* to be predicted: (channel,), or (1, x, y) for a domain with a hole; None
            for sets that have none.
    """

    inputs: Float[Tensor, "channel x y"]
    labels: Float[Tensor, "label x y"]
    time: float | None
    mask: Bool[Tensor, " label"] | Bool[Tensor, "1 x y"] | None


class PDEGymBatch(NamedTuple):
    """Items of a batch; time (batch,) float32, the others with the batch's axis in front."""

    inputs: Float[Tensor, "batch channel x y"]
    labels: Float[Tensor, "batch label x y"]
    time: Float[Tensor, " batch"] | None
    mask: Bool[Tensor, "batch label"] | Bool[Tensor, "batch 1 x y"] | None


class PDEGymPairs(data.Dataset[PDEGymItem]):
    """Pairs of frames of a PDEGym set, the first frame outermost: (0, 0), (0, 2), ..., (2, 2), ... for stride 2.

    Only the two frames of an item are read. Files are opened in the process that reads, so any number of ``DataLoader``
    workers will do, with ``collate_fn=collate``.

    Attributes:
        entry: the set, with its channels, groups and constants.
        paths: the file, or its shards.
        count: trajectories in them.
        split: "train", "valid" or "test".
        pairs: (pair, 2), the frames of each pair of a trajectory.
        shape: points along each axis of an item.
        notes: where the files are not the published ones, a sentence each.
    """

    def __init__(
        self,
        name: str | PDEGymSet,
        folder: str | Path,
        *,
        split: str = "train",
        trajectories: int = -1,
        max_num_time_steps: int | None = None,
        time_step_size: int | None = None,
        fix_input_to_time_step: int | None = None,
        allowed_time_transitions: Sequence[int] | None = None,
        resolution: int | None = None,
        just_velocities: bool = False,
        transpose: bool = False,
    ) -> None:
        """Args:
            name: of the set: dotted, the paper's or the file's; ``.out``, ``.time`` and ``.tracer`` may follow.
            folder: where its file or its shards are.
            split: "train", "valid" (or "val") or "test".
            trajectories: of the training split: the first so many; -1 for all, -2 for half, -8 for an eighth.
            max_num_time_steps: strides from the first to the last frame considered; the set's own by default.
            time_step_size: the stride, in frames; the set's own by default.
            fix_input_to_time_step: only pairs from this frame, to those 1, ..., max_num_time_steps strides later.
            allowed_time_transitions: only pairs that many strides apart.
            resolution: points along each axis, from the Fourier series of a periodic field.
            just_velocities: leave out the constant density and pressure of an incompressible flow.
            transpose: exchange the axes of space.

        Raises:
            DatasetError: a file is missing, damaged, or of another set.
            ValueError: there is no such set, or an option does not fit it.
        """
        entry = pdegym_set(name) if isinstance(name, str) else name
        self.entry = _velocities(entry) if just_velocities else entry
        self.split = "valid" if split == "val" else split
        self.paths = require_files(entry, folder)
        self._reader = PDEGymReader(entry, self.paths)
        self.count = self._reader.count
        self._numbers = self._choose(trajectories)
        self.pairs = _frame_pairs(
            entry,
            self._reader.frames,
            steps=max_num_time_steps,
            stride=time_step_size,
            start=fix_input_to_time_step,
            allowed=allowed_time_transitions,
        )
        self._swap, self._size = entry.swapped != transpose, _checked_size(entry, self._reader.points, resolution)
        points = self._reader.points[::-1] if self._swap else self._reader.points
        self.shape = points if self._size is None else (self._size, self._size)
        self._inputs, self._outputs = Scale.of(self.entry.inputs, points), Scale.of(self.entry.outputs, points)
        self.notes = tuple(self._remarks())

    def __len__(self) -> int:
        """Pairs of all trajectories of the split."""
        return len(self._numbers) * len(self.pairs)

    def __getitem__(self, index: int) -> PDEGymItem:
        """An item.

        Raises:
            IndexError: there is no such item.
            DatasetError: the file is damaged there.
        """
        trajectory, first, last = self.locate(index)
        # One by one: HDF5 takes forty times as long for two frames of a chunked array at once.
        frames = [self._reader.variable(trajectory, frame) for frame in dict.fromkeys((first, last))]
        named = {name: self._reader.named(name, trajectory) for name in {*self._inputs.named, *self._outputs.named}}
        if self._swap:
            frames = [frame.swapaxes(-1, -2) for frame in frames]
            named = {name: values.T for name, values in named.items()}
        inputs, labels = self._inputs.of_frame(frames[0], named), self._outputs.of_frame(frames[-1], named)
        mask = None
        if self.entry.masks == "domain":
            mask = torch.from_numpy(inputs[:1] == 1)
            labels[np.broadcast_to(mask.numpy(), labels.shape)] = 1.0
        elif self.entry.masks:
            mask = self.channel_mask.clone()
        x, y = (truncated(torch.from_numpy(values), self._size) for values in (inputs, labels))
        return PDEGymItem(x, y, self._lead(first, last), mask)

    def locate(self, index: int) -> tuple[int, int, int]:
        """An item's trajectory, counted over all files, and its two frames."""
        if not -len(self) <= index < len(self):
            raise IndexError(f"Expected an index below {len(self)}, got {index}.")
        row, pair = divmod(index % len(self), len(self.pairs))
        first, last = self.pairs[pair].tolist()
        return int(self._numbers[row]), first, last

    @property
    def groups(self) -> tuple[int, ...]:
        """Label channels in each group that shares an error, as the metrics and the loss take them."""
        return tuple(group.channels for group in self.entry.groups)

    @property
    def slices(self) -> list[int]:
        """Bounds of the groups: ``channel_slice_list_normalized_loss`` of a Poseidon architecture."""
        return [0, *np.cumsum(self.groups).tolist()]

    @property
    def channel_mask(self) -> Bool[Tensor, " label"]:
        """True for label channels that are not to be predicted."""
        return torch.tensor([quantity.name in self.entry.masked for quantity in self.entry.outputs])

    def physical(self, labels: Float[Tensor, "*batch label x y"]) -> Float[Tensor, "*batch label x y"]:
        """Normalised labels or predictions in the units of the file."""
        return in_units(self.entry.outputs, labels)

    def __repr__(self) -> str:
        channels = ", ".join(quantity.name for quantity in self.entry.inputs)
        answers = ", ".join(quantity.name for quantity in self.entry.outputs)
        size = f"{len(self)} pairs of {len(self._numbers)} trajectories"
        return f"PDEGymPairs({self.entry.id}, {self.split}: {size}; {channels} -> {answers}; {self.shape})"

    def _choose(self, trajectories: int) -> np.ndarray:
        splits = tail_splits(self.count, valid=self.entry.valid, test=self.entry.test)
        if self.split not in splits:
            raise ValueError(f"Expected split to be one of {sorted(splits)}, got {self.split!r}.")
        numbers = splits[self.split]
        if trajectories < 1 and trajectories not in _FRACTIONS:
            raise ValueError(
                f"Expected trajectories > 0, or -1 (all), -2 (half) or -8 (an eighth), got {trajectories}."
            )
        if self.split != "train":
            return numbers
        if trajectories > len(numbers):
            found = f"{len(numbers)} of {self.count} trajectories in {self.paths[0].parent}"
            raise ValueError(
                f"Expected trajectories <= {len(numbers)}, the training split of {found}, got {trajectories}."
            )
        return numbers[: trajectories if trajectories > 0 else len(numbers) // _FRACTIONS[trajectories]]

    def _lead(self, first: int, last: int) -> float | None:
        if self.entry.time_constant is None:
            return 1.0 if self.entry.timed else None
        return (last - first) / self.entry.time_constant

    def _remarks(self) -> list[str]:
        entry, remarks = self.entry, []
        if self.count != entry.count:
            remarks.append(f"{self.count} trajectories of {entry.count}: the splits are not those published.")
        if self.count <= entry.valid + entry.test:
            remarks.append(f"Too few for {entry.valid} to validate and {entry.test} to test: a tenth each.")
        if missing := missing_shards(self.paths):
            remarks.append(f"No shards {', '.join(map(str, missing))}: trajectories follow one another without them.")
        return remarks


def collate(items: Sequence[PDEGymItem]) -> PDEGymBatch:
    """Items as a batch, for ``DataLoader(pairs, collate_fn=collate)``.

    Raises:
        ValueError: some have a lead time or a mask, others have not.
    """
    inputs, labels, times, masks = zip(*items)
    for name, values in (("lead time", times), ("mask", masks)):
        if len({value is None for value in values}) > 1:
            raise ValueError(f"Expected all items of a batch to have a {name}, or none, got both. Batch sets apart.")
    time = None if times[0] is None else torch.tensor(times, dtype=torch.float32)
    mask = None if masks[0] is None else torch.stack(masks)
    return PDEGymBatch(torch.stack(inputs), torch.stack(labels), time, mask)


def final_pairs(name: str, folder: str | Path, *, split: str = "test") -> PDEGymPairs:
    """What the paper scores on: from the first frame to the last of the horizon (14, or 20 for ``.out``), one item a
    trajectory.

    Raises:
        DatasetError, ValueError: as ``PDEGymPairs``.
    """
    entry = pdegym_set(name)
    if entry.steady:
        return PDEGymPairs(name, folder, split=split)
    return PDEGymPairs(
        name,
        folder,
        split=split,
        max_num_time_steps=1,
        time_step_size=entry.last_frame,
        allowed_time_transitions=[1],
    )


def _frame_pairs(
    entry: PDEGymSet,
    frames: int,
    *,
    steps: int | None,
    stride: int | None,
    start: int | None,
    allowed: Sequence[int] | None,
) -> np.ndarray:
    """(pair, 2): the frames of each pair; (0, 0) for a steady map."""
    given = {
        "max_num_time_steps": steps,
        "time_step_size": stride,
        "fix_input_to_time_step": start,
        "allowed_time_transitions": allowed,
    }
    if entry.steady:
        if named := [name for name, value in given.items() if value is not None]:
            raise ValueError(f"Expected no {named[0]} for the steady map {entry.id}, got {given[named[0]]}.")
        return np.zeros((1, 2), dtype=int)
    steps, stride = entry.steps if steps is None else steps, entry.stride if stride is None else stride
    if steps < 1 or stride < 1 or (start or 0) < 0:
        raise ValueError(f"Expected time steps >= 1 from a frame >= 0, got {given}.")
    if (start or 0) + steps * stride >= frames:
        reached = f"{steps} steps of {stride} from frame {start or 0}"
        raise ValueError(f"Expected frames up to {frames - 1}, the last of {entry.id}, got {reached}. Take fewer.")
    if start is not None:
        if allowed is not None:
            raise ValueError("Expected fix_input_to_time_step or allowed_time_transitions, got both.")
        return np.array([(start, start + stride * k) for k in range(1, steps + 1)])
    leads = range(steps + 1) if allowed is None else set(allowed)
    pairs = [(i * stride, j * stride) for i in range(steps + 1) for j in range(i, steps + 1) if j - i in leads]
    if not pairs:
        raise ValueError(f"Expected allowed_time_transitions among 0 to {steps}, got {list(allowed or ())}.")
    return np.array(pairs)


def _velocities(entry: PDEGymSet) -> PDEGymSet:
    """The set without the constant density and pressure."""
    if not entry.incompressible:
        raise ValueError(f"Expected just_velocities for an incompressible set alone, got it for {entry.id}.")
    kept = tuple(quantity for quantity in entry.inputs if quantity.name not in ("density", "pressure"))
    groups: tuple[Group, ...] = tuple(group for group in entry.groups if group.name not in ("rho", "p"))
    return replace(entry, inputs=kept, outputs=kept, groups=groups, masked=())


def _checked_size(entry: PDEGymSet, points: tuple[int, int], resolution: int | None) -> int | None:
    """The number of points to resample to; None to leave the field as it is."""
    if resolution is None or points == (resolution, resolution):
        return None
    if entry.boundary != "periodic":
        raise ValueError(f"Expected resolution for a periodic set alone, got it for {entry.id} ({entry.boundary}).")
    if points[0] != points[1] or not 1 <= resolution <= points[0]:
        raise ValueError(f"Expected resolution from 1 to the points {points} of a square grid, got {resolution}.")
    return resolution
