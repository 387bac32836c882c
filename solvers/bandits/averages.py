"""Mean and spread of the costs of each arm, with forgetting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bandit import Contexts, Costs, Rounds
from .draws import Draws


class Averages:
    """What UCB, Thompson sampling and epsilon-greedy know: sums over the past, in which a cost counts less with age.

    Args:
        arms: values to choose from.
        seed: of the draws.
        discount: what a cost counts for after each further round.
    """

    def __init__(self, arms: Tensor | Sequence[float], seed: int, discount: float) -> None:
        if not 0 < discount <= 1:
            raise ValueError(f"Expected 0 < discount <= 1, got {discount}.")
        self.rounds, self.draws, self.discount = Rounds(arms), Draws(seed), discount
        count = len(self.rounds.arms)
        self.number, self.total, self.squares = np.zeros(count), np.zeros(count), np.zeros(count)

    def untried(self, instances: int) -> np.ndarray:
        """An arm for each instance, so that every arm is tried before any is preferred; -1 where all have been."""
        new = np.flatnonzero(self.number < 1e-3)
        chosen = np.full(instances, -1)
        chosen[: len(new)] = new[:instances]
        return chosen

    @property
    def mean(self) -> np.ndarray:
        """Of each arm that has been tried, 0 of others."""
        return self.total / np.maximum(self.number, 1e-12)

    @property
    def spread(self) -> float:
        """Standard deviation of the costs of one arm, pooled over the arms; that of all costs where there is none."""
        within = (self.squares - self.number * self.mean**2).clip(min=0).sum()
        return float(np.sqrt(within / max(self.number.sum(), 1.0)))

    @property
    def range(self) -> float:
        """From the cheapest arm to the dearest."""
        tried = self.mean[self.number >= 1e-3]
        return float(tried.max() - tried.min()) if len(tried) else 1.0

    def answer(self, chosen: np.ndarray, context: Contexts, count: int | None) -> float | Tensor:
        """See ``Rounds``."""
        return self.rounds.answer(chosen, context, count)

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        chosen, costs = self.rounds.costs(cost)
        for sums in (self.number, self.total, self.squares):
            sums *= self.discount ** len(costs)
        np.add.at(self.number, chosen, 1.0)
        np.add.at(self.total, chosen, costs)
        np.add.at(self.squares, chosen, costs**2)

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        sums = {name: torch.from_numpy(getattr(self, name).copy()) for name in ("number", "total", "squares")}
        return {**sums, "draws": self.draws.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        for name in ("number", "total", "squares"):
            given = state[name].numpy().astype(np.float64)
            if given.shape != self.number.shape:
                raise ValueError(f"Expected the state of {len(self.number)} arms, got that of {len(given)}.")
            setattr(self, name, given.copy())
        self.draws.count = int(state["draws"])
