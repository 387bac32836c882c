"""What learners are for: little regret, policies of the context, and new costs found after old ones are forgotten."""

import numpy as np
import pytest

from tests.solvers.bandits.learners import ARMS, CONTEXTUAL, DISCOUNTED, NAMES, make, noisy, play

ROUNDS = 1000
SEEDS = [0, 1, 2]


def expected_costs(contexts: np.ndarray, slope: float) -> np.ndarray:
    """(round, arm): a valley whose bottom moves with the context."""
    bottom = 1.3 + slope * (contexts[:, None] - 0.5)
    return 20 + 300 * (ARMS - bottom) ** 2


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", SEEDS)
def test_late_rounds_cost_hardly_more_than_the_best_arm(name: str, seed: int) -> None:
    contexts = np.random.default_rng(seed).random(ROUNDS)
    means = expected_costs(contexts, slope=0.0)
    chosen = play(make(name, seed=seed), noisy(means, 8.0, seed), contexts)
    played = means[np.arange(ROUNDS), chosen]
    best, uniform = means[0].min(), means[0].mean()
    assert played[-300:].mean() - best < 0.2 * (uniform - best)
    assert played.mean() - best < 0.5 * (uniform - best)


@pytest.mark.parametrize("name", CONTEXTUAL)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_policy_of_the_context_beats_the_best_fixed_arm(name: str, seed: int) -> None:
    contexts = np.random.default_rng(seed).random(ROUNDS)
    means = expected_costs(contexts, slope=0.6)
    chosen = play(make(name, seed=seed), noisy(means, 4.0, seed), contexts)
    fixed, ideal = means[-300:].mean(axis=0).min(), means[-300:].min(axis=1).mean()
    late = means[np.arange(ROUNDS), chosen][-300:].mean()
    assert ideal <= late < (fixed if name == "Binned" else 0.5 * (fixed + ideal))
    if name == "ChebCB":  # the rounds in which it learns included
        assert means[np.arange(ROUNDS), chosen].mean() < means.mean(axis=0).min()


@pytest.mark.parametrize("name", DISCOUNTED)
def test_who_forgets_finds_the_new_best_arm_sooner(name: str) -> None:
    half = 500
    means = np.linspace(20, 60, len(ARMS))
    table = np.concatenate([np.tile(means, (half, 1)), np.tile(means[::-1], (half, 1))])
    late: dict[float, list[int]] = {}
    for discount in (0.97, 1.0):
        late[discount] = []
        for seed in SEEDS:
            chosen = play(make(name, seed=seed, discount=discount), noisy(table, 5.0, seed))
            assert np.mean(chosen[half - 100 : half] <= 1) > 0.4  # of 0.25 by chance
            good = np.convolve(chosen[half:] >= len(ARMS) - 2, np.ones(25) / 25, mode="valid") > 0.5
            late[discount].append(int(good.argmax()) if good.any() else half)
    assert max(late[0.97]) < 250
    assert np.mean(late[0.97]) < 0.5 * np.mean(late[1.0])
