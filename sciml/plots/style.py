"""One look for all figures: colours that colour-blind readers can tell apart, quiet axes, no state of pyplot.

The categorical colours are M. Okabe and K. Ito's (Color Universal Design, 2008).
"""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
TRUTH = "#1A1A1A"
INK = "#404040"
SIGNED, POSITIVE, ERROR = "RdBu_r", "cividis", "PuOr_r"
NOT_A_NUMBER = "#BFBFBF"


def new_figure(width: float, height: float) -> Figure:
    """An empty figure in inches; its parts are laid out so that nothing overlaps."""
    return Figure(figsize=(width, height), dpi=150, layout="constrained")


def quantity(name: str, unit: str = "") -> str:
    """``name [unit]``, or the name alone for a pure number."""
    return f"{name} [{unit}]" if unit else name


def dress(axes: Axes, *, xlabel: str, ylabel: str, title: str = "") -> Axes:
    """Labels, a light grid behind the data, and no frame on the top and the right."""
    axes.set_xlabel(xlabel, color=INK)
    axes.set_ylabel(ylabel, color=INK)
    axes.set_title(title, fontsize=11, loc="left", color=INK)
    axes.grid(True, color="#E3E3E3", linewidth=0.7)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#8C8C8C")
    axes.tick_params(colors=INK, which="both")
    return axes


def label_above(axes: Axes, columns: int = 3) -> None:
    """The legend as a strip above the axes, where it covers no data."""
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1.0), ncols=columns, frameon=False, fontsize=9, borderaxespad=0.2)
