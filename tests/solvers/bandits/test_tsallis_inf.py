"""Tsallis-INF: the distribution that it draws from, and that its weighted costs are unbiased."""

import numpy as np
import pytest

from sciml.solvers.bandits import TsallisINF, tsallis_probabilities
from tests.solvers.bandits.learners import ARMS, make, noisy, play


@pytest.mark.parametrize("magnitude", [1e-3, 1.0, 1e3, 1e6, 1e9])
@pytest.mark.parametrize("rate", [1e-3, 0.03, 1.0, 2.0, 50.0])
def test_probabilities_obey_their_equation(magnitude: float, rate: float) -> None:
    rng = np.random.default_rng(0)
    for arms in (1, 2, 20, 300):
        losses = magnitude * rng.random(arms) ** 3
        for guess in (None, losses.min() - 1e-3, losses.max() + 1, losses.min() - 1e9):
            probabilities, x = tsallis_probabilities(losses, rate, guess)
            assert x < losses.min() and probabilities.min() > 0
            np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-14)
            digits = 4 * np.spacing(max(losses.max(), -x)) / (losses.min() - x)  # that losses - x leaves
            np.testing.assert_allclose(probabilities, 4 / (rate * (losses - x)) ** 2, rtol=4 * digits + 1e-11)


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e9, 2.0**40])
def test_only_differences_of_losses_matter(offset: float) -> None:
    losses = np.array([0.0, 0.25, 3.0, 17.5, 1024.0])
    shifted, _ = tsallis_probabilities(losses + offset, 0.1)
    np.testing.assert_allclose(shifted, tsallis_probabilities(losses, 0.1)[0], rtol=1e-11)


def test_equal_losses_give_equal_probabilities_and_large_differences_one_arm() -> None:
    for loss in (0.0, 1e-3, 7.0, 1e9):
        np.testing.assert_allclose(tsallis_probabilities(np.full(20, loss), 0.3)[0], 0.05, rtol=1e-12)
    previous = 0.0
    for gap in (1.0, 1e2, 1e4, 1e6, 1e9):
        probabilities, _ = tsallis_probabilities(np.array([gap, 0.0, 2 * gap]), 1.0)
        assert previous < probabilities[1]
        previous = probabilities[1]
        # of an arm far away: (2 / (rate gap))^2
        np.testing.assert_allclose(probabilities[0], 4 / (gap + 2) ** 2, rtol=4 / gap)
    assert previous > 1 - 1e-15
    losses = np.array([0.3, 1.0, 2.0])
    assert np.argmax(tsallis_probabilities(losses, 1e4)[0]) == 0
    assert np.ptp(tsallis_probabilities(losses, 1e-4)[0]) < 1e-3


def test_the_probabilities_are_those_of_the_scaled_losses() -> None:
    """Written out: rate 2 / sqrt(t), costs less 1 by their probability, in parts of their mean."""
    learner, rng = TsallisINF(ARMS, seed=5), np.random.default_rng(0)
    losses = np.zeros(len(ARMS))
    seen: list[float] = []
    for t in range(1, 300):
        scale = np.mean(seen) - 1 if seen else 1.0
        expected, _ = tsallis_probabilities(losses / scale, 2 / np.sqrt(t))
        np.testing.assert_allclose(learner.probabilities(), expected, rtol=1e-7)
        arm = int(np.argmin(np.abs(ARMS - learner.pull())))
        seen.append(10.0 + arm + rng.random())
        learner.update(seen[-1])
        losses[arm] += (seen[-1] - 1) / expected[arm]


def test_weighted_costs_are_unbiased() -> None:
    learner = TsallisINF(ARMS, seed=1)
    play(learner, noisy(np.tile(np.linspace(20, 60, len(ARMS)), (200, 1)), 5.0, seed=0))
    before, probabilities = learner.state_dict()["losses"].numpy(), learner.probabilities()
    assert probabilities.max() > 3 * probabilities.min()
    count, costs = 40000, np.linspace(3, 90, len(ARMS))
    arms = np.searchsorted(ARMS, np.asarray(learner.pull(count=count)))
    learner.update(costs[arms])
    estimate = (learner.state_dict()["losses"].numpy() - before) / count
    deviation = (costs - 1) * np.sqrt((1 - probabilities) / probabilities / count)
    assert (np.abs(estimate - (costs - 1)) < 4.5 * deviation).all()


@pytest.mark.parametrize("cost", [0.0, 0.5, 1.0])
def test_the_least_costs_teach_nothing(cost: float) -> None:
    """A solve takes one iteration or more: costs count from 1 on."""
    learner = TsallisINF(ARMS)
    play(learner, np.full((30, len(ARMS)), cost))
    np.testing.assert_allclose(learner.probabilities(), 1 / len(ARMS), rtol=1e-12)


def test_the_scale_of_costs_does_not_matter() -> None:
    means = np.tile(np.linspace(20, 60, len(ARMS)), (400, 1))
    table = noisy(means, 5.0, seed=0)
    chosen = [play(make("TsallisINF", seed=3), 1 + (table - 1) * scale) for scale in (1, 1e-2, 1e6)]
    assert np.array_equal(chosen[0], chosen[1]) and np.array_equal(chosen[0], chosen[2])
