"""Clouds of particles: truth and prediction at times along a rollout of one sample."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from . import style
from .fields import spread

Cloud = Float[Tensor, "time node dim"]


def particles(
    truth: Cloud,
    prediction: Cloud,
    ts: Float[Tensor, " time"],
    *,
    unit: str = "",
    frames: Sequence[int] | None = None,
) -> Figure:
    """Rows truth and prediction, columns times; predicted particles are coloured by their distance from the true ones.

    Of positions in 3D the first and the last coordinate are drawn, as seen from the side. Particles across a periodic
    boundary count as far apart: give unwrapped positions.

    Args:
        truth, prediction: positions of one sample.
        ts: times of the frames.
        unit: of the positions.
        frames: which frames, up to five spread over the rollout by default.

    Raises:
        ValueError: shapes that differ or are not (time, node, 2 or 3).
    """
    if truth.shape != prediction.shape or truth.ndim != 3 or truth.shape[-1] not in (2, 3):
        raise ValueError(
            "Expected truth and prediction of one shape (time, node, dim) with dim 2 or 3, got "
            f"{tuple(truth.shape)} and {tuple(prediction.shape)}. Choose one sample of a batch: x[0]."
        )
    shown = list(frames) if frames is not None else spread(len(truth))
    target, guess = (x[shown].detach().to("cpu", torch.float32) for x in (truth, prediction))
    distance = (guess - target).norm(dim=-1).nan_to_num(posinf=0.0)
    low, high = target[..., [0, -1]].flatten(0, 1).amin(0), target[..., [0, -1]].flatten(0, 1).amax(0)
    width, height = (high - low).tolist()
    figure = style.new_figure(2.1 * len(shown) + 1.4, 4.2 * min(max(height / width, 0.5), 2.0) + 0.8)
    axes = figure.subplots(2, len(shown), squeeze=False, sharex=True, sharey=True)
    size = min(14.0, 3000 / truth.shape[1])
    for column, frame in enumerate(shown):
        axes[0, column].scatter(target[column, :, 0], target[column, :, -1], s=size, color=style.TRUTH, linewidths=0)
        drawn = axes[1, column].scatter(
            guess[column, :, 0], guess[column, :, -1], s=size, c=distance[column], cmap="plasma_r", vmin=0,
            vmax=float(distance.max()) or 1.0, linewidths=0,
        )  # fmt: skip
        axes[0, column].set_title(f"t = {float(ts[frame]):.3g}", fontsize=11, color=style.INK)
    for axis in axes.flat:
        axis.set_aspect("equal")
        axis.tick_params(labelsize=8, colors=style.INK)
    for row, name in zip(axes, ("truth", "prediction")):
        row[0].set_ylabel(name, fontsize=11, color=style.INK)
    margin = 0.05 * max(width, height)
    (left, bottom), (right, top) = low.tolist(), high.tolist()
    axes[0, 0].set(xlim=(left - margin, right + margin), ylim=(bottom - margin, top + margin))
    figure.colorbar(drawn, ax=axes, label=style.quantity("distance from truth", unit), aspect=25)
    return figure
