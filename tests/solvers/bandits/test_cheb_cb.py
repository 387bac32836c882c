"""ChebCB: its features, its fit, the bounds on it, and its exploration."""

import math

import numpy as np
import pytest
import torch
from scipy.optimize import lsq_linear

from sciml.kernels.bandits.cheb_cb import square_cb
from sciml.solvers.bandits import ChebCB
from tests.solvers.bandits.learners import ARMS, place

LOW, HIGH = -0.15, 0.45


def bounds(degree: int) -> np.ndarray:
    m = degree + 1
    return np.array([1.0, *(2 / j for j in range(1, m))]) / (6 + 4 * math.log(m))


@pytest.mark.parametrize("degree", [0, 1, 5, 12])
def test_features_are_chebyshev_polynomials(degree: int) -> None:
    contexts = np.concatenate([np.linspace(LOW, HIGH, 101), np.random.default_rng(0).uniform(LOW, HIGH, 100)])
    expected = np.polynomial.chebyshev.chebvander(2 * (contexts - LOW) / (HIGH - LOW) - 1, degree)
    features = ChebCB(ARMS, LOW, HIGH, degree=degree).features(contexts)
    np.testing.assert_allclose(features, expected, atol=1e-13)


@pytest.mark.parametrize(("outside", "end"), [(-1.0, LOW), (LOW - 1e-9, LOW), (0.46, HIGH), (1e300, HIGH)])
def test_contexts_outside_count_as_the_nearest_end(outside: float, end: float) -> None:
    one, other = ChebCB(ARMS, LOW, HIGH, seed=2), ChebCB(ARMS, LOW, HIGH, seed=2)
    assert np.array_equal(one.features(np.array([outside])), one.features(np.array([end])))
    for t in range(60):
        inside = LOW + 0.6 * (t * 0.618 % 1)
        pulled = other.pull(inside if t % 2 else end)
        assert one.pull(inside if t % 2 else outside) == pulled
        for learner in (one, other):
            learner.update(5.0 + 10 * place(one, pulled) * (1 + inside))


@pytest.mark.parametrize("discount", [1.0, 0.9])
@pytest.mark.parametrize("size", [1, 6])
def test_coefficients_stay_within_their_bounds(discount: float, size: int) -> None:
    learner, rng, active = ChebCB(ARMS, LOW, HIGH, seed=1, discount=discount), np.random.default_rng(0), False
    for _ in range(150):
        learner.pull(rng.uniform(LOW, HIGH, size))
        learner.update(1 + 10 ** rng.uniform(0, 4, size))
        assert (np.abs(learner.theta) <= bounds(5)).all()
        active |= bool((np.abs(learner.theta) == bounds(5)).any())
    assert active


