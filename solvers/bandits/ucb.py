"""Upper confidence bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from .averages import Averages
from .bandit import Contexts, Costs


class UCB:
    """The arm whose cost could be least: mean - width * range * sqrt(2 ln t / n), with the range of the arms' means.

    Auer, Cesa-Bianchi, Fischer, "Finite-time analysis of the multiarmed bandit problem", 2002; discounted, Garivier,
    Moulines, "On upper-confidence bound policies for switching bandit problems", 2011. In a batch each pull counts
    before the next, with no cost known yet.

    Args:
        arms: values to choose from.
        seed: of draws, of which it needs none.
        discount: what a cost counts for after each further round, 1 for ever.
        width: of the confidence interval; 1 is the theory's for costs within the range.
    """

    def __init__(
        self, arms: Tensor | Sequence[float], *, seed: int = 0, discount: float = 1.0, width: float = 0.25
    ) -> None:
        self._averages, self.width = Averages(arms, seed, discount), width
        self.arms = self._averages.rounds.arms

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        known = self._averages
        _, instances = known.rounds.contexts(context, count, needed=False)
        chosen, number = known.untried(instances), known.number.copy()
        for k in np.flatnonzero(chosen < 0):
            total = max(number.sum(), 2.0)
            bound = known.mean - self.width * known.range * np.sqrt(2 * np.log(total) / np.maximum(number, 1e-12))
            chosen[k] = bound.argmin()
            number[chosen[k]] += 1
        return known.answer(chosen, context, count)

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        self._averages.update(cost)

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        return self._averages.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        self._averages.load_state_dict(state)
