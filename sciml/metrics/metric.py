"""A metric as a report prints it: the label, the formula behind the label, and which way is better."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Metric:
    """One row name of a report. The same word means different numbers in different suites, so the formula goes with it.

    Attributes:
        label: the suite's own name of the metric, such as ``nRMSE``.
        formula: how it is computed, in one line.
        function: ``function(prediction, target)``, a scalar tensor. Where the suite needs more (a box, a time step),
            keyword arguments of the function take it; see its docstring.
        unit: of the value; ``u`` is the field's unit, the empty string means a pure number.
        lower_is_better: False for correlations and times of validity.
    """

    label: str
    formula: str
    function: Callable[..., Tensor]
    unit: str = ""
    lower_is_better: bool = True
