"""ChebCB: the cost of each arm as a polynomial of the context."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bandit import Contexts, Costs, Rounds
from .bounded_least_squares import bounded_least_squares
from .draws import Draws, choose


class ChebCB:
    """Chebyshev regression of each arm's cost on the context, and SquareCB's exploration.

    Khodak, Chow, Balcan, Talwalkar, "Learning to Relax: Setting Solver Parameters Across a Sequence of Linear System
    Instances", ICLR 2024, algorithm 4, as in its released code; Foster, Rakhlin, "Beyond UCB", ICML 2020. Costs k count
    as (k - 1) / (K N), with K the largest so far and N = 6 + 4 ln m. Coefficients are those of least squares within the
    bounds that a Lipschitz function obeys, |theta_0| <= 1 / N and |theta_j| <= 2 / (N j). Sums over the past are kept
    instead of the past, so that a round costs the same at any time.

    Args:
        arms: values to choose from.
        low, high: ends of the interval of contexts; what is outside is taken to the nearest end.
        degree: highest degree of the polynomials.
        seed: of the draws.
        discount: what a cost counts for after each further round, 1 for ever; less forgets, for costs that drift.

    Raises:
        ValueError: arms that are not different finite numbers, an empty interval, a degree below 0, or a discount
            outside (0, 1].
    """

    def __init__(
        self,
        arms: Tensor | Sequence[float],
        low: float,
        high: float,
        *,
        degree: int = 5,
        seed: int = 0,
        discount: float = 1.0,
    ) -> None:
        if not low < high or degree < 0 or not 0 < discount <= 1:
            raise ValueError(
                f"Expected low < high, degree >= 0 and 0 < discount <= 1, got {low}, {high}, {degree}, {discount}."
            )
        self._rounds, self._draws = Rounds(arms), Draws(seed)
        self.arms, self.low, self.high, self.discount = self._rounds.arms, low, high, discount
        count, m = len(self.arms), degree + 1
        self._number = 6 + 4 * math.log(m)
        self._bound = np.array([1.0, *(2 / j for j in range(1, m))]) / self._number
        self._alpha = (math.pi + 2 / math.pi * math.log(2 * m + 1)) / (2 * self._number * (m + 1))
        self._order = np.arange(m)
        self._gram, self._moment = np.zeros((count, m, m)), np.zeros((count, m))
        self._squares = np.zeros(count)  # sum of (k - 1)^2
        self._theta = np.zeros((count, m))
        # rounds, largest cost, last residual of a fit, and sums of the predictions made: of h^2, h k, k^2
        self._time, self._largest, self._residual = 0.0, 0.0, 0.0
        self._made = np.zeros(3)
        self._features, self._predicted = np.zeros((0, m)), np.zeros(0)

    @property
    def theta(self) -> np.ndarray:
        """Coefficients of the scaled costs, (arm, degree + 1)."""
        return self._theta

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        values, instances = self._rounds.contexts(context, count, needed=True)
        assert values is not None
        self._features = self.features(values)
        expected = self._features @ self._theta.T
        probabilities = self._probabilities(expected)
        chosen = choose(probabilities, self._draws.uniform(instances))
        self._predicted = expected[np.arange(instances), chosen]
        return self._rounds.answer(chosen, context, count)

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        chosen, costs = self._rounds.costs(cost)
        phi, excess = self._features, np.maximum(costs - 1, 0)
        keep = self.discount ** len(costs)
        self._time = keep * self._time + len(costs)
        if keep < 1:
            for sums in (self._gram, self._moment, self._squares, self._made):
                sums *= keep
        for k, arm in enumerate(chosen):
            self._gram[arm] += np.outer(phi[k], phi[k])
            self._moment[arm] += excess[k] * phi[k]
            self._squares[arm] += excess[k] ** 2
        self._made += [self._predicted @ self._predicted, self._predicted @ costs, costs @ costs]
        larger = costs.max() > self._largest
        self._largest = max(self._largest, float(costs.max()))
        for arm in range(len(self.arms)) if larger else np.unique(chosen):
            self._fit(arm)
        self._residual = self._residual_of(int(chosen[-1]))

    def features(self, contexts: np.ndarray) -> np.ndarray:
        """Chebyshev polynomials of each context, (instance, degree + 1)."""
        z = np.clip(2 * (contexts - self.low) / (self.high - self.low) - 1, -1, 1)
        return np.cos(np.arccos(z)[:, None] * self._order)

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        sums = {name: torch.from_numpy(getattr(self, f"_{name}").copy()) for name in _SUMS}
        numbers = {name: getattr(self, f"_{name}") for name in ("time", "largest", "residual")}
        return {**sums, **numbers, "draws": self._draws.count}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        for name in _SUMS:
            given, own = state[name].numpy().astype(np.float64), getattr(self, f"_{name}")
            if given.shape != own.shape:
                raise ValueError(f"Expected {name} of shape {own.shape}, got {given.shape}: of other arms or degree.")
            setattr(self, f"_{name}", given.copy())
        self._time, self._largest, self._residual = (float(state[name]) for name in ("time", "largest", "residual"))
        self._draws.count = int(state["draws"])

    @property
    def _scale(self) -> float:
        return max(self._largest, 1.0) * self._number

    def _probabilities(self, expected: np.ndarray) -> np.ndarray:
        """SquareCB's, of each instance: the more an arm is expected to cost beyond the best, the less."""
        count = len(self.arms)
        if self._time:
            a, b, c = self._made
            regret = a - 2 * b / self._scale + c / self._scale**2
            spread = regret - self._residual + 2 * self._alpha**2 * self._time
            rate = 2 * self._time * math.sqrt(count * self._time / max(spread, 1e-300))
        else:
            rate = 0.0
        rows, best = np.arange(len(expected)), expected.argmin(axis=1)
        probabilities = 1 / (count + rate * (expected - expected[rows, best][:, None]))
        probabilities[rows, best] = 0
        probabilities[rows, best] = 1 - probabilities.sum(axis=1)
        return probabilities

    def _fit(self, arm: int) -> None:
        gram, moment = self._gram[arm], self._moment[arm] / self._scale
        self._theta[arm] = bounded_least_squares(gram, moment, self._bound)

    def _residual_of(self, arm: int) -> float:
        """Sum of squares that the fit of an arm leaves."""
        theta, scale = self._theta[arm], self._scale
        left = theta @ self._gram[arm] @ theta - 2 * theta @ self._moment[arm] / scale + self._squares[arm] / scale**2
        return max(float(left), 0.0)


_SUMS = ("gram", "moment", "squares", "theta", "made")
