"""Mean and spread of the costs of each arm, with forgetting."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bandit import Arms, Contexts, Costs
from .draws import Draws
from .rounds import Rounds

_SUMS = ("number", "total", "squares", "weights")
_TRIED = 1e-3  # of a cost that is left where an arm still counts as tried


class Averages:
    """What UCB, Thompson sampling and epsilon-greedy know: sums over the past, in which a cost counts less with age.

    Args:
        arms: values to choose from.
        seed: of the draws.
        discount: what a cost counts for after each further one.

    Attributes:
        number, total, squares, weights: of each arm the sums of w, w k, w k^2 and w^2 over its costs k, where w is what
            a cost still counts for.
    """

    def __init__(self, arms: Arms, seed: int, discount: float) -> None:
        if not 0 < discount <= 1:
            raise ValueError(f"Expected 0 < discount <= 1, got {discount}.")
        self.rounds, self.draws, self.discount = Rounds(arms), Draws(seed), discount
        count = len(self.rounds.arms)
        self.number, self.total = np.zeros(count), np.zeros(count)
        self.squares, self.weights = np.zeros(count), np.zeros(count)

    @property
    def mean(self) -> np.ndarray:
        """Of each arm that has been tried, infinite of others."""
        number = self.number
        if number.min() >= _TRIED:
            return self.total / number
        return np.where(number >= _TRIED, self.total / np.maximum(number, _TRIED), np.inf)

    @property
    def spread(self) -> float:
        """Standard deviation of the costs of one arm, pooled over the arms; that of all costs where none came twice.

        Unbiased in its square: an arm's squares about its mean have expectation variance * (number - weights / number).
        """
        number = np.maximum(self.number, 1e-300)
        within = float((self.squares - self.total * self.total / number).sum())
        free = float((number - self.weights / number).sum())
        if free <= _TRIED:
            count = float(number.sum())
            within, free = float(self.squares.sum()) - float(self.total.sum()) ** 2 / count, count
        return math.sqrt(max(within, 0.0) / free)

    def pull(self, context: Contexts, count: int | None, preferred: Callable[[int], np.ndarray]) -> float | Tensor:
        """Try every arm before any is preferred.

        Args:
            context, count: see ``Bandit``.
            preferred: arms of so many instances, when at least one is known.
        """
        instances = self.rounds.instances(context, count)
        if self.number.min() >= _TRIED:
            return self.rounds.answer(preferred(instances))
        new = np.flatnonzero(self.number < _TRIED)
        if len(new) == len(self.number):
            return self.rounds.answer(np.resize(new, instances))
        new = new[:instances]
        return self.rounds.answer(np.concatenate([new, preferred(instances - len(new))]))

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        costs, pulled = self.rounds.costs(cost)
        keep = self.discount ** len(costs)
        if keep < 1:
            for sums in (self.number, self.total, self.squares):
                sums *= keep
            self.weights *= keep * keep
        arm, arms = pulled["arm"], len(self.number)
        times = np.bincount(arm, minlength=arms)
        self.number += times
        self.weights += times
        self.total += np.bincount(arm, costs, arms)
        self.squares += np.bincount(arm, costs * costs, arms)

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        sums = {name: torch.from_numpy(getattr(self, name).copy()) for name in _SUMS}
        return {**sums, "rounds": self.rounds.state_dict(), "draws": self.draws.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        for name, value in self.rounds.read(state, **{name: getattr(self, name) for name in _SUMS}).items():
            setattr(self, name, value)
        self.rounds.load_state_dict(state["rounds"])
        self.draws.load_state_dict(state["draws"])
