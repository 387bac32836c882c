"""Learners that choose a parameter before each solve and see what it cost."""

from .bandit import Bandit
from .binned import Binned
from .cheb_cb import ChebCB
from .epsilon_greedy import EpsilonGreedy
from .thompson import Thompson
from .tsallis_inf import TsallisINF, tsallis_probabilities
from .ucb import UCB

__all__ = [
    "UCB",
    "Bandit",
    "Binned",
    "ChebCB",
    "EpsilonGreedy",
    "Thompson",
    "TsallisINF",
    "tsallis_probabilities",
]
