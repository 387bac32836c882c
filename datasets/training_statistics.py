"""The statistics operators are normalised by: stored in the files, or computed over their training split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from .dataset import Dataset
from .moments import MOMENTS, TrajectoryMoments, statistics_from, trajectory_moments
from .selection import splits_of
from .statistics import Statistics

# File as it was, and trajectories -> their moments: the splits of one file are opened as several ``Trajectories``.
_computed: dict[tuple[str, int, int, bytes], TrajectoryMoments] = {}


def training_statistics(
    datasets: Sequence[Dataset], names: Sequence[str] | None, parameters: Sequence[str], *, divided_by: int | None
) -> Statistics:
    """Statistics of the named channels and then of the parameters, over the training trajectories of all files.

    Args:
        datasets: the files.
        names: channels; all by default.
        parameters: those appended as constant channels.
        divided_by: the seed that divides a file without splits; None where such a file is taken whole.

    Raises:
        DatasetError: values that count are NaN or infinite.
    """
    order = [channel.name for channel in datasets[0].channels] if names is None else names
    stored = _stored(datasets[0], divided_by)
    if len(datasets) == 1 and stored is not None:
        fields = _pick(stored, _positions(datasets[0], order))
    else:
        parts = (_moments(dataset, divided_by).pick(_positions(dataset, order)) for dataset in datasets)
        fields = reduce(TrajectoryMoments.merged, parts).result()
    return _joined(fields, _of_parameters(datasets, parameters, divided_by)) if parameters else fields


def _positions(dataset: Dataset, names: Sequence[str]) -> list[int]:
    have = [channel.name for channel in dataset.channels]
    return [have.index(name) for name in names]


def _stored(dataset: Dataset, divided_by: int | None) -> Statistics | None:
    """Those in the file; not where it was divided here, for they are of what is now test data too."""
    return dataset.statistics if dataset.splits or divided_by is None else None


def _members(dataset: Dataset, divided_by: int | None) -> np.ndarray:
    splits = dataset.splits if divided_by is None else splits_of(dataset, seed=divided_by)
    return np.asarray(splits.get("train", np.arange(len(dataset))))


def _moments(dataset: Dataset, divided_by: int | None) -> TrajectoryMoments:
    stored = _stored(dataset, divided_by)
    if stored is not None and stored.count:
        return TrajectoryMoments.of(stored)
    members = _members(dataset, divided_by)
    if not dataset.path.exists():
        return trajectory_moments(dataset, members)
    state = dataset.path.stat()
    key = (str(dataset.path.resolve()), state.st_mtime_ns, state.st_size, members.tobytes())
    if key not in _computed:
        _computed[key] = trajectory_moments(dataset, members)
    return _computed[key]


def _pick(statistics: Statistics, channels: Sequence[int]) -> Statistics:
    return statistics_from({name: getattr(statistics, name)[list(channels)] for name in MOMENTS}, statistics.count)


def _of_parameters(datasets: Sequence[Dataset], parameters: Sequence[str], divided_by: int | None) -> Statistics:
    """Over the training trajectories, each counting once; they do not change in time."""
    moments = TrajectoryMoments(len(parameters))
    for dataset in datasets:
        members = _members(dataset, divided_by)
        moments.values.add(np.stack([np.asarray(dataset.parameters[name])[members] for name in parameters]))
    return moments.result()


def _joined(first: Statistics, second: Statistics) -> Statistics:
    both = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in MOMENTS}
    return statistics_from(both, first.count)
