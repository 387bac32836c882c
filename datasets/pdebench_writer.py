"""PDEBench's one-file layout, written. See ``pdebench`` for the source and its peculiarities."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

from .atomic import replacing
from .dataset import Dataset
from .pdebench import AXES, FIELDS

Progress = Callable[[int, int], None]


def write_pdebench(dataset: Dataset, target: Path, *, progress: Progress | None = None) -> tuple[str, ...]:
    """Write a dataset as PDEBench would; what could not be kept is returned.

    One channel becomes ``tensor``; density, pressure and velocity_x, ... their namesakes; a static coefficient and the
    answer of a steady map ``nu`` and a ``tensor`` of one frame (Darcy flow). Everything is float32.

    Raises:
        ValueError: channels PDEBench has no name for, particles, or trajectories of different lengths or clocks.
    """
    names = _stored_names(dataset)
    _check(dataset)
    steady = "nu" in names.values()
    frames, count = (1 if steady else int(dataset.lengths[0])), len(dataset)
    with replacing(target) as partial, h5py.File(partial, "w") as file:
        for stored in names.values():
            lead = (count,) if stored == "nu" else (count, frames)
            file.create_dataset(stored, (*lead, *dataset.shape), "f4")
        for number in range(count):
            u = dataset.read(number, slice(1, 2) if steady else slice(None))
            for channel, stored in enumerate(names.values()):
                file[stored][number] = u[0, channel] if stored == "nu" else u[:, channel]
            if progress:
                progress(number + 1, count)
        _write_coordinates(file, dataset, steady=steady)
        for name, values in _constants(dataset).items():
            file.attrs[name] = values
    return _lost(dataset, names)


def _stored_names(dataset: Dataset) -> dict[str, str]:
    """Channel -> its dataset in the file."""
    channels = dataset.channels
    if len(channels) == 1 and not channels[0].static:
        return {channels[0].name: "tensor"}
    if [channel.static for channel in channels] == [True, False] and dataset.lengths.max(initial=0) == 2:
        return {channels[0].name: "nu", channels[1].name: "tensor"}
    known = {channel.name: stored for stored, channel in FIELDS.items() if stored != "tensor"}
    unknown = [channel.name for channel in channels if channel.name not in known or channel.static]
    if unknown:
        raise ValueError(
            f"Expected one channel, or channels out of {list(known)}; PDEBench has no name for {unknown}. "
            f"Convert to the native layout, or rename them."
        )
    return {channel.name: known[channel.name] for channel in channels}


def _check(dataset: Dataset) -> None:
    if dataset.kind != "grid":
        raise ValueError(f"Expected fields on a grid, got particles in {dataset.path}. Use layout='native'.")
    if len(set(dataset.lengths.tolist())) != 1 or dataset.times.ndim != 1:
        raise ValueError("Expected trajectories of one length and one clock. Convert to the native layout instead.")
    if len(dataset.axes) > len(AXES):
        raise ValueError(f"Expected at most 3 spatial axes, got {len(dataset.axes)}.")


def _write_coordinates(file: h5py.File, dataset: Dataset, *, steady: bool) -> None:
    for name, axis in zip(AXES, dataset.axes):
        file[f"{name}-coordinate"] = axis.coordinates.astype("f4")
    if not steady:
        times = dataset.times_of(0)
        step = times[-1] - times[-2] if len(times) > 1 else 1.0
        # One value more than frames: PDEBench's own files have the end of the last interval.
        file["t-coordinate"] = np.append(times, times[-1] + step).astype("f4")


def _constants(dataset: Dataset) -> dict[str, float]:
    same = {name: np.asarray(values) for name, values in dataset.parameters.items() if len(set(values.tolist())) == 1}
    return {name: float(values[0]) for name, values in same.items()}


def _lost(dataset: Dataset, names: dict[str, str]) -> tuple[str, ...]:
    lost = ["Units, and float64 precision: PDEBench has neither."]
    varying = sorted(set(dataset.parameters) - set(_constants(dataset)))
    if varying:
        lost.append(f"Parameters {varying}: PDEBench holds one value a file.")
    if "tensor" in names.values() and "u" not in names:
        lost.append(f"Channel names: {names}.")
    if dataset.splits:
        lost.append("Splits: PDEBench tests on the first tenth.")
    if any(axis.boundary for axis in dataset.axes):
        lost.append("Boundary conditions.")
    if dataset.mask is not None:
        lost.append("The mask.")
    return tuple(lost)
