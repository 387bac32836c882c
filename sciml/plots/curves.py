"""Curves of a report: error against time, spectra, accuracy against cost, training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from . import style


@dataclass(frozen=True, slots=True)
class AccuracyCost:
    """One operator in the plane of cost and error; of what unit, the labels of the figure say."""

    name: str
    cost: float
    error: float


def error_over_time(
    errors: Mapping[str, Float[Tensor, "seed time"]],
    ts: Float[Tensor, " time"],
    *,
    metric: str = "nRMSE",
    time_unit: str = "",
    threshold: float | None = None,
) -> Figure:
    """The median over seeds of each operator with a band from the smallest to the largest, on a logarithmic axis.

    Args:
        errors: by operator; NaN and infinite values (a rollout that blew up) end its curve.
        metric: name of the error, for the label.
        threshold: drawn as a dotted line where given.
    """
    figure = style.new_figure(6.4, 4.2)
    axes = style.dress(figure.subplots(), xlabel=style.quantity("time", time_unit), ylabel=metric)
    times = ts.detach().cpu()
    for (name, values), colour in zip(errors.items(), _cycle(style.COLOURS, len(errors))):
        runs = values.detach().to("cpu", torch.float64)
        axes.plot(times, runs.median(0).values, color=colour, linewidth=2, label=name)
        axes.fill_between(times, runs.amin(0), runs.amax(0), color=colour, alpha=0.18, linewidth=0)
    if threshold is not None:
        axes.axhline(threshold, color=style.INK, linestyle=":", linewidth=1.2, label=f"{metric} = {threshold:g}")
    axes.set_yscale("log")
    style.label_above(axes)
    return figure


def spectra(
    wavenumber: Float[Tensor, " shell"],
    truth: Float[Tensor, " shell"],
    predictions: Mapping[str, Float[Tensor, " shell"]],
    *,
    unit: str = "",
    resolved: int | None = None,
) -> Figure:
    """Energy spectra on logarithmic axes: the truth in black, predictions in colour; the mean (k = 0) is left out.

    Args:
        wavenumber, truth, predictions: as ``energy_spectrum`` returns them, averaged over what is to be averaged.
        unit: of the energy.
        resolved: the first shell that the grid holds in part only; a line marks it.
    """
    figure = style.new_figure(6.0, 4.4)
    axes = style.dress(
        figure.subplots(), xlabel="wavenumber k [waves per domain]", ylabel=style.quantity("energy E(k)", unit)
    )
    k = wavenumber.detach().cpu()[1:]
    axes.loglog(k, truth.detach().cpu()[1:], color=style.TRUTH, linewidth=2.4, label="truth")
    for (name, energy), colour in zip(predictions.items(), _cycle(style.COLOURS, len(predictions))):
        axes.loglog(k, energy.detach().cpu()[1:], color=colour, linewidth=1.6, label=name)
    if resolved is not None:
        axes.axvline(resolved, color=style.INK, linestyle=":", linewidth=1.2, label="grid limit")
    style.label_above(axes, 4)
    return figure


def accuracy_cost(
    points: Sequence[AccuracyCost], *, cost: str = "seconds per step", error: str = "nRMSE", title: str = ""
) -> Figure:
    """Operators in the plane of cost and error, both logarithmic, with the Pareto front: those that none beats in both.

    Points without a finite, positive cost and error are left out, and named below the figure.

    Raises:
        ValueError: no point can be drawn.
    """
    drawn = [point for point in points if 0 < point.cost < float("inf") and 0 < point.error < float("inf")]
    if not drawn:
        raise ValueError(f"Expected points with a finite, positive cost and error, got {list(points)}.")
    figure = style.new_figure(6.4, 4.6)
    axes = style.dress(figure.subplots(), xlabel=cost, ylabel=error, title=title)
    axes.set(xscale="log", yscale="log")
    front = pareto_front(drawn)
    axes.step([p.cost for p in front], [p.error for p in front], where="post", color="#B0B0B0", linewidth=1.4, zorder=1)
    styles = zip(drawn, _cycle(style.COLOURS, len(drawn)), _cycle(style.MARKERS, len(drawn)))
    for point, colour, marker in styles:
        label = f"{point.name} (front)" if point in front else point.name
        axes.scatter(point.cost, point.error, s=70, color=colour, marker=marker, label=label, zorder=2)
    axes.margins(0.12)
    # A list beside the axes: names at the points would run into each other.
    axes.legend(loc="upper left", bbox_to_anchor=(1.01, 1.0), frameon=False, fontsize=9, borderaxespad=0)
    missing = [point.name for point in points if point not in drawn]
    if missing:
        figure.supxlabel("not drawn: " + ", ".join(missing), fontsize=8, color=style.INK)
    return figure


def pareto_front(points: Sequence[AccuracyCost]) -> list[AccuracyCost]:
    """The points that no other beats or equals in both cost and error, by rising cost."""
    front: list[AccuracyCost] = []
    for point in sorted(points, key=lambda point: (point.cost, point.error)):
        if not front or point.error < front[-1].error:
            front.append(point)
    return front


def training_curve(
    losses: Mapping[str, Sequence[float]], *, xlabel: str = "epoch", ylabel: str = "loss", best: str | None = None
) -> Figure:
    """Losses against the epoch, counted from 1, on a logarithmic axis.

    Args:
        losses: by name, such as training and validation.
        best: the curve whose smallest value is marked.
    """
    figure = style.new_figure(6.0, 4.0)
    axes = style.dress(figure.subplots(), xlabel=xlabel, ylabel=ylabel)
    for (name, values), colour in zip(losses.items(), _cycle(style.COLOURS, len(losses))):
        axes.plot(range(1, len(values) + 1), values, color=colour, linewidth=1.8, label=name)
    if best is not None:
        _mark_lowest(axes, losses[best], best)
    axes.set_yscale("log")
    style.label_above(axes)
    return figure


def _mark_lowest(axes: Axes, values: Sequence[float], name: str) -> None:
    lowest = min(range(len(values)), key=values.__getitem__)
    label = f"best {name}: {values[lowest]:.3g} at {lowest + 1}"
    axes.plot(lowest + 1, values[lowest], "o", markersize=8, markerfacecolor="none", color=style.INK, label=label)


def _cycle(items: Sequence[str], count: int) -> list[str]:
    return [items[index % len(items)] for index in range(count)]
