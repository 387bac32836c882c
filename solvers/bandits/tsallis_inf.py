"""Tsallis-INF, for costs of which nothing is assumed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bandit import Contexts, Costs, Rounds
from .draws import Draws, choose

_NEWTON = 20  # steps at most: five have been enough


class TsallisINF:
    """Follow the regularised leader with Tsallis entropy 1/2 and importance-weighted costs.

    Zimmert, Seldin, "Tsallis-INF: An optimal algorithm for stochastic and adversarial bandits", JMLR 22, 2021; with the
    scaling of Khodak, Chow, Balcan, Talwalkar, "Learning to Relax", ICLR 2024: costs k count as k - 1, and what they
    sum up to is divided by their mean so far, so that no range has to be known. The released code solves for the
    probabilities by a Newton iteration that does not converge once costs are large, which makes it nearly greedy; here
    it does.

    Args:
        arms: values to choose from.
        seed: of the draws.
        discount: what a cost counts for after each further round, 1 for ever; less forgets, for costs that drift.

    Raises:
        ValueError: arms that are not different finite numbers, or a discount outside (0, 1].
    """

    def __init__(self, arms: Tensor | Sequence[float], *, seed: int = 0, discount: float = 1.0) -> None:
        self._rounds, self._draws = Rounds(arms), Draws(seed)
        if not 0 < discount <= 1:
            raise ValueError(f"Expected 0 < discount <= 1, got {discount}.")
        self.arms, self.discount = self._rounds.arms, discount
        self._losses = np.zeros(len(self.arms))
        self._time, self._total, self._count = 0.0, 0.0, 0.0
        self._shift: float | None = None
        self._played = np.zeros(0)

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        _, instances = self._rounds.contexts(context, count, needed=False)
        probabilities = self.probabilities()
        chosen = choose(probabilities, self._draws.uniform(instances))
        self._played = probabilities[chosen]
        return self._rounds.answer(chosen, context, count)

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        chosen, costs = self._rounds.costs(cost)
        keep = self.discount ** len(costs)
        self._time = keep * self._time + len(costs)
        self._total, self._count = keep * self._total + costs.sum(), keep * self._count + len(costs)
        self._losses *= keep
        np.add.at(self._losses, chosen, np.maximum(costs - 1, 0) / self._played)

    def probabilities(self) -> np.ndarray:
        """Of the arms in the next round."""
        rate = 2 / np.sqrt(self._time + 1)
        mean = self._total / self._count - 1 if self._count else 1.0
        scaled = self._losses / (mean if mean > 0 else 1.0)
        probabilities, self._shift = tsallis_probabilities(scaled, rate, self._shift)
        return probabilities

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        return {
            "losses": torch.from_numpy(self._losses.copy()),
            "time": self._time,
            "total": self._total,
            "count": self._count,
            "draws": self._draws.count,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        losses = state["losses"].numpy().astype(np.float64)
        if losses.shape != self._losses.shape:
            raise ValueError(f"Expected the state of {len(self.arms)} arms, got that of {len(losses)}.")
        self._losses, self._shift = losses.copy(), None
        self._time, self._total, self._count = (float(state[k]) for k in ("time", "total", "count"))
        self._draws.count = int(state["draws"])


def tsallis_probabilities(losses: np.ndarray, rate: float, guess: float | None = None) -> tuple[np.ndarray, float]:
    """p = 4 / (rate (losses - x))^2 with sum 1, and x < min(losses).

    sum(p)^(-1/2) increases with gap = min(losses) - x, concave and nearly straight: Newton's method for its being 1
    never jumps too far, from any guess, and takes a few steps. x itself, beside large losses, would be too coarse.

    Args:
        losses: of the arms.
        rate: of learning, > 0.
        guess: x of a similar problem.
    """
    least, unit = float(losses.min()), 2 / rate
    beyond = losses - least
    most = unit * math.sqrt(len(losses))
    gap = most if guess is None else min(max(least - guess, unit), most)
    for _ in range(_NEWTON):
        root = unit / (beyond + gap)
        square = root * root
        total = float(square.sum())
        if abs(total - 1) <= 1e-12:
            break
        gap = max(gap + unit * (math.sqrt(total) - 1) * total / float(square @ root), unit)
    return square / total, least - gap
