"""The statistics operators are normalised by: stored in the files, or computed over their training split."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import numpy as np

from .dataset import Dataset
from .moments import MOMENTS, TrajectoryMoments, trajectory_moments
from .selection import splits_of
from .statistics import Statistics

# File as it was -> its moments: the splits of one file are opened as several ``Trajectories``.
_computed: dict[tuple[str, int, int, int], TrajectoryMoments] = {}


def training_statistics(
    datasets: Sequence[Dataset], names: Sequence[str] | None, parameters: Sequence[str], *, seed: int
) -> Statistics:
    """Statistics of the named channels and then of the parameters, over the training trajectories of all files.

    Raises:
        DatasetError: values that count are NaN or infinite.
    """
    order = [channel.name for channel in datasets[0].channels] if names is None else names
    stored = datasets[0].statistics
    if len(datasets) == 1 and stored is not None:
        fields = _pick(stored, _positions(datasets[0], order))
    else:
        parts = (_moments(dataset, seed).pick(_positions(dataset, order)) for dataset in datasets)
        fields = reduce(TrajectoryMoments.merged, parts).result()
    return _joined(fields, _of_parameters(datasets, parameters, seed)) if parameters else fields


def _positions(dataset: Dataset, names: Sequence[str]) -> list[int]:
    have = [channel.name for channel in dataset.channels]
    return [have.index(name) for name in names]


def _moments(dataset: Dataset, seed: int) -> TrajectoryMoments:
    stored = dataset.statistics
    return TrajectoryMoments.of(stored) if stored is not None and stored.count else _compute(dataset, seed)


def _compute(dataset: Dataset, seed: int) -> TrajectoryMoments:
    splits = splits_of(dataset, seed=seed)
    members = splits.get("train", np.arange(len(dataset)))
    if not dataset.path.exists():
        return trajectory_moments(dataset, members)
    state = dataset.path.stat()
    key = (str(dataset.path.resolve()), state.st_mtime_ns, state.st_size, seed)
    if key not in _computed:
        _computed[key] = trajectory_moments(dataset, members)
    return _computed[key]


def _pick(statistics: Statistics, channels: Sequence[int]) -> Statistics:
    return Statistics(*(getattr(statistics, name)[list(channels)] for name in MOMENTS), count=statistics.count)


def _of_parameters(datasets: Sequence[Dataset], parameters: Sequence[str], seed: int) -> Statistics:
    """Over the training trajectories, each counting once; they do not change in time."""
    moments = TrajectoryMoments(len(parameters))
    for dataset in datasets:
        members = splits_of(dataset, seed=seed).get("train", np.arange(len(dataset)))
        moments.values.add(np.stack([np.asarray(dataset.parameters[name])[members] for name in parameters]))
    return moments.result()


def _joined(first: Statistics, second: Statistics) -> Statistics:
    both = (np.concatenate([getattr(first, name), getattr(second, name)]) for name in MOMENTS)
    return Statistics(*both, count=first.count)