@pytest.mark.parametrize("size", [1, 7])
def test_coefficients_are_those_of_bounded_least_squares(size: int) -> None:
    """Against scipy and the past itself, of which the learner keeps sums alone."""
    learner, rng = ChebCB(ARMS[:3], LOW, HIGH, degree=3, seed=1, stale=0.0), np.random.default_rng(0)
    contexts, arms, costs = np.zeros(0), np.zeros(0, dtype=int), np.zeros(0)
    for _ in range(210 // size):
        new = rng.uniform(LOW, HIGH, size)
        pulled = np.asarray(learner.pull(new))
        arms = np.append(arms, np.searchsorted(learner.arms, pulled))
        contexts = np.append(contexts, new)
        costs = np.append(costs, 2 + rng.exponential(20, size) + 30 * arms[-size:] * new**2)
        learner.update(costs[-size:])
    scale, limit = costs.max() * (6 + 4 * math.log(4)), bounds(3)
    for arm in range(3):
        own = arms == arm
        features, wanted = learner.features(contexts[own]), (costs[own] - 1) / scale
        assert own.sum() >= 4
        best = lsq_linear(features, wanted, (-limit, limit), method="bvls", tol=1e-14).x
        np.testing.assert_allclose(learner.theta[arm], best, atol=1e-9)


def test_polynomial_costs_are_recovered() -> None:
    degree, count = 4, 400
    rng, contexts = np.random.default_rng(0), np.random.default_rng(1).uniform(LOW, HIGH, count)
    learner = ChebCB(ARMS[:5], LOW, HIGH, degree=degree)
    features = learner.features(contexts)
    # K costs at most, of which a polynomial takes about half: its coefficients are then within the bounds
    polynomials = rng.uniform(-1, 1, (5, degree + 1)) / np.array([1, 1, 2, 3, 4]) / 12
    polynomials[:, 0] += 0.5
    excess = 1000 * polynomials @ features.T
    assert excess.min() > 0
    arms = np.searchsorted(learner.arms, np.asarray(learner.pull(contexts)))  # all alike in the first round
    costs = 1 + excess[arms, np.arange(count)]
    learner.update(costs)
    scale = costs.max() * (6 + 4 * math.log(degree + 1))
    assert (np.abs(1000 * polynomials / scale) < bounds(degree)).all()
    np.testing.assert_allclose(scale * learner.theta, 1000 * polynomials, rtol=1e-8, atol=1e-7)
    # and then it nearly always plays the best
    fresh = rng.uniform(LOW, HIGH, 300)
    played = np.searchsorted(learner.arms, np.asarray(learner.pull(fresh)))
    table = polynomials @ learner.features(fresh).T
    regret = table[played, np.arange(300)] - table.min(axis=0)
    assert regret.mean() < 0.2 * (table.mean(axis=0) - table.min(axis=0)).mean()


@pytest.mark.parametrize("rate", [0.0, 1.0, 1e3, 1e12])
def test_exploration_is_a_distribution_that_falls_with_the_expected_cost(rate: float) -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        expected = rng.normal(size=int(rng.integers(1, 30)))
        probabilities, best = square_cb(expected, rate), expected.argmin()
        np.testing.assert_allclose(probabilities.sum(), 1, rtol=1e-14)
        assert (probabilities > 0).all() and probabilities[best] == probabilities.max()
        others = np.arange(len(expected)) != best
        formula = 1 / (len(expected) + rate * (expected - expected[best]))
        np.testing.assert_allclose(probabilities[others], formula[others], rtol=1e-14)


def test_the_first_round_knows_no_better_arm() -> None:
    pulled = ChebCB(ARMS, LOW, HIGH).pull(torch.full((8000,), 0.1))
    frequencies = np.bincount(np.searchsorted(ARMS, np.asarray(pulled)), minlength=len(ARMS))
    assert np.abs(frequencies - 1000).max() < 4.5 * math.sqrt(1000)


def test_exploration_falls_with_time() -> None:
    learner, rng, rates = ChebCB(ARMS, LOW, HIGH, seed=1), np.random.default_rng(0), []
    for _ in range(400):
        context = float(rng.uniform(LOW, HIGH))
        learner.update(5 + 10 * place(learner, learner.pull(context)) + 3 * rng.random())
        rates.append(learner._known.rate())
    assert rates[399] > 2 * rates[199] > 4 * rates[99] > 0


def test_pulls_of_a_state_are_checked() -> None:
    """They are handed to C++."""
    learner = ChebCB(ARMS, LOW, HIGH, seed=1)
    learner.pull(0.1)
    for name, value in (
        ("arm", torch.tensor([len(ARMS)])),
        ("arm", torch.tensor([-1])),
        ("arm", torch.tensor([0.0])),
        ("arm", torch.tensor([0, 0])),
        ("features", torch.zeros(1, 6, dtype=torch.float64)),
    ):
        state = learner.state_dict()
        state["rounds"]["pending"][name] = value
        with pytest.raises(ValueError, match="Expected pulls of"):
            ChebCB(ARMS, LOW, HIGH).load_state_dict(state)
    del state["rounds"]["pending"]["features"]
    with pytest.raises(ValueError, match="another version"):
        ChebCB(ARMS, LOW, HIGH).load_state_dict(state)


def test_fits_that_wait_are_those_of_the_past_they_have_seen() -> None:
    """An arm is fitted anew once its new costs are a part of its costs; waiting changes little of what is paid."""
    rng = np.random.default_rng(0)
    contexts = rng.uniform(LOW, HIGH, 600)
    table = 20 + 200 * (ARMS[None] - 1.2 - contexts[:, None]) ** 2
    paid = []
    for stale in (0.0, 0.05):
        learner, total = ChebCB(ARMS, LOW, HIGH, seed=2, stale=stale), 0.0
        for context, costs in zip(contexts, table):
            cost = costs[np.searchsorted(learner.arms, learner.pull(float(context)))]
            learner.update(cost)
            total += cost
        paid.append(total)
    assert paid[1] == pytest.approx(paid[0], rel=0.05)
    with pytest.raises(ValueError, match="stale < 1, got 1"):
        ChebCB(ARMS, LOW, HIGH, stale=1.0)
