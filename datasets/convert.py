"""From any layout to ours, The Well's, PDEBench's or LagrangeBench's, one trajectory in memory at a time."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from .channel import Channel
from .dataset import Dataset
from .errors import DatasetError
from .header import NAME, RESERVED, Header, Trajectory
from .lagrangebench_writer import write_lagrangebench
from .masks import moves, shared_mask
from .open import open_dataset
from .pdebench_writer import write_pdebench
from .the_well_writer import write_the_well
from .writer import write_dataset

LARGEST_ATTRIBUTE = 1 << 16
# What other layouts' attributes say that a native file says in its own way.
DESCRIBED = ("n_trajectories", "n_spatial_dims", "simulation_parameters")
Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Conversion:
    """What a conversion made.

    Attributes:
        path: the file or directory.
        trajectories: how many.
        lost: what the new layout cannot hold, one sentence each.
    """

    path: Path
    trajectories: int
    lost: tuple[str, ...] = ()


def convert(
    source: str | Path | Dataset,
    target: str | Path,
    *,
    layout: str = "native",
    compression: int = 0,
    dtype: str | None = None,
    progress: Progress | None = None,
) -> Conversion:
    """Write a dataset of any layout as another; the target is whole or absent.

    Args:
        source: what to convert.
        target: a file; for The Well also a directory, which gets a file per split and ``stats.yaml``.
        layout: "native", "the_well", "pdebench" or "lagrangebench" (a directory).
        compression: gzip level of a native file, 0 for none.
        dtype: "float32" or "float64" of a native file; as the source by default.
        progress: called as ``progress(done, total)`` after each trajectory.

    Raises:
        DatasetError: the source cannot be read.
        ValueError: the layout cannot hold the dataset, or the target is the source.
    """
    dataset = source if isinstance(source, Dataset) else open_dataset(source)
    target = Path(target)
    if target.exists() and dataset.path.exists() and target.samefile(dataset.path):
        raise ValueError(f"Expected a target other than the source, got {target} for both.")
    match layout:
        case "native":
            lost = _write_native(dataset, target, compression=compression, dtype=dtype, progress=progress)
        case "the_well":
            lost = write_the_well(dataset, target, progress=progress)
        case "pdebench":
            lost = write_pdebench(dataset, target, progress=progress)
        case "lagrangebench":
            lost = write_lagrangebench(dataset, target, progress=progress)
        case _:
            raise ValueError(f"Expected layout 'native', 'the_well', 'pdebench' or 'lagrangebench', got {layout!r}.")
    return Conversion(target, len(dataset), lost)


def header_of(dataset: Dataset, *, dtype: str | None = None) -> Header:
    """The header of the native file of a dataset.

    Names that netCDF cannot hold, or that are taken, are changed; trajectories come from ``trajectory_of``.
    """
    axes = {axis.name for axis in dataset.axes}
    channels = tuple(_renamed(channel, axes) for channel in dataset.channels)
    taken = axes | {channel.field for channel in channels}
    units = dataset.attributes.get("parameter_units", {})
    times = dataset.times if dataset.times.ndim == 1 else dataset.times[int(np.argmax(dataset.lengths))]
    mask = shared_mask(dataset)
    return Header(
        channels=channels,
        axes=dataset.axes,
        times=times[: int(dataset.lengths.max())],
        time_units=dataset.time_units,
        parameters={_parameter(name, taken): str(units.get(name, "")) for name in dataset.parameters},
        splits=tuple(dataset.splits) or ("train", "valid", "test"),
        kind=dataset.kind,
        nodes=None if dataset.nodes is None else int(dataset.nodes.max()),
        own_times=dataset.times.ndim == 2,
        mask=mask,
        own_masks=dataset.mask is not None and mask is None and not moves(dataset),
        dtype=dtype or str(dataset.read(0, slice(0, 1)).dtype),
        attributes=_attributes(dataset),
    )


def trajectory_of(dataset: Dataset, header: Header, number: int) -> Trajectory:
    """One trajectory of a dataset, for a file of that header.

    Raises:
        DatasetError: the file is damaged there.
    """
    u = dataset.read(number)
    axis = 1 if dataset.kind == "grid" else u.ndim - 1
    static = np.array([channel.static for channel in dataset.channels])
    split = [name for name, members in dataset.splits.items() if number in members]
    mask = dataset.read_mask(number, slice(0, 1)) if header.own_masks else None
    return Trajectory(
        u=np.compress(~static, u, axis=axis),
        static=np.compress(static, u[0], axis=axis - 1) if static.any() else None,
        parameters={new: float(values[number]) for new, values in zip(header.parameters, dataset.parameters.values())},
        split=split[0] if split else "",
        times=dataset.times_of(number) if header.own_times else None,
        mask=None if mask is None else mask[0],
    )


def _write_native(
    dataset: Dataset, target: Path, *, compression: int, dtype: str | None, progress: Progress | None
) -> tuple[str, ...]:
    if not len(dataset):
        raise DatasetError(dataset.path, "has no trajectories.", remedy="There is nothing to convert.")
    header = header_of(dataset, dtype=dtype)
    trajectories = (trajectory_of(dataset, header, number) for number in range(len(dataset)))
    write_dataset(target, header, trajectories, count=len(dataset), compression=compression, progress=progress)
    changed = [f"{old} is called {new}." for old, new in _changes(dataset, header) if old != new]
    if moves(dataset):
        changed.append("The mask changes in time and is not kept.")
    dropped = sorted(set(dataset.attributes) - set(header.attributes) - {"parameter_units", *dataset.parameters})
    return (*changed, *(f"Attribute {name} is not kept." for name in dropped if name not in DESCRIBED))


def _changes(dataset: Dataset, header: Header) -> list[tuple[str, str]]:
    fields = [(old.field, new.field) for old, new in zip(dataset.channels, header.channels)]
    return list(dict.fromkeys([*fields, *zip(dataset.parameters, header.parameters)]))


def _renamed(channel: Channel, axes: set[str]) -> Channel:
    field = re.sub(r"[^\w.+@-]", "_", channel.field)
    free = NAME.fullmatch(field) and field not in RESERVED and field not in axes
    return replace(channel, field=field if free else f"field_{field}")


def _parameter(name: str, taken: set[str]) -> str:
    clean = re.sub(r"[^\w.+@-]", "_", name)
    free = NAME.fullmatch(clean) and clean not in RESERVED and clean not in taken
    return clean if free else f"parameter_{clean}"


def _attributes(dataset: Dataset) -> dict[str, Any]:
    """Those that are small enough, and where the data came from."""
    said_elsewhere = {"parameter_units", *DESCRIBED, *dataset.parameters}
    kept = {
        name: value for name, value in dataset.attributes.items() if name not in said_elsewhere and _is_small(value)
    }
    if dataset.layout == "native":
        return kept
    origin = f"Converted by sciml from {dataset.path.name} ({dataset.layout})."
    return {**kept, "history": "\n".join(filter(None, [str(kept.get("history", "")), origin]))}


def _is_small(value: Any) -> bool:
    if isinstance(value, np.ndarray) and value.size > LARGEST_ATTRIBUTE:
        return False
    return len(json.dumps(value, default=_listed)) <= LARGEST_ATTRIBUTE


def _listed(value: Any) -> Sequence[Any] | str:
    return value.tolist() if isinstance(value, np.ndarray | np.generic) else str(value)
