"""One trajectory of a dataset: a row for each channel, a column for each of a few times."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure

from sciml.datasets.channel import Channel
from sciml.datasets.dataset import Dataset

from . import style
from .animation import animate
from .fields import colours_of, draw_plane, middle_plane, spread
from .film import Film
from .splat import View


def draw_trajectory(dataset: Dataset, trajectory: int, out: str | Path, *, names: Sequence[str] | None = None) -> Path:
    """Draw a trajectory into a file; a GIF shows all frames of the first channel or all particles, other formats a few.

    Args:
        dataset: grids of one to three dimensions (the middle plane in 3D), or particles in their first two axes.
        trajectory: its number.
        out: the file; its suffix is the format.
        names: channels to draw, all by default.

    Raises:
        ValueError: no such trajectory or channel, or a format that matplotlib cannot write.
    """
    out = Path(out)
    if not 0 <= trajectory < len(dataset):
        raise ValueError(f"Expected a trajectory from 0 to {len(dataset) - 1} of {dataset.path}, got {trajectory}.")
    known = {channel.name: channel for channel in dataset.channels}
    if missing := [name for name in names or () if name not in known]:
        raise ValueError(f"Expected channels among {', '.join(known)}; got {', '.join(missing)}.")
    times = dataset.times_of(trajectory)
    if out.suffix.lower() == ".gif" and dataset.kind == "grid":
        first = next(iter(names or known))
        u = torch.from_numpy(dataset.read(trajectory, names=[first]))
        label = style.quantity(first, known[first].units)
        return animate(out, u, None, torch.from_numpy(times), label=label)
    if out.suffix.lower() == ".gif":
        return _film(dataset, trajectory).save_gif(out)
    shown = spread(len(times))
    titles = [f"t = {times[frame]:.3g} {dataset.time_units}".rstrip() for frame in shown]
    frames = np.concatenate([dataset.read(trajectory, slice(frame, frame + 1), names=names) for frame in shown])
    channels = [known[name] for name in names] if names else list(dataset.channels)
    figure = _clouds(frames, titles) if dataset.kind == "particles" else _grids(frames, channels, titles)
    return _save(figure, out)


def _film(dataset: Dataset, trajectory: int) -> Film:
    """Particles in their box, coloured by type where they differ, else by how far they move in a frame."""
    names = [channel.name for channel in dataset.channels]
    position = dataset.read(trajectory, names=[name for name in names if name.startswith("position")])
    kinds = np.zeros(position.shape[1], dtype=int)
    if "particle_type" in names:
        kinds = dataset.read(trajectory, slice(0, 1), names=["particle_type"])[0, :, 0].astype(int)
    low, high = ([float(axis.coordinates[end]) for axis in dataset.axes] for end in (0, -1))
    dim, gravity = len(low), dataset.attributes.get("gravity")
    up = int(np.abs(np.asarray(gravity)).argmax()) if isinstance(gravity, list) and any(gravity) else dim - 1
    moves = np.linalg.norm(np.diff(position, axis=0, prepend=position[:1]), axis=-1)
    filled = float(np.prod(position[0].max(axis=0) - position[0].min(axis=0))) / position.shape[1]
    one = len(np.unique(kinds)) == 1
    return Film(
        position,
        dataset.times_of(trajectory).tolist(),
        View(tuple(low), tuple(high), up=up),
        radius=0.5 * max(filled, 1e-12) ** (1 / dim),
        kinds=None if one else kinds,
        speeds=moves if one else None,
        fastest=float(np.quantile(moves, 0.99)),
    )


def _grids(u: np.ndarray, channels: Sequence[Channel], titles: Sequence[str]) -> Figure:
    figure = style.new_figure(2.1 * len(titles) + 1.4, 2.0 * len(channels) + 0.6)
    axes = figure.subplots(len(channels), len(titles), squeeze=False, sharey="row")
    for row, channel, values in zip(axes, channels, np.moveaxis(u, 1, 0)):
        label = style.quantity(channel.name, channel.units)
        draw = _lines if values.ndim == 2 else _planes
        draw(figure, row, values, label)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=10)
    return figure


def _planes(figure: Figure, row: np.ndarray, values: np.ndarray, label: str) -> None:
    planes = middle_plane(values)
    colours, limits = colours_of(planes)
    images = [draw_plane(axis, plane, colours, limits) for axis, plane in zip(row, planes)]
    figure.colorbar(images[-1], ax=list(row), shrink=0.85, pad=0.01)
    row[0].set_ylabel(label)


def _lines(figure: Figure, row: np.ndarray, values: np.ndarray, label: str) -> None:
    x = (np.arange(values.shape[-1]) + 0.5) / values.shape[-1]
    for axis, line in zip(row, values):
        style.dress(axis, xlabel="x / length", ylabel="")
        axis.plot(x, line, color=style.TRUTH, linewidth=1.6)
    row[0].set_ylabel(label)


def _clouds(u: np.ndarray, titles: Sequence[str]) -> Figure:
    figure = style.new_figure(2.3 * len(titles) + 0.6, 2.8)
    axes = figure.subplots(1, len(titles), squeeze=False, sharex=True, sharey=True)
    for axis, title, nodes in zip(axes[0], titles, u):
        style.dress(axis, xlabel="x", ylabel="", title=title)
        axis.scatter(nodes[:, 0], nodes[:, 1], s=4, color=style.COLOURS[0])
        axis.set_aspect("equal")
    return figure


def _save(figure: Figure, out: Path) -> Path:
    beside = out.with_name(f".{out.stem}.partial{out.suffix}")
    figure.savefig(beside)
    os.replace(beside, out)
    return out
