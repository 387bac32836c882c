"""A learner for each bin of a context."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bandit import Bandit, Contexts, Costs
from .rounds import Rounds


class Binned:
    """Contexts in equal bins, with a learner of its own in each: no bin knows of its neighbours.

    Khodak et al., "Learning to Relax", 2024, with ``lambda k: TsallisINF(arms, seed=k)``.

    Args:
        learner: of the bin of that number.
        low, high: ends of the interval of contexts; what is outside belongs to the first or last bin.
        bins: how many.

    Raises:
        ValueError: an empty or endless interval, no bin, or bins of different arms.
    """

    def __init__(self, learner: Callable[[int], Bandit], low: float, high: float, *, bins: int = 5) -> None:
        if not -math.inf < low < high < math.inf or bins < 1:
            raise ValueError(f"Expected low < high, both finite, and bins >= 1, got {low}, {high}, {bins}.")
        self.low, self.high = low, high
        self.learners = [learner(k) for k in range(bins)]
        self.arms = self.learners[0].arms
        for k, other in enumerate(self.learners):
            if not np.array_equal(other.arms, self.arms):
                raise ValueError(f"Expected bins of the same arms {self.arms.tolist()}, got {other.arms} in bin {k}.")
        self._rounds = Rounds(self.arms)
        self._places = {arm: k for k, arm in enumerate(self.arms.tolist())}

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        values = self._rounds.contexts(context, count)
        place = (values - self.low) / (self.high - self.low) * len(self.learners)
        bins = np.minimum(np.maximum(place, 0), len(self.learners) - 1).astype(np.int64)
        chosen = np.zeros(len(bins), dtype=np.int64)
        for k in sorted(set(bins.tolist())):
            own = bins == k
            pulled = torch.as_tensor(self.learners[k].pull(count=int(own.sum())))
            chosen[own] = [self._places[arm] for arm in pulled.tolist()]
        return self._rounds.answer(chosen, bin=bins)

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        costs, pulled = self._rounds.costs(cost)
        for k in sorted(set(pulled["bin"].tolist())):
            self.learners[k].update(costs[pulled["bin"] == k])

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        return {"rounds": self._rounds.state_dict(), "bins": [learner.state_dict() for learner in self.learners]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        self._rounds.read(state)
        if len(state.get("bins", [])) != len(self.learners):
            raise ValueError(
                f"Expected the state of {len(self.learners)} bins, got that of {len(state.get('bins', []))}."
            )
        for learner, own in zip(self.learners, state["bins"], strict=True):
            learner.load_state_dict(own)
        self._rounds.load_state_dict(state["rounds"])
