"""Epsilon-greedy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from .averages import Averages
from .bandit import Contexts, Costs
from .draws import choose


class EpsilonGreedy:
    """The best arm so far, but any arm with probability min(1, exploration * arms / t).

    Auer, Cesa-Bianchi, Fischer, "Finite-time analysis of the multiarmed bandit problem", 2002, section 3. With a
    discount t stays finite, and with it the exploration.

    Args:
        arms: values to choose from.
        seed: of the draws.
        discount: what a cost counts for after each further round, 1 for ever.
        exploration: the constant above.
    """

    def __init__(
        self, arms: Tensor | Sequence[float], *, seed: int = 0, discount: float = 1.0, exploration: float = 2.0
    ) -> None:
        self._averages, self.exploration = Averages(arms, seed, discount), exploration
        self.arms = self._averages.rounds.arms

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        known = self._averages
        _, instances = known.rounds.contexts(context, count, needed=False)
        chosen = known.untried(instances)
        late = np.flatnonzero(chosen < 0)
        if len(late):
            arms = len(self.arms)
            share = min(1.0, self.exploration * arms / max(known.number.sum(), 1.0))
            probabilities = np.full(arms, share / arms)
            probabilities[known.mean.argmin()] += 1 - share
            chosen[late] = choose(probabilities, known.draws.uniform(len(late)))
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
