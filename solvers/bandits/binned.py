"""A learner for each bin of a context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from .bandit import Bandit, Contexts, Costs, Rounds


class Binned:
    """Contexts in equal bins, with a learner of its own in each: no bin knows of its neighbours.

    Khodak et al., "Learning to Relax", 2024, with ``lambda k: TsallisINF(arms, seed=k)``.

    Args:
        learner: of the bin of that number.
        low, high: ends of the interval of contexts; what is outside belongs to the first or last bin.
        bins: how many.

    Raises:
        ValueError: an empty interval, or no bin.
    """

    def __init__(self, learner: Callable[[int], Bandit], low: float, high: float, *, bins: int = 5) -> None:
        if not low < high or bins < 1:
            raise ValueError(f"Expected low < high and bins >= 1, got {low}, {high}, {bins}.")
        self.low, self.high = low, high
        self.learners = [learner(k) for k in range(bins)]
        self.arms = self.learners[0].arms
        self._rounds = Rounds(self.arms)
        self._bins = np.zeros(0, dtype=np.int64)

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        values, instances = self._rounds.contexts(context, count, needed=True)
        assert values is not None
        place = (values - self.low) / (self.high - self.low) * len(self.learners)
        self._bins = np.clip(np.floor(place), 0, len(self.learners) - 1).astype(np.int64)
        chosen = np.zeros(instances, dtype=np.int64)
        for k in np.unique(self._bins):
            own = self._bins == k
            pulled = self.learners[k].pull(count=int(own.sum()))
            chosen[own] = np.abs(self.arms[None] - np.asarray(pulled)[:, None]).argmin(axis=1)
        return self._rounds.answer(chosen, context, count)

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        _, costs = self._rounds.costs(cost)
        for k in np.unique(self._bins):
            self.learners[k].update(costs[self._bins == k])

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        return {str(k): learner.state_dict() for k, learner in enumerate(self.learners)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        if len(state) != len(self.learners):
            raise ValueError(f"Expected the state of {len(self.learners)} bins, got that of {len(state)}.")
        for k, learner in enumerate(self.learners):
            learner.load_state_dict(state[str(k)])
