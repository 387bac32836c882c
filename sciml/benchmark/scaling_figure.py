"""Scaling curves of one task, with the points at which the gains are read off."""

from __future__ import annotations

import math
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, LogLocator, NullFormatter

from sciml.benchmark.gains import EFFICIENCY_SAMPLES, STEADY, STEADY_EFFICIENCY_SAMPLES, efficiency_gain
from sciml.benchmark.scaling import ScalingCurve
from sciml.plots import style


def scaling_figure(
    curves: Sequence[ScalingCurve], *, baseline: str = "FNO", efficiency_samples: int | None = None
) -> Figure:
    """Error against training samples on logarithmic axes; a circle where each model is as good as the baseline.

    A dotted line shows the baseline's error with S samples, and each circle's EG is S over the samples below it.

    Raises:
        ValueError: no curves, of several tasks, none of the baseline, or one that does not go to S.
    """
    tasks = {curve.task for curve in curves}
    base = next((curve for curve in curves if curve.model == baseline), None)
    if len(tasks) != 1 or base is None:
        raise ValueError(f"Expected curves of one task with {baseline} among them, got {sorted(tasks) or 'none'}.")
    steady = base.task in STEADY
    upto = efficiency_samples or (STEADY_EFFICIENCY_SAMPLES if steady else EFFICIENCY_SAMPLES)
    level = base.error_at(upto)
    figure = style.new_figure(6.4, 4.4)
    xlabel = "training samples" if steady else "training trajectories"
    axes = style.dress(figure.subplots(), xlabel=xlabel, ylabel="median relative L1 error [%]")
    axes.set(xscale="log", yscale="log")
    _plain_ticks(axes, sorted({n for curve in curves for n in curve.samples}))
    axes.axhline(level, color=style.INK, linestyle=":", linewidth=1.2, label=f"{baseline} with {upto:g}")
    for k, curve in enumerate([base, *(curve for curve in curves if curve is not base)]):
        _draw(axes, curve, base, upto, k)
    bottom = axes.get_ylim()[0]
    for k, curve in enumerate(curve for curve in curves if curve is not base):
        reached = curve.reaches(level)
        if math.isfinite(reached.samples):
            height = curve.errors[0] if reached.bound else level
            colour = style.COLOURS[(k + 1) % len(style.COLOURS)]
            axes.plot(reached.samples, height, "o", markersize=11, markerfacecolor="none", color=colour)
            axes.vlines(reached.samples, bottom, height, color=colour, linestyle=":", linewidth=1.0)
    axes.set_ylim(bottom=bottom)
    figure.suptitle(base.task, fontsize=11, x=0.02, ha="left", color=style.INK)
    style.label_above(axes, 2)
    return figure


def _plain_ticks(axes: Axes, samples: Sequence[int]) -> None:
    """Ticks at the numbers that were trained on, and at 1, 2 and 5 times powers of ten of the error."""
    axes.xaxis.set_major_locator(FixedLocator(samples))
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter("{x:g}")
        axis.set_minor_formatter(NullFormatter())


def _draw(axes: Axes, curve: ScalingCurve, base: ScalingCurve, upto: int, k: int) -> None:
    colour, marker = style.COLOURS[k % len(style.COLOURS)], style.MARKERS[k % len(style.MARKERS)]
    label = curve.model
    if curve is not base:
        gain = efficiency_gain(curve, base, samples=upto)
        label += f" (EG {'≥ ' if gain.bound else ''}{gain.value:.1f})"
    axes.plot(curve.samples, curve.errors, marker=marker, markersize=5, color=colour, linewidth=1.8, label=label)
