"""Tsallis-INF, for costs of which nothing is assumed."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciml.kernels.bandits.choice import choose

from .bandit import Arms, Contexts, Costs
from .draws import Draws
from .rounds import Rounds

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
        discount: what a cost counts for after each further one, 1 for ever; less forgets, for costs that drift.

    Raises:
        ValueError: arms that are not different finite numbers, or a discount outside (0, 1].
    """

    def __init__(self, arms: Arms, *, seed: int = 0, discount: float = 1.0) -> None:
        self._rounds, self._draws = Rounds(arms), Draws(seed)
        if not 0 < discount <= 1:
            raise ValueError(f"Expected 0 < discount <= 1, got {discount}.")
        self.arms, self.discount = self._rounds.arms, discount
        self._losses = np.zeros(len(self.arms))
        self._time, self._total = 0.0, 0.0  # how many costs there were, and their sum
        self._shift = 0.0  # x of the round before

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        instances = self._rounds.instances(context, count)
        probabilities = self.probabilities()
        chosen = choose(probabilities, self._draws.uniform(instances))
        return self._rounds.answer(chosen, probability=probabilities[chosen])

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        costs, pulled = self._rounds.costs(cost)
        keep = self.discount ** len(costs)
        self._time = keep * self._time + len(costs)
        self._total = keep * self._total + float(costs.sum())
        weighted = np.maximum(costs - 1, 0) / pulled["probability"]
        self._losses *= keep
        self._losses += np.bincount(pulled["arm"], weighted, len(self.arms))

    def probabilities(self) -> np.ndarray:
        """Of the arms in the next round."""
        rate = 2 / math.sqrt(self._time + 1)
        mean = self._total / self._time - 1 if self._time else 1.0
        scaled = self._losses / (mean if mean > 0 else 1.0)
        probabilities, self._shift = tsallis_probabilities(scaled, rate, self._shift)
        return probabilities

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        numbers = {"time": self._time, "total": self._total, "shift": self._shift}
        own = {"rounds": self._rounds.state_dict(), "draws": self._draws.state_dict()}
        return {"losses": torch.from_numpy(self._losses.copy()), **numbers, **own}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        given = self._rounds.read(state, losses=self._losses, time=0.0, total=0.0, shift=0.0)
        self._losses = given["losses"]
        self._time, self._total, self._shift = (float(given[name]) for name in ("time", "total", "shift"))
        self._rounds.load_state_dict(state["rounds"])
        self._draws.load_state_dict(state["draws"])


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
