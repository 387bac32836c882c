"""Metrics of the public benchmarks, one module a suite: the same word is a different number in each of them.

Fields are trajectories (batch, time, channel, *space), particles (batch, time, node, dim). ``METRICS`` names every
metric that a report row can print, with its formula.
"""

from . import apebench, giorom, lagrangebench, neuralop, pdebench, poseidon, rollout, spectra, the_well
from .catalogue import METRICS
from .chamfer import chamfer_distance
from .metric import Metric

__all__ = [
    "METRICS",
    "Metric",
    "apebench",
    "chamfer_distance",
    "giorom",
    "lagrangebench",
    "neuralop",
    "pdebench",
    "poseidon",
    "rollout",
    "spectra",
    "the_well",
]
