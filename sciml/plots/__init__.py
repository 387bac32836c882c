"""Figures of rollouts and reports. Each function returns a ``matplotlib.figure.Figure``: ``.savefig("name.png")``.

Nothing here touches pyplot: no window, no global state, safe in threads and on machines without a screen.
"""

from .animation import animate
from .curves import AccuracyCost, accuracy_cost, error_over_time, pareto_front, spectra, training_curve
from .fields import fields, space_time
from .film import Film
from .particles import particles
from .splat import View, splat

__all__ = [
    "AccuracyCost",
    "Film",
    "View",
    "accuracy_cost",
    "animate",
    "error_over_time",
    "fields",
    "pareto_front",
    "particles",
    "space_time",
    "spectra",
    "splat",
    "training_curve",
]
