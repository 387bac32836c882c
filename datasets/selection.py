"""Which trajectories of which files, and whether the files belong together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from .dataset import Dataset
from .splits import assign_splits


class Place(NamedTuple):
    """A trajectory of one of several files."""

    file: int
    trajectory: int


def splits_of(dataset: Dataset, *, seed: int) -> dict[str, np.ndarray]:
    """The splits of a file; one without any is divided 80/10/10 by ``seed``."""
    return dict(dataset.splits) if dataset.splits else assign_splits(len(dataset), seed=seed)


def places_of(datasets: Sequence[Dataset], *, split: str | None, limit: int | None, seed: int) -> list[Place]:
    """The trajectories of a split over all files, at most ``limit`` of them, drawn by ``seed``.

    Raises:
        ValueError: no file has that split.
    """
    places = []
    for number, dataset in enumerate(datasets):
        members = np.arange(len(dataset)) if split is None else splits_of(dataset, seed=seed).get(split, ())
        places += [Place(number, int(trajectory)) for trajectory in members]
    if not places and split is not None:
        found = sorted({name for dataset in datasets for name in splits_of(dataset, seed=seed)})
        raise ValueError(f"Expected split to be one of {found}, got {split!r}.")
    if limit is not None and limit < len(places):
        chosen = np.sort(np.random.default_rng(seed).choice(len(places), limit, replace=False))
        places = [places[i] for i in chosen]
    return places


def require_alike(datasets: Sequence[Dataset], names: Sequence[str] | None, parameters: Sequence[str]) -> None:
    """Refuse files that cannot be read as one.

    Raises:
        ValueError: different kinds, grids or channels, or a channel or parameter that one of them lacks.
    """
    if not datasets:
        raise ValueError("Expected at least one file, got none.")
    for dataset in datasets:
        have = [channel.name for channel in dataset.channels]
        _require(dataset, "names", names or (), have)
        _require(dataset, "parameters", parameters, list(dataset.parameters))
    for dataset in datasets[1:]:
        for what, first, other in zip(
            ("kind", "axes", "shape", "channels"),
            _signature(datasets[0], names),
            _signature(dataset, names),
            strict=True,
        ):
            if first != other:
                remedy = "Choose common ones with names=(...)." if what == "channels" else "Open them one by one."
                raise ValueError(
                    f"Expected files of the same {what}; {datasets[0].path} has {first}, {dataset.path} has {other}. "
                    f"{remedy}"
                )


def _signature(dataset: Dataset, names: Sequence[str] | None) -> tuple[Any, ...]:
    channels = {channel.name: (channel.name, channel.units, channel.static) for channel in dataset.channels}
    chosen = tuple(channels[name] for name in (channels if names is None else names))
    return dataset.kind, tuple(axis.name for axis in dataset.axes), dataset.shape, chosen


def _require(dataset: Dataset, argument: str, wanted: Sequence[str], have: list[str]) -> None:
    for name in wanted:
        if name not in have:
            raise ValueError(f"Expected {argument} of {dataset.path} out of {have}, got {name!r}.")
