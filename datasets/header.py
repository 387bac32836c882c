"""What a native file will hold, before it holds it: the schema its trajectories share, and one trajectory."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import Any, Literal

import numpy as np

from .channel import Axis, Channel

NAME = re.compile(r"[A-Za-z_][\w.+@-]*")
RESERVED = ("sample", "time", "node", "times", "length", "nodes", "split", "mask", "channel", "statistics", "checksums")


@dataclass(frozen=True, eq=False)
class Header:
    """The schema of a native file: everything its trajectories have in common.

    Attributes:
        channels: consecutive channels of one ``field`` (all dynamic or all static, one unit) are one variable.
        axes: spatial axes; for particles the box, each axis holding its two bounds.
        times: (time,) float64, those of the longest trajectory.
        time_units: such as "s".
        parameters: units of each physical parameter; every trajectory gives a value of each.
        splits: names of the splits.
        kind: "grid" or "particles".
        nodes: the most particles a trajectory has; None for grids.
        own_times: each trajectory brings its own clock.
        mask: (*space) bool, True where the domain is solid or outside, shared by all trajectories.
        own_masks: each trajectory brings its own mask.
        dtype: "float32" or "float64", of the stored fields.
        attributes: what the file says of itself: title, source, history, references, generator (a dict), ...

    Raises:
        ValueError: a name that netCDF cannot hold, two things of one name, shapes that disagree.
    """

    channels: tuple[Channel, ...]
    axes: tuple[Axis, ...]
    times: np.ndarray
    time_units: str = ""
    parameters: Mapping[str, str] = field(default_factory=dict)
    splits: tuple[str, ...] = ("train", "valid", "test")
    kind: Literal["grid", "particles"] = "grid"
    nodes: int | None = None
    own_times: bool = False
    mask: np.ndarray | None = None
    own_masks: bool = False
    dtype: str = "float32"
    attributes: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "times", np.asarray(self.times, dtype=np.float64))
        object.__setattr__(self, "attributes", json.loads(json.dumps(dict(self.attributes), default=_plain)))
        _check_names(self)
        _check_fields(self)
        _check_shapes(self)

    @property
    def fields(self) -> tuple[tuple[Channel, ...], ...]:
        """The channels of each variable."""
        groups = groupby(self.channels, key=lambda channel: (channel.field, channel.static))
        return tuple(tuple(group) for _, group in groups)

    @property
    def shape(self) -> tuple[int, ...]:
        """(*space) of a grid, (node,) of particles."""
        if self.kind == "particles":
            return (int(self.nodes or 0),)
        return tuple(len(axis.coordinates) for axis in self.axes)

    @property
    def space(self) -> tuple[str, ...]:
        """Names of the axes of ``shape``."""
        return ("node",) if self.kind == "particles" else tuple(axis.name for axis in self.axes)

    def to_json(self) -> str:
        """All of it as text, the same text for the same header: what tells whether two shards belong together."""
        record = {**asdict(self), "times": self.times.tolist(), "mask": _packed(self.mask)}
        for axis in record["axes"]:
            axis["coordinates"] = np.asarray(axis["coordinates"], dtype=np.float64).tolist()
        return json.dumps(record)

    @classmethod
    def from_json(cls, text: str) -> Header:
        """The header that ``to_json`` wrote."""
        record = json.loads(text)
        record["channels"] = tuple(Channel(**channel) for channel in record["channels"])
        record["axes"] = tuple(
            Axis(**{**axis, "coordinates": np.array(axis["coordinates"], dtype=np.float64)}) for axis in record["axes"]
        )
        record["times"] = np.array(record["times"], dtype=np.float64)
        record["splits"], record["mask"] = tuple(record["splits"]), _unpacked(record["mask"])
        return cls(**record)


@dataclass(frozen=True, eq=False)
class Trajectory:
    """One trajectory to be written.

    Attributes:
        u: (frames, channel, *space) of the dynamic channels, or (frames, node, channel) for particles.
        static: (channel, *space) of the static channels, or (node, channel); None without any.
        parameters: a value of each of the header's parameters.
        split: one of the header's splits, "" for none.
        times: (frames,) its own clock, where ``header.own_times``.
        mask: (*space) bool, its own mask, where ``header.own_masks``.
    """

    u: np.ndarray
    static: np.ndarray | None = None
    parameters: Mapping[str, float] = field(default_factory=dict)
    split: str = ""
    times: np.ndarray | None = None
    mask: np.ndarray | None = None


def field_rows(header: Header, trajectory: Trajectory) -> dict[str, np.ndarray]:
    """The values of each field as they are stored: (frames, [channel,] *space), (frames, node[, channel]), or static.

    Raises:
        ValueError: the trajectory does not fit the header.
    """
    _check_trajectory(header, trajectory)
    # The channel axis, from the end: last for particles, before space on a grid.
    axis = -1 if header.kind == "particles" else -len(header.shape) - 1
    whole = {False: trajectory.u, True: trajectory.static if trajectory.static is not None else trajectory.u}
    rows, taken = {}, {False: 0, True: 0}
    for channels in header.fields:
        static, count = channels[0].static, len(channels)
        part = np.arange(taken[static], taken[static] + count)
        taken[static] += count
        values = np.take(whole[static], part, axis=axis)
        rows[channels[0].field] = values if count > 1 else values.squeeze(axis)
    return rows


def _check_names(header: Header) -> None:
    names = [channels[0].field for channels in header.fields]
    names += [f"{channels[0].field}_component" for channels in header.fields if len(channels) > 1]
    names += [axis.name for axis in header.axes] + list(header.parameters)
    for name in names:
        if not NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"Expected a name of letters, digits and _, not one of {RESERVED}; got {name!r}. Rename it."
            )
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"Expected fields, axes and parameters of different names, got {twice} twice. Rename one; channels of one "
            f"field must follow each other."
        )
    if not header.channels:
        raise ValueError("Expected channels of at least one field, got none.")


def _check_fields(header: Header) -> None:
    for channels in header.fields:
        units = {channel.units for channel in channels}
        if len(units) > 1:
            raise ValueError(f"Expected one unit for the components of {channels[0].field!r}, got {sorted(units)}.")
    if all(channel.static for channel in header.channels):
        raise ValueError("Expected at least one channel that changes in time, got static ones only.")
    if header.dtype not in ("float32", "float64"):
        raise ValueError(f"Expected dtype 'float32' or 'float64', got {header.dtype!r}.")


def _check_shapes(header: Header) -> None:
    if header.times.ndim != 1 or not header.times.size:
        raise ValueError(f"Expected times of shape (time,), got {header.times.shape}.")
    if (header.kind == "particles") != (header.nodes is not None):
        raise ValueError(f"Expected nodes for kind='particles' alone, got kind={header.kind!r}, nodes={header.nodes}.")
    if header.mask is not None and header.mask.shape != header.shape:
        raise ValueError(f"Expected mask of shape {header.shape}, got {header.mask.shape}.")


def _check_trajectory(header: Header, trajectory: Trajectory) -> None:
    dynamic = sum(not channel.static for channel in header.channels)
    _check_array("u", trajectory.u[:1], (1, *_frame(header, trajectory.u, dynamic)))
    frames, most = len(trajectory.u), len(header.times)
    if not 0 < frames <= most:
        raise ValueError(f"Expected u of 1 to {most} frames, got {frames}. Give the header the longest times.")
    if dynamic < len(header.channels):
        if trajectory.static is None:
            raise ValueError("Expected static values for the header's static channels, got None.")
        _check_array("static", trajectory.static, _frame(header, trajectory.u, len(header.channels) - dynamic))
    if set(trajectory.parameters) != set(header.parameters):
        raise ValueError(f"Expected parameters {sorted(header.parameters)}, got {sorted(trajectory.parameters)}.")
    if trajectory.split and trajectory.split not in header.splits:
        raise ValueError(f"Expected split to be one of {header.splits} or '', got {trajectory.split!r}.")
    if header.own_times != (trajectory.times is not None):
        raise ValueError("Expected times of each trajectory exactly where header.own_times is set.")
    if trajectory.times is not None:
        _check_array("times", trajectory.times, (frames,))
    if header.own_masks != (trajectory.mask is not None):
        raise ValueError("Expected a mask of each trajectory exactly where header.own_masks is set.")
    if trajectory.mask is not None:
        _check_array("mask", trajectory.mask, header.shape)


def _frame(header: Header, u: np.ndarray, channels: int) -> tuple[int, ...]:
    if header.kind == "grid":
        return (channels, *header.shape)
    present = u.shape[1] if u.ndim > 1 else 0
    return (min(present, header.shape[0]), channels)  # fewer particles than the most are padded


def _check_array(name: str, array: np.ndarray, expected: tuple[int, ...]) -> None:
    if np.shape(array) != expected:
        raise ValueError(f"Expected {name} of shape {expected}, got {np.shape(array)}.")


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    return str(value)


def _packed(mask: np.ndarray | None) -> dict[str, Any] | None:
    if mask is None:
        return None
    bits = base64.b64encode(np.packbits(np.asarray(mask, dtype=bool))).decode()
    return {"shape": list(mask.shape), "bits": bits}


def _unpacked(record: dict[str, Any] | None) -> np.ndarray | None:
    if record is None:
        return None
    shape = tuple(record["shape"])
    bits = np.unpackbits(np.frombuffer(base64.b64decode(record["bits"]), dtype=np.uint8), count=int(np.prod(shape)))
    return bits.astype(bool).reshape(shape)
