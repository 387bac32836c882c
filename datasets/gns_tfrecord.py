"""GNS particles as DeepMind published them: {train,valid,test}.tfrecord beside metadata.json.

Sanchez-Gonzalez et al., "Learning to Simulate Complex Physics with Graph Networks", ICML 2020. One record a trajectory:
``particle_type`` (node,) int64, positions of each frame (node, dimension) float32, and in some sets ``step_context``,
float32 numbers of each frame that hold for all particles. Opening reads the lengths of records; a record is compared
with its checksum when it is read for the first time, and its frames are read where they lie.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from .channel import Channel
from .dataset import Dataset
from .errors import DatasetError
from .particles import check_positions, describe_particles, read_metadata
from .tfrecord import Frames, SequenceExample, Span, check_record, mapped, records
from .variable import Selection, Variable

SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Entry:
    """Where the parts of one trajectory lie.

    Attributes:
        record: its data.
        types: the particle types, int64.
        position: frames of (node, dimension) float32.
        context: frames of float32, or None.
        shape: (time, node, dimension).
    """

    record: Span
    types: Span
    position: Frames
    context: Frames | None
    shape: tuple[int, int, int]


@dataclass(frozen=True)
class TfrecordSource:
    """One part of the trajectories: "positions", "types" or "context"."""

    path: Path
    dimensions: int
    part: str

    def __call__(self, trajectory: int, selection: Selection) -> np.ndarray:
        _check(self.path, self.dimensions, trajectory, self.path.stat().st_mtime_ns)
        entry, content = entries(self.path, self.dimensions)[trajectory], mapped(self.path)
        if self.part == "types":
            return content[entry.types.start : entry.types.stop].view("<i8")[selection]
        frames = entry.position if self.part == "positions" else entry.context
        if frames is None:
            raise DatasetError(self.path, "has no step_context.", where=f"record {trajectory}")
        inner = entry.shape[1:] if self.part == "positions" else (frames.size // 4,)
        strides = (frames.stride, *(4 * int(np.prod(inner[axis + 1 :])) for axis in range(len(inner))))
        return np.ndarray((frames.count, *inner), "<f4", content, frames.start, strides)[selection]


def open_gns_tfrecord(path: Path) -> Dataset:
    """Open one .tfrecord file; named train, valid or test, it is all of that split.

    Raises:
        DatasetError: a damaged or truncated file, records of something else, or no metadata.json beside it.
    """
    metadata = read_metadata(path.parent / "metadata.json")
    bounds = metadata.get("bounds")
    dimensions = metadata.get("dim", len(bounds) if isinstance(bounds, list) else 0)
    if dimensions not in (2, 3):
        raise DatasetError(path.parent / "metadata.json", f"is {dimensions!r}, expected 2 or 3.", where="dim")
    found = entries(path, dimensions)
    if not found:
        raise DatasetError(path, "holds no records.", remedy="Fetch it again.")
    opened = describe_particles(
        path,
        path.parent / "metadata.json",
        layout="gns",
        shapes=[entry.shape for entry in found],
        positions=TfrecordSource(path, dimensions, "positions"),
        types=TfrecordSource(path, dimensions, "types"),
    )
    return replace(
        opened,
        variables=(*opened.variables, *_context(path, dimensions, found)),
        splits={path.stem: np.arange(len(opened))} if path.stem in SPLITS else {},
    )


def entries(path: Path, dimensions: int) -> tuple[Entry, ...]:
    """Where everything lies, kept for the next call."""
    state = path.stat()
    return _entries(path, dimensions, state.st_mtime_ns, state.st_size)


@lru_cache(maxsize=16)
def _entries(path: Path, dimensions: int, modified: int, size: int) -> tuple[Entry, ...]:
    return tuple(_entry(path, dimensions, number, record) for number, record in enumerate(records(path)))


def _entry(path: Path, dimensions: int, number: int, record: Span) -> Entry:
    example, where = SequenceExample(path, number, record), f"record {number}"
    types, position = example.bytes_of("particle_type"), example.frames_of("position")
    if types is None or position is None:
        missing = "particle_type" if types is None else "position"
        have = sorted([*example.context, *example.lists])
        problem = f"has no {missing}; it holds {have}."
        raise DatasetError(path, problem, where=where, remedy="Expected a data set of GNS; meshes are not read.")
    nodes = len(types) // 8
    if len(types) % 8 or position.size != 4 * nodes * dimensions:
        problem = (
            f"has {len(types)} bytes of particle_type and {position.size} of positions a frame, expected 8 and "
            f"{4 * dimensions} a particle."
        )
        raise DatasetError(path, problem, where=where, remedy="Does metadata.json belong to it?")
    context = example.frames_of("step_context")
    if context is not None and (context.count != position.count or context.size % 4):
        problem = f"has step_context of {context.count} frames for {position.count} of positions."
        raise DatasetError(path, problem, where=where, remedy="Fetch it again.")
    shape = check_positions(path, where, (position.count, nodes, dimensions), dimensions)
    return Entry(record, types, position, context, shape)


@lru_cache(maxsize=1 << 14)
def _check(path: Path, dimensions: int, number: int, modified: int) -> None:
    """Compare a trajectory with its checksum, once a process, and its frames with the first."""
    entry = entries(path, dimensions)[number]
    check_record(path, number, entry.record)
    example = SequenceExample(path, number, entry.record)
    example.check_frames(entry.position, "position")
    if entry.context is not None:
        example.check_frames(entry.context, "step_context")


def _context(path: Path, dimensions: int, found: tuple[Entry, ...]) -> tuple[Variable, ...]:
    """The step context as channels that are the same for all particles."""
    sizes = {None if entry.context is None else entry.context.size // 4 for entry in found}
    if sizes == {None}:
        return ()
    if len(sizes) > 1:
        listed = [0 if entry.context is None else entry.context.size // 4 for entry in found]
        odd = next(number for number, size in enumerate(listed) if size != listed[0])
        problem = f"has {listed[odd]} numbers of step_context, expected {listed[0]} as in record 0."
        raise DatasetError(path, problem, where=f"record {odd}", remedy="Fetch it again.")
    (size,) = sizes
    names = ["step_context"] if size == 1 else [f"step_context_{number}" for number in range(size or 0)]
    channels = tuple(Channel(name, field="step_context", component=name[13:]) for name in names)
    return (Variable(channels, ("time", "channel"), TfrecordSource(path, dimensions, "context")),)
