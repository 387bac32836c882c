"""Moving pictures of a rollout, as GIF."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from . import style
from .fields import Rollout, channel_values, colours_of, draw_plane, middle_plane


def animate(
    path: str | os.PathLike[str],
    truth: Rollout,
    prediction: Rollout | None,
    ts: Float[Tensor, " time"],
    *,
    channel: int = 0,
    label: str = "u",
    frames_per_second: float = 10.0,
) -> Path:
    """Write truth and prediction side by side, or truth alone, a frame for each time; the file appears when complete.

    Images in 2D, the middle plane in 3D, lines in 1D, with colours and limits that stay over the rollout.

    Args:
        path: of the GIF.
        truth, ts, channel: as for ``fields``.
        prediction: likewise; None to show ``truth`` alone.
        label: of the channel, with its unit.

    Raises:
        ValueError: shapes that differ, a path that does not end in .gif, or a rate that is not positive.
    """
    path = Path(path)
    if path.suffix.lower() != ".gif" or not frames_per_second > 0:
        raise ValueError(
            f"Expected a path ending in .gif and frames_per_second > 0, got {path} and {frames_per_second}."
        )
    values = channel_values(truth, truth if prediction is None else prediction, channel)
    draw = _line_frames if values[0].ndim == 2 else _plane_frames
    shown = [middle_plane(part) for part in values][: 1 if prediction is None else 2]
    images = draw(dict(zip(("truth", "prediction"), shown)), [float(t) for t in ts], label)
    beside = path.with_name(f".{path.name}.partial")
    images[0].save(
        beside, format="GIF", save_all=True, append_images=images[1:], duration=round(1000 / frames_per_second), loop=0
    )
    os.replace(beside, path)
    return path


def _plane_frames(shown: dict[str, np.ndarray], ts: list[float], label: str) -> list[Image.Image]:
    figure = style.new_figure(3.3 * len(shown) + 0.7, 3.6)
    figure.set_dpi(100)
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    colours, limits = colours_of(shown["truth"])
    images = [draw_plane(axis, values[0], colours, limits) for axis, values in zip(axes, shown.values())]
    for axis, name in zip(axes, shown if len(shown) > 1 else ()):
        axis.set_title(name, fontsize=11, color=style.INK)
    figure.colorbar(images[-1], ax=list(axes), label=label, aspect=20)

    def draw(frame: int) -> None:
        for image, planes in zip(images, shown.values()):
            image.set_data(planes[frame].T)

    return _film(figure, draw, ts)


def _line_frames(shown: dict[str, np.ndarray], ts: list[float], label: str) -> list[Image.Image]:
    figure = style.new_figure(6.0, 3.6)
    figure.set_dpi(100)
    axes = style.dress(figure.subplots(), xlabel="x / length", ylabel=label)
    truth = shown["truth"]
    x = (np.arange(truth.shape[-1]) + 0.5) / truth.shape[-1]
    looks = zip(shown.items(), (style.TRUTH, style.COLOURS[1]), ("-", "--"))
    lines = [axes.plot(x, line[0], color=c, linestyle=s, linewidth=1.8, label=name)[0] for (name, line), c, s in looks]
    low, high = float(np.nanmin(truth)), float(np.nanmax(truth))
    margin = 0.1 * (high - low) or 1.0
    axes.set_ylim(low - margin, high + margin)
    if len(shown) > 1:
        style.label_above(axes)

    def draw(frame: int) -> None:
        for line, values in zip(lines, shown.values()):
            line.set_ydata(values[frame])

    return _film(figure, draw, ts)


def _film(figure: Figure, draw: Callable[[int], None], ts: list[float]) -> list[Image.Image]:
    """A picture for each time, with the time above it."""
    heading = figure.suptitle(_clock(ts[0]), fontsize=10, color=style.INK, family="monospace")
    canvas, frames = FigureCanvasAgg(figure), []
    for frame, t in enumerate(ts):
        draw(frame)
        heading.set_text(_clock(t))
        frames.append(_snapshot(canvas))
    return frames


def _clock(t: float) -> str:
    return f"t = {t:<8.3g}"


def _snapshot(canvas: FigureCanvasAgg) -> Image.Image:
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3].copy()).quantize(256, Image.Quantize.MAXCOVERAGE)
