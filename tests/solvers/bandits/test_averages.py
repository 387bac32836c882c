"""UCB, Thompson sampling and epsilon-greedy: the sums they know, and the rules by which they choose."""

import math

import numpy as np
import pytest
import scipy.stats

from sciml.solvers.bandits import UCB, Bandit, EpsilonGreedy, Thompson
from sciml.solvers.bandits.averages import Averages
from tests.solvers.bandits.learners import ARMS, noisy, place, play


def taught(arms: int, discount: float, costs: np.ndarray, chosen: np.ndarray) -> Averages:
    """What is known after these arms had these costs."""
    averages = Averages(np.arange(float(arms)), 0, discount)
    for arm, cost in zip(chosen, costs, strict=True):
        averages.pull(None, None, lambda count: np.zeros(count, dtype=np.int64))
        averages.rounds.pending["arm"] = np.array([arm])
        averages.update(float(cost))
    return averages


@pytest.mark.parametrize("discount", [1.0, 0.95])
def test_sums_are_those_of_the_weighted_past(discount: float) -> None:
    rng = np.random.default_rng(0)
    chosen, costs = rng.integers(0, 3, 60), rng.exponential(20, 60)
    averages = taught(4, discount, costs, chosen)
    weights = discount ** np.arange(59, -1, -1)
    for arm in range(3):
        own = chosen == arm
        np.testing.assert_allclose(averages.number[arm], weights[own].sum())
        np.testing.assert_allclose(averages.mean[arm], np.average(costs[own], weights=weights[own]))
    assert averages.mean[3] == math.inf
    if discount == 1:
        squares = sum(((costs[chosen == arm] - costs[chosen == arm].mean()) ** 2).sum() for arm in range(3))
        np.testing.assert_allclose(averages.spread, math.sqrt(squares / (60 - 3)))


@pytest.mark.parametrize("discount", [1.0, 0.9, 0.7])
def test_the_spread_is_unbiased_in_its_square(discount: float) -> None:
    rng, squares, repeats = np.random.default_rng(0), [], 400
    for _ in range(repeats):
        chosen = rng.integers(0, 4, 25)
        costs = 100 + 50 * chosen + 3 * rng.normal(size=25)
        squares.append(taught(4, discount, costs, chosen).spread ** 2)
    assert abs(np.mean(squares) - 9) < 4.5 * np.std(squares) / math.sqrt(repeats)


def test_where_no_arm_came_twice_the_spread_is_that_of_all_costs() -> None:
    costs = np.array([10.0, 40.0, 25.0])
    np.testing.assert_allclose(taught(3, 1.0, costs, np.arange(3)).spread, costs.std())


def experienced(learner: Bandit) -> tuple[Bandit, np.ndarray, np.ndarray, float]:
    """It, how often each arm was played, the arms' means, and their pooled spread."""
    table = noisy(np.tile(np.linspace(30, 40, len(ARMS)), (60, 1)), 8.0, seed=0)
    chosen = play(learner, table)
    costs = [table[chosen == arm, arm] for arm in range(len(ARMS))]
    number, mean = np.array([len(c) for c in costs]), np.array([c.mean() for c in costs])
    spread = math.sqrt(sum(((c - c.mean()) ** 2).sum() for c in costs) / (60 - len(ARMS)))
    return learner, number, mean, spread


@pytest.mark.parametrize("width", [0.0, 0.5, 1.0])
def test_ucb_plays_the_least_index(width: float) -> None:
    learner, number, mean, spread = experienced(UCB(ARMS, width=width))
    least = (mean - width * spread * np.sqrt(2 * math.log(60) / number)).argmin()
    assert place(learner, learner.pull()) == least


def test_a_batch_of_ucb_spreads_over_the_arms() -> None:
    """Each pull counts before the next, though its cost is not known."""
    learner, number, mean, spread = experienced(UCB(ARMS))
    number = number.astype(float)
    for pulled in np.asarray(learner.pull(count=50)):
        index = mean - spread * np.sqrt(2 * math.log(number.sum()) / number)
        assert ARMS[index.argmin()] == pulled
        number[index.argmin()] += 1


def test_thompson_plays_an_arm_as_often_as_it_is_believed_to_be_best() -> None:
    learner, number, mean, spread = experienced(Thompson(ARMS))
    believed = spread / np.sqrt(number)
    # P(best) = integral of the density of one arm times the chance that all others are dearer
    x = np.linspace((mean - 9 * believed).min(), (mean + 9 * believed).max(), 20001)[:, None]
    density, dearer = scipy.stats.norm.pdf(x, mean, believed), scipy.stats.norm.sf(x, mean, believed)
    best = [np.trapezoid(density[:, k] * np.delete(dearer, k, axis=1).prod(axis=1), x[:, 0]) for k in range(len(ARMS))]
    np.testing.assert_allclose(sum(best), 1, rtol=1e-6)
    count = 20000
    frequencies = np.bincount(np.searchsorted(ARMS, np.asarray(learner.pull(count=count))), minlength=len(ARMS))
    assert (np.abs(frequencies - count * np.array(best)) < 4.5 * np.sqrt(count * np.array(best)) + 1).all()


@pytest.mark.parametrize("exploration", [0.0, 2.0, 100.0])
def test_epsilon_greedy_plays_the_best_but_for_its_share(exploration: float) -> None:
    learner, _, mean, _ = experienced(EpsilonGreedy(ARMS, exploration=exploration))
    share, count = min(1.0, exploration * len(ARMS) / 60), 20000
    expected = np.full(len(ARMS), share / len(ARMS))
    expected[mean.argmin()] += 1 - share
    frequencies = np.bincount(np.searchsorted(ARMS, np.asarray(learner.pull(count=count))), minlength=len(ARMS))
    deviation = np.sqrt(count * expected * (1 - expected))
    assert (np.abs(frequencies - count * expected) <= 4.5 * deviation).all()
