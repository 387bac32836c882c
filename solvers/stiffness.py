"""Whether stability holds the steps of an explicit scheme back."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from .host import any_of
from .stepper import Step, Stepper

_WATCH_EVERY, _WATCH_HITS = 32, 8  # steps between looks at the stiffness estimate; suspicious looks before a warning
_HELD = 0.7  # of the stability limit: a controller that stability holds back swings about the limit

STIFF_HINT = (
    "its steps are held back by stability, not by the tolerance: the problem is stiff for it. "
    "Use an implicit stepper, such as ImplicitRungeKutta(field, KVAERNO5) or Rosenbrock(field, RODAS4)."
)


class StiffnessWarning(UserWarning):
    """An explicit scheme's steps are bounded by its stability, not by the tolerance."""


@dataclass
class StiffnessWatch:
    """Looks at the stiffness estimate now and then, and warns once.

    Attributes:
        warned: whether it has.
        suspicions: the last looks, in a row, that found steps held back by stability.
    """

    warned: bool = False
    suspicions: int = 0

    def is_due(self, attempts: int) -> bool:
        """Whether to look at the step of that number."""
        return not self.warned and attempts % _WATCH_EVERY == 0

    def look(self, stepper: Stepper, step: Step, dt: Tensor, moved: Tensor) -> None:
        """Warn where accepted steps stay as long as stability lets them."""
        limit = getattr(stepper, "stability", None)
        if limit is None or step.stiffness is None:
            return
        with torch.no_grad():
            held = moved & (step.stiffness() * dt.abs() > _HELD * limit)
        self.suspicions = self.suspicions + 1 if any_of(held) else 0
        self.warned = self.suspicions >= _WATCH_HITS
        if self.warned:
            warnings.warn(f"{type(stepper).__name__}: {STIFF_HINT}", StiffnessWarning, stacklevel=4)
