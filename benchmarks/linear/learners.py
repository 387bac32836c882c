"""The learners of the studies, and how a policy is played on a table of costs."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch

from sciml.solvers.bandits import UCB, Bandit, Binned, ChebCB, EpsilonGreedy, Thompson, TsallisINF

ARMS = torch.linspace(1.0, 1.95, 20, dtype=torch.float64)
FIXED = (1.0, 1.2, 1.4, 1.6, 1.8)


class Interval(NamedTuple):
    """Of the contexts: where ChebCB's polynomials live, and the bins of the binned learner."""

    low: float
    high: float
    bins: int
    first: float
    last: float


def learners(contexts: Interval) -> dict[str, Callable[[int], Bandit]]:
    """By name, from a seed; the first three are the paper's."""
    low, high, bins, first, last = contexts
    return {
        "Tsallis-INF": lambda seed: TsallisINF(ARMS, seed=seed),
        "Tsallis-INF, binned": lambda seed: Binned(
            lambda k: TsallisINF(ARMS, seed=1000 * seed + k), first, last, bins=bins
        ),
        "ChebCB": lambda seed: ChebCB(ARMS, low, high, seed=seed),
        "UCB": lambda seed: UCB(ARMS, seed=seed),
        "Thompson": lambda seed: Thompson(ARMS, seed=seed),
        "epsilon-greedy": lambda seed: EpsilonGreedy(ARMS, seed=seed),
    }


def play(learner: Bandit, costs: np.ndarray, contexts: np.ndarray) -> np.ndarray:
    """What a learner pays in each round (round,), from a table (round, arm): solves would cost just that."""
    place = {float(arm): k for k, arm in enumerate(learner.arms)}
    paid = np.zeros(len(costs))
    for t, context in enumerate(contexts):
        paid[t] = costs[t, place[float(learner.pull(float(context)))]]
        learner.update(float(paid[t]))
    return paid
