"""Truth, prediction and error side by side, at times along a rollout of one sample."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from torch import Tensor

from . import style

Rollout = Float[Tensor, "time channel *space"]
ROWS = ("truth", "prediction", "error")


def fields(
    truth: Rollout,
    prediction: Rollout,
    ts: Float[Tensor, " time"],
    *,
    channel: int = 0,
    name: str = "u",
    unit: str = "",
    frames: Sequence[int] | None = None,
) -> Figure:
    """Rows truth, prediction, error; columns times. Images in 2D, the middle plane of the last axis in 3D, lines in 1D.

    Truth and prediction share their colours, symmetric about zero for a field of both signs; the error has its own,
    symmetric ones. The limits are the truth's: a prediction that leaves them saturates. NaN shows grey.

    Args:
        truth, prediction: one sample's rollout.
        ts: times of the frames.
        channel: which channel is drawn.
        name, unit: of that channel, for the labels.
        frames: which frames, up to five spread over the rollout by default.

    Raises:
        ValueError: shapes that differ, or not (time, channel, *space) with one to three spatial axes.
    """
    target, guess = channel_values(truth, prediction, channel)
    shown = list(frames) if frames is not None else spread(len(target))
    titles = [f"t = {float(ts[frame]):.3g}" for frame in shown]
    if target.ndim == 2:
        return _lines(target[shown], guess[shown], titles, style.quantity(name, unit))
    return _images(middle_plane(target[shown]), middle_plane(guess[shown]), titles, name, unit)


def space_time(
    truth: Rollout,
    prediction: Rollout,
    ts: Float[Tensor, " time"],
    *,
    channel: int = 0,
    name: str = "u",
    unit: str = "",
    length: float = 1.0,
) -> Figure:
    """A field in 1D as images over space (across, 0 to ``length``) and time (upwards): truth, prediction, error."""
    target, guess = channel_values(truth, prediction, channel)
    if target.ndim != 2:
        raise ValueError(
            f"Expected truth of shape (time, channel, x), got {tuple(truth.shape)}. Use fields in 2D and 3D."
        )
    figure = style.new_figure(10, 3.6)
    axes = figure.subplots(1, 3, sharey=True)
    extent = (0.0, length, float(ts[0]), float(ts[-1]))
    for axis, title, values, (colours, limits) in _rows(axes, target, guess):
        image = axis.imshow(values, origin="lower", aspect="auto", extent=extent, cmap=colours, norm=limits)
        axis.set_title(title, fontsize=11, color=style.INK)
        axis.set_xlabel("x", color=style.INK)
        if title != "truth":
            figure.colorbar(
                image, ax=axis, label=style.quantity(name if title == "prediction" else f"{name} error", unit)
            )
    axes[0].set_ylabel("t", color=style.INK)
    return figure


def channel_values(truth: Tensor, prediction: Tensor, channel: int) -> tuple[np.ndarray, np.ndarray]:
    """One channel of both as arrays (time, *space)."""
    if truth.shape != prediction.shape or not 3 <= truth.ndim <= 5:
        raise ValueError(
            "Expected truth and prediction of one shape (time, channel, *space) with one to three spatial axes, got "
            f"{tuple(truth.shape)} and {tuple(prediction.shape)}. Choose one sample of a batch: u[0]."
        )
    first, second = (u[:, channel].detach().to("cpu", torch.float32).numpy() for u in (truth, prediction))
    return first, second


def middle_plane(values: np.ndarray) -> np.ndarray:
    """(time, x, y) as it is; of (time, x, y, z) the plane in the middle of z."""
    return values[..., values.shape[-1] // 2] if values.ndim == 4 else values


def spread(count: int, shown: int = 5) -> list[int]:
    """Up to ``shown`` frames from the first to the last."""
    return sorted({round(part) for part in np.linspace(0, count - 1, min(count, shown))})


def colours_of(values: np.ndarray) -> tuple[Colormap, Normalize]:
    """A map and limits for a field: signed and symmetric about zero, or sequential where it has one sign."""
    finite = values[np.isfinite(values)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    if low < 0 < high:
        return _with_grey(style.SIGNED), Normalize(-max(-low, high), max(-low, high))
    return _with_grey(style.POSITIVE), Normalize(low, high)


def error_colours(error: np.ndarray) -> tuple[Colormap, Normalize]:
    """A signed map and symmetric limits for an error."""
    finite = np.abs(error[np.isfinite(error)])
    largest = float(finite.max()) if finite.size else 0.0
    return _with_grey(style.ERROR), Normalize(-(largest or 1.0), largest or 1.0)


def _with_grey(name: str) -> Colormap:
    return colormaps[name].with_extremes(bad=style.NOT_A_NUMBER)


def _rows(axes: np.ndarray, target: np.ndarray, guess: np.ndarray) -> zip:
    error = guess - target
    field = colours_of(target)
    return zip(axes, ROWS, (target, guess, error), (field, field, error_colours(error)))


def _images(target: np.ndarray, guess: np.ndarray, titles: list[str], name: str, unit: str) -> Figure:
    columns = len(titles)
    height, width = target.shape[2], target.shape[1]
    panel = 2.1 * min(1.0, 5 / columns)
    figure = style.new_figure(panel * columns + 1.4, 3 * panel * min(max(height / width, 0.5), 2.5) + 0.5)
    axes = figure.subplots(3, columns, squeeze=False)
    last = {}
    for row, title, values, (colours, limits) in _rows(axes, target, guess):
        last[title] = [draw_plane(axis, plane, colours, limits) for axis, plane in zip(row, values)][-1]
        row[0].set_ylabel(title, fontsize=11, color=style.INK)
    figure.colorbar(last["truth"], ax=axes[:2], label=style.quantity(name, unit), aspect=30)
    figure.colorbar(last["error"], ax=axes[2], label=style.quantity("error", unit), aspect=15)
    for axis, title in zip(axes[0], titles):
        axis.set_title(title, fontsize=11, color=style.INK)
    return figure


def draw_plane(axis: Axes, plane: np.ndarray, colours: Colormap, limits: Normalize) -> AxesImage:
    """One image with x across and y upwards, without ticks."""
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_color("#8C8C8C")
    return axis.imshow(plane.T, origin="lower", cmap=colours, norm=limits, interpolation="nearest")


def _lines(target: np.ndarray, guess: np.ndarray, titles: list[str], label: str) -> Figure:
    x = (np.arange(target.shape[-1]) + 0.5) / target.shape[-1]
    figure = style.new_figure(2.4 * len(titles) + 0.8, 4.2)
    axes = figure.subplots(2, len(titles), squeeze=False, sharex=True, sharey="row", height_ratios=(2, 1))
    for column, title, values, approximation in zip(axes.T, titles, target, guess):
        style.dress(column[0], xlabel="", ylabel="", title=title)
        column[0].plot(x, values, color=style.TRUTH, linewidth=1.8, label="truth")
        column[0].plot(x, approximation, color=style.COLOURS[1], linewidth=1.5, linestyle="--", label="prediction")
        style.dress(column[1], xlabel="x / length", ylabel="")
        column[1].axhline(0, color="#8C8C8C", linewidth=0.7)
        column[1].plot(x, approximation - values, color=style.COLOURS[0], linewidth=1.3)
    axes[0, 0].set_ylabel(label, color=style.INK)
    axes[1, 0].set_ylabel("error", color=style.INK)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper right", ncols=2, frameon=False, fontsize=9)
    return figure
