"""The arithmetic of ChebCB: costs of arms as polynomials of a context, and how likely each arm is to be chosen."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import native
from .bounded_least_squares import bounded_least_squares
from .choice import choose


class Regression:
    """What ChebCB knows of its arms. (``sciml.solvers.bandits.ChebCB`` says what the numbers mean.)

    Sums over the past are kept instead of the past, so that a round costs the same at any time. In C++ where there is a
    compiler: a round of numpy takes as long as the solve of a small system.

    Args:
        arms: how many.
        degree: highest degree of the polynomials.
        low, high: ends of the interval of contexts.
        discount: what a cost counts for after each further one.
        stale: part of an arm's costs that may have come since it was fitted.

    Attributes:
        products: sums of v v^T with v = (features, k - 1), (arm, degree + 2, degree + 2).
        theta: coefficients of the scaled costs, (arm, degree + 1).
        fresh: costs since the last fit, (arm,).
        sums: rounds, largest cost, last residual of a fit, and of the predictions made h^2, h k and k^2, (6,).
    """

    def __init__(self, arms: int, degree: int, low: float, high: float, discount: float, stale: float) -> None:
        m = degree + 1
        number = 6 + 4 * math.log(m)
        alpha = (math.pi + 2 / math.pi * math.log(2 * m + 1)) / (2 * number * (m + 1))
        bound = [part / number for part in (1.0, *(2 / j for j in range(1, m)))]
        self.settings = np.array([low, high, discount, stale, number, alpha, *bound])
        self.products, self.theta = np.zeros((arms, m + 1, m + 1)), np.zeros((arms, m))
        self.fresh, self.sums = np.zeros(arms), np.zeros(6)
        self._form: Any = None
        self._single: native.Single | None = None

    @property
    def arrays(self) -> tuple[np.ndarray, ...]:
        """As cheb_cb.cpp takes them; they stay where they are."""
        return self.settings, self.products, self.theta, self.fresh, self.sums

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_form": None, "_single": None}  # a copy has arrays of its own

    def single(self) -> native.Single | None:
        """Quicker rounds of one instance at a time, where there is a compiler."""
        if self._single is None and native.serves():
            self._single = native.Single(self._native(), len(self.theta[0]))
        return self._single

    def pull(self, contexts: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """From numbers in (0, 1) the arm of each instance; its features and, in a last column, its expected cost."""
        if native.serves():
            return native.pull(self._native(), len(self.theta[0]), contexts, uniform)
        features, rate = self.features(contexts), self.rate()
        expected = features @ self.theta.T
        chosen = np.array([choose(square_cb(row, rate), u) for row, u in zip(expected, uniform, strict=True)])
        return chosen, np.column_stack([features, expected[np.arange(len(features)), chosen]])

    def update(self, chosen: np.ndarray, pulled: np.ndarray, costs: np.ndarray) -> None:
        """Learn what the arms of a pull cost; ``pulled`` are the features and expected costs that it gave."""
        if native.serves():
            native.update(self._native(), chosen, pulled, costs)
            return
        features, predicted = pulled[:, :-1], pulled[:, -1]
        discount, stale = self.settings[2:4].tolist()
        keep, before = discount ** len(costs), self.sums[1]
        self.sums[0] = keep * self.sums[0] + len(costs)
        self.sums[3:] = keep * self.sums[3:] + np.array([predicted @ predicted, predicted @ costs, costs @ costs])
        self.sums[1] = max(before, costs.max())
        self.products *= keep
        for arm, phi, k in zip(chosen.tolist(), features, costs.tolist(), strict=True):
            row = np.append(phi, max(k - 1, 0.0))
            self.products[arm] += row[:, None] * row
            self.fresh[arm] += 1
        larger = self.sums[1] > before
        for arm in range(len(self.fresh)) if larger else set(chosen.tolist()):
            if larger or self.fresh[arm] >= stale * self.products[arm, 0, 0]:  # the first feature is 1
                self._fit(arm)
        last = chosen[-1]
        left = np.append(self.theta[last], -1 / self._scale)
        self.sums[2] = max(float(left @ self.products[last] @ left), 0.0)

    def features(self, contexts: np.ndarray) -> np.ndarray:
        """Chebyshev polynomials of each context, (instance, degree + 1); what is outside counts as the nearest end."""
        low, high = self.settings[:2]
        angles = np.arccos(2 * np.clip((contexts - low) / (high - low), 0.0, 1.0) - 1)
        return np.cos(angles[:, None] * np.arange(self.theta.shape[1]))

    def rate(self) -> float:
        """Of learning, with which the exploration falls."""
        time, _, residual, a, b, c = self.sums.tolist()
        if not time:
            return 0.0
        scale, alpha = self._scale, float(self.settings[5])
        spread = a - 2 * b / scale + c / scale**2 - residual + 2 * alpha**2 * time
        return 2 * time * math.sqrt(len(self.theta) * time / max(spread, 1e-300))

    @property
    def _scale(self) -> float:
        return max(float(self.sums[1]), 1.0) * float(self.settings[4])

    def _native(self) -> Any:
        if self._form is None:
            self._form = native.form(self.theta.shape, self.arrays)
        return self._form

    def _fit(self, arm: int) -> None:
        products = self.products[arm]
        gram, moment = products[:-1, :-1], products[:-1, -1] / self._scale
        self.theta[arm] = bounded_least_squares(gram, moment, self.settings[6:], self.theta[arm])
        self.fresh[arm] = 0


def square_cb(expected: np.ndarray, rate: float) -> np.ndarray:
    """Probabilities of the arms: the more one is expected to cost beyond the best, the less."""
    best = expected.argmin()
    probabilities = 1 / (len(expected) + rate * (expected - expected[best]))
    probabilities[best] += 1 - probabilities.sum()
    return probabilities
