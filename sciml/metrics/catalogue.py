"""All metrics that need a prediction and a target only, by ``suite/label``: the rows a report can print."""

from __future__ import annotations

from . import apebench, giorom, lagrangebench, neuralop, pdebench, poseidon, rollout, spectra, the_well
from .metric import Metric

METRICS: dict[str, Metric] = {
    **pdebench.METRICS,
    **the_well.METRICS,
    **apebench.METRICS,
    **lagrangebench.METRICS,
    **giorom.METRICS,
    **poseidon.METRICS,
    **neuralop.METRICS,
    **spectra.METRICS,
    **rollout.METRICS,
}
