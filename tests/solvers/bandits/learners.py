"""One learner of each kind, and rounds against a table of costs."""

from collections.abc import Callable
from typing import Any

import numpy as np
from torch import Tensor

from sciml.solvers.bandits import UCB, Bandit, Binned, ChebCB, EpsilonGreedy, Thompson, TsallisINF

ARMS = np.linspace(1.0, 1.95, 8)
CONTEXTUAL = ("Binned", "ChebCB")
DISCOUNTED = ("TsallisINF", "ChebCB", "UCB", "Thompson", "EpsilonGreedy")


def make(name: str, seed: int = 0, arms: np.ndarray = ARMS, discount: float = 1.0) -> Bandit:
    """The learner of that name, of contexts in [0, 1] where it has any."""
    makers: dict[str, Callable[[], Bandit]] = {
        "TsallisINF": lambda: TsallisINF(arms, seed=seed, discount=discount),
        "Binned": lambda: Binned(lambda k: TsallisINF(arms, seed=10 * seed + k, discount=discount), 0, 1, bins=3),
        "ChebCB": lambda: ChebCB(arms, 0, 1, degree=3, seed=seed, discount=discount),
        "UCB": lambda: UCB(arms, seed=seed, discount=discount),
        "Thompson": lambda: Thompson(arms, seed=seed, discount=discount),
        "EpsilonGreedy": lambda: EpsilonGreedy(arms, seed=seed, discount=discount),
    }
    return makers[name]()


NAMES = ("TsallisINF", "Binned", "ChebCB", "UCB", "Thompson", "EpsilonGreedy")


def place(learner: Bandit, parameter: object) -> int:
    """Number of the arm that was pulled."""
    return int(np.flatnonzero(learner.arms == parameter)[0])


def play(learner: Bandit, table: np.ndarray, contexts: np.ndarray | None = None) -> np.ndarray:
    """The arm of each round, where costs are ``table`` (round, arm)."""
    chosen = np.zeros(len(table), dtype=int)
    for t, costs in enumerate(table):
        chosen[t] = place(learner, learner.pull(0.5 if contexts is None else float(contexts[t])))
        learner.update(float(costs[chosen[t]]))
    return chosen


def noisy(means: np.ndarray, spread: float, seed: int) -> np.ndarray:
    """Costs >= 1 about their means (round, arm)."""
    return np.maximum(1.0, means + spread * np.random.default_rng(seed).normal(size=means.shape))


def plain(state: Any) -> Any:
    """A state as lists of its exact numbers, to compare."""
    if isinstance(state, dict):
        return {name: plain(value) for name, value in state.items()}
    if isinstance(state, list):
        return [plain(value) for value in state]
    return state.tolist() if isinstance(state, Tensor) else state
