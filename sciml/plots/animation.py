"""Moving pictures of a rollout, as GIF."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image
from torch import Tensor

from . import style
from .fields import Rollout, channel_values, colours_of, draw_plane, middle_plane


def animate(
    path: str | os.PathLike[str],
    truth: Rollout,
    prediction: Rollout,
    ts: Float[Tensor, " time"],
    *,
    channel: int = 0,
    label: str = "u",
    frames_per_second: float = 10.0,
) -> Path:
    """Write truth and prediction side by side, a frame for each time; the file appears when it is complete.

    Images in 2D, the middle plane in 3D, lines in 1D, with colours and limits that stay over the rollout.

    Args:
        path: of the GIF.
        truth, prediction, ts, channel: as for ``fields``.
        label: of the channel, with its unit.

    Raises:
        ValueError: shapes that differ, a path that does not end in .gif, or a rate that is not positive.
    """
    path = Path(path)
    if path.suffix.lower() != ".gif" or not frames_per_second > 0:
        raise ValueError(
            f"Expected a path ending in .gif and frames_per_second > 0, got {path} and {frames_per_second}."
        )
    target, guess = channel_values(truth, prediction, channel)
    draw = _line_frames if target.ndim == 2 else _plane_frames
    images = draw(middle_plane(target), middle_plane(guess), [float(t) for t in ts], label)
    beside = path.with_name(f".{path.name}.partial")
    images[0].save(
        beside, format="GIF", save_all=True, append_images=images[1:], duration=round(1000 / frames_per_second), loop=0
    )
    os.replace(beside, path)
    return path


def _plane_frames(target: np.ndarray, guess: np.ndarray, ts: list[float], label: str) -> list[Image.Image]:
    figure = style.new_figure(7.2, 3.6)
    figure.set_dpi(100)
    axes = figure.subplots(1, 2)
    colours, limits = colours_of(target)
    images = [draw_plane(axis, values[0], colours, limits) for axis, values in zip(axes, (target, guess))]
    for axis, name in zip(axes, ("truth", "prediction")):
        axis.set_title(name, fontsize=11, color=style.INK)
    figure.colorbar(images[1], ax=list(axes), label=label, aspect=20)
    heading = figure.suptitle(_clock(ts[0]), fontsize=10, color=style.INK, family="monospace")
    canvas, frames = FigureCanvasAgg(figure), []
    for t, planes in zip(ts, zip(target, guess)):
        for image, plane in zip(images, planes):
            image.set_data(plane.T)
        heading.set_text(_clock(t))
        frames.append(_snapshot(canvas))
    return frames


def _line_frames(target: np.ndarray, guess: np.ndarray, ts: list[float], label: str) -> list[Image.Image]:
    figure = style.new_figure(6.0, 3.6)
    figure.set_dpi(100)
    axes = style.dress(figure.subplots(), xlabel="x / length", ylabel=label)
    x = (np.arange(target.shape[-1]) + 0.5) / target.shape[-1]
    (first,) = axes.plot(x, target[0], color=style.TRUTH, linewidth=2, label="truth")
    (second,) = axes.plot(x, guess[0], color=style.COLOURS[1], linestyle="--", linewidth=1.6, label="prediction")
    low, high = float(np.nanmin(target)), float(np.nanmax(target))
    margin = 0.1 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    style.label_above(axes)
    heading = figure.suptitle(_clock(ts[0]), fontsize=10, color=style.INK, family="monospace")
    canvas, frames = FigureCanvasAgg(figure), []
    for t, values, approximation in zip(ts, target, guess):
        first.set_ydata(values)
        second.set_ydata(approximation)
        heading.set_text(_clock(t))
        frames.append(_snapshot(canvas))
    return frames


def _clock(t: float) -> str:
    return f"t = {t:<8.3g}"


def _snapshot(canvas: FigureCanvasAgg) -> Image.Image:
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()).quantize(256, Image.Quantize.MAXCOVERAGE)
