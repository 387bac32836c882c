"""Epsilon-greedy."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from sciml.kernels.bandits.choice import choose

from .averages import Averages
from .bandit import Arms, Contexts, Costs


class EpsilonGreedy:
    """The best arm so far, but any arm with probability min(1, exploration * arms / t).

    Auer, Cesa-Bianchi, Fischer, "Finite-time analysis of the multiarmed bandit problem", 2002, section 3. With a
    discount t stays finite, and with it the exploration.

    Args:
        arms: values to choose from.
        seed: of the draws.
        discount: what a cost counts for after each further one, 1 for ever.
        exploration: the constant above.
    """

    def __init__(self, arms: Arms, *, seed: int = 0, discount: float = 1.0, exploration: float = 2.0) -> None:
        self._averages, self.exploration = Averages(arms, seed, discount), exploration
        self.arms = self._averages.rounds.arms

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        return self._averages.pull(context, count, self._preferred)

    def _preferred(self, instances: int) -> np.ndarray:
        known, arms = self._averages, len(self.arms)
        share = min(1.0, self.exploration * arms / max(float(known.number.sum()), 1.0))
        probabilities = np.full(arms, share / arms)
        probabilities[known.mean.argmin()] += 1 - share
        return choose(probabilities, known.draws.uniform(instances))

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        self._averages.update(cost)

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        return self._averages.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        self._averages.load_state_dict(state)
