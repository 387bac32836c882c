"""ChebCB: the cost of each arm as a polynomial of the context."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bandit import Arms, Contexts, Costs
from .bounded_least_squares import bounded_least_squares
from .draws import Draws, choose
from .rounds import Rounds


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
        discount: what a cost counts for after each further one, 1 for ever; less forgets, for costs that drift.
        stale: part of an arm's costs that may have come since it was fitted; 0 fits it anew after each, as the paper
            does. A fit takes longer than all else in a round.

    Raises:
        ValueError: arms that are not different finite numbers, an empty or endless interval, a degree below 0, a
            discount outside (0, 1], or stale below 0.
    """

    def __init__(
        self,
        arms: Arms,
        low: float,
        high: float,
        *,
        degree: int = 5,
        seed: int = 0,
        discount: float = 1.0,
        stale: float = 0.01,
    ) -> None:
        if not -math.inf < low < high < math.inf or degree < 0 or not 0 < discount <= 1:
            raise ValueError(
                f"Expected low < high, both finite, degree >= 0 and 0 < discount <= 1, "
                f"got {low}, {high}, {degree}, {discount}."
            )
        if not 0 <= stale < 1:
            raise ValueError(f"Expected 0 <= stale < 1, got {stale}.")
        self.stale = stale
        self._rounds, self._draws = Rounds(arms), Draws(seed)
        self.arms, self.low, self.high, self.discount = self._rounds.arms, low, high, discount
        count, m = len(self.arms), degree + 1
        self._number = 6 + 4 * math.log(m)
        self._bound = np.array([1.0, *(2 / j for j in range(1, m))]) / self._number
        self._alpha = (math.pi + 2 / math.pi * math.log(2 * m + 1)) / (2 * self._number * (m + 1))
        self._order = np.arange(m)
        self._products = np.zeros((count, m + 1, m + 1))  # sums of v v^T with v = (features, k - 1)
        self._theta = np.zeros((count, m))
        self._new = np.zeros(count)  # costs since the last fit
        # rounds, largest cost, last residual of a fit, and sums of the predictions made: of h^2, h k, k^2
        self._time, self._largest, self._residual = 0.0, 0.0, 0.0
        self._made: tuple[float, ...] = (0.0, 0.0, 0.0)

    @property
    def theta(self) -> np.ndarray:
        """Coefficients of the scaled costs, (arm, degree + 1)."""
        return self._theta

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        features = self.features(self._rounds.contexts(context, count))
        expected, uniform, rate = features @ self._theta.T, self._draws.uniform(len(features)), self._rate()
        chosen = np.array([choose(_square_cb(row, rate), u) for row, u in zip(expected, uniform, strict=True)])
        predicted = expected[np.arange(len(features)), chosen]
        return self._rounds.answer(chosen, features=features, predicted=predicted)

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        costs, pulled = self._rounds.costs(cost)
        keep = self.discount ** len(costs)
        self._time = keep * self._time + len(costs)
        if keep < 1:
            self._products *= keep
            self._made = tuple(keep * made for made in self._made)
        chosen, kept = pulled["arm"].tolist(), costs.tolist()
        a, b, c = self._made
        for arm, phi, h, k in zip(chosen, pulled["features"], pulled["predicted"].tolist(), kept, strict=True):
            row = _joined(phi, max(k - 1, 0.0))
            self._products[arm] += row[:, None] * row
            self._new[arm] += 1
            a, b, c = a + h * h, b + h * k, c + k * k
        self._made = a, b, c
        larger = max(kept) > self._largest
        self._largest = max(self._largest, *kept)
        for arm in range(len(self.arms)) if larger else set(chosen):
            products = self._products[arm]
            if larger or self._new[arm] >= self.stale * products[0, 0]:  # the first feature is 1
                self._fit(arm)
        last = chosen[-1]
        left = _joined(self._theta[last], -1 / self._scale)
        self._residual = max(float(left @ self._products[last] @ left), 0.0)

    def _fit(self, arm: int) -> None:
        products = self._products[arm]
        gram, moment = products[:-1, :-1], products[:-1, -1] / self._scale
        self._theta[arm] = bounded_least_squares(gram, moment, self._bound, self._theta[arm])
        self._new[arm] = 0

    def features(self, contexts: np.ndarray) -> np.ndarray:
        """Chebyshev polynomials of each context, (instance, degree + 1)."""
        low, width = self.low, self.high - self.low
        angles = [math.acos(2 * min(max((c - low) / width, 0.0), 1.0) - 1) for c in contexts.tolist()]
        return np.cos(np.array(angles)[:, None] * self._order)

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        arrays = {name: torch.from_numpy(getattr(self, f"_{name}").copy()) for name in ("products", "theta", "new")}
        numbers = {"time": self._time, "largest": self._largest, "residual": self._residual, "made": list(self._made)}
        return {**arrays, **numbers, "rounds": self._rounds.state_dict(), "draws": self._draws.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        own = {"products": self._products, "theta": self._theta, "new": self._new, "made": np.zeros(3)}
        given = self._rounds.read(state, **own, time=0.0, largest=0.0, residual=0.0)
        self._products, self._theta, self._new = (given[name] for name in ("products", "theta", "new"))
        self._made = tuple(given["made"].tolist())
        self._time, self._largest, self._residual = (float(given[name]) for name in ("time", "largest", "residual"))
        self._rounds.load_state_dict(state["rounds"])
        self._draws.load_state_dict(state["draws"])

    @property
    def _scale(self) -> float:
        return max(self._largest, 1.0) * self._number

    def _rate(self) -> float:
        """Of learning, with which the exploration falls."""
        if not self._time:
            return 0.0
        scale, (a, b, c) = self._scale, self._made
        regret = a - 2 * b / scale + c / scale**2
        spread = regret - self._residual + 2 * self._alpha**2 * self._time
        return 2 * self._time * math.sqrt(len(self.arms) * self._time / max(spread, 1e-300))


def _square_cb(expected: np.ndarray, rate: float) -> np.ndarray:
    """Probabilities of the arms: the more one is expected to cost beyond the best, the less."""
    best = expected.argmin()
    probabilities = 1 / (len(expected) + rate * (expected - expected[best]))
    probabilities[best] += 1 - probabilities.sum()
    return probabilities


def _joined(head: np.ndarray, last: float) -> np.ndarray:
    whole = np.empty(len(head) + 1)
    whole[:-1], whole[-1] = head, last
    return whole
