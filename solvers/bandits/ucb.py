"""Upper confidence bounds."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from torch import Tensor

from .averages import Averages
from .bandit import Arms, Contexts, Costs


class UCB:
    """The arm whose cost could be least: mean - width * spread * sqrt(2 ln t / n), with one spread for all arms.

    Katehakis, Robbins, "Sequential choice from several populations", PNAS 92, 1995, for normal costs of one known
    spread; here it is estimated from the costs, pooled over the arms: one arm alone would too often show little of it,
    and the range of the arms' means is large where bad arms are very bad. Discounted, Garivier, Moulines, "On
    upper-confidence bound policies for switching bandit problems", 2011. In a batch each pull counts before the next,
    with no cost known yet.

    Args:
        arms: values to choose from.
        seed: of draws, of which it needs none.
        discount: what a cost counts for after each further one, 1 for ever.
        width: of the confidence interval, in parts of the theory's.
    """

    def __init__(self, arms: Arms, *, seed: int = 0, discount: float = 1.0, width: float = 1.0) -> None:
        self._averages, self.width = Averages(arms, seed, discount), width
        self.arms = self._averages.rounds.arms

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        return self._averages.pull(context, count, self._preferred)

    def _preferred(self, instances: int) -> np.ndarray:
        known = self._averages
        mean, number = known.mean, np.maximum(known.number, 1e-12)
        width, chosen = self.width * known.spread, np.zeros(instances, dtype=np.int64)
        for k in range(instances):
            reach = width * math.sqrt(2 * math.log(max(float(number.sum()), 2.0)))
            chosen[k] = (mean - reach / np.sqrt(number)).argmin()
            number[chosen[k]] += 1
        return chosen

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        self._averages.update(cost)

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        return self._averages.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        self._averages.load_state_dict(state)
