"""Draws: uniform, independent, in the open interval, and the same however they are split into calls."""

import numpy as np
import pytest
import scipy.stats

from sciml.kernels.bandits.choice import choose
from sciml.solvers.bandits.draws import Draws, _fraction, _mixed

SEEDS = [0, 1, -1, 2**63, 12345678901234567890]


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_are_uniform_and_normal(seed: int) -> None:
    draws = Draws(seed)
    assert scipy.stats.kstest(draws.uniform(20000), "uniform").pvalue > 1e-3
    assert scipy.stats.kstest(draws.normal(20000), "norm").pvalue > 1e-3
    assert draws.count == 40000


@pytest.mark.parametrize("seed", SEEDS)
def test_numbers_do_not_tell_of_those_before(seed: int) -> None:
    n = 20000
    centred = Draws(seed).uniform(n) - 0.5
    for lag in (1, 2, 3, 5, 8, 20, 64):
        assert abs(12 * np.mean(centred[lag:] * centred[:-lag])) < 4 / np.sqrt(n - lag)
    pairs, _, _ = np.histogram2d(centred[::2], centred[1::2], bins=16)
    assert scipy.stats.chisquare(pairs.ravel()).pvalue > 1e-3


def test_neighbouring_seeds_do_not_tell_of_each_other() -> None:
    numbers = np.stack([Draws(seed).uniform(5000) for seed in range(-4, 5)])
    correlations = np.corrcoef(numbers)[np.triu_indices(len(numbers), 1)]
    assert np.abs(correlations).max() < 4.5 / np.sqrt(5000)
    assert scipy.stats.kstest([Draws(seed).uniform(1)[0] for seed in range(5000)], "uniform").pvalue > 1e-3


@pytest.mark.parametrize("kind", ["uniform", "normal"])
def test_numbers_are_the_same_however_they_are_split(kind: str) -> None:
    rng = np.random.default_rng(0)
    for seed in SEEDS:
        whole = getattr(Draws(seed), kind)(600)
        split, parts = Draws(seed), []
        while split.count < 600:
            parts.append(getattr(split, kind)(min(int(rng.integers(0, 12)), 600 - split.count)))
        assert np.array_equal(np.concatenate(parts), whole)
        split.count = 100
        assert np.array_equal(getattr(split, kind)(3), whole[100:103])


def test_a_state_goes_on_whatever_the_seed_was() -> None:
    draws, other = Draws(3), Draws(4)
    draws.uniform(17)
    other.load_state_dict(draws.state_dict())
    assert np.array_equal(other.uniform(9), draws.uniform(9))


def test_the_words_at_the_ends_stay_inside() -> None:
    ends = _fraction(np.array([0, 2**64 - 1], dtype=np.uint64))
    assert 0 < ends[0] < ends[1] < 1
    assert (_fraction(0), _fraction(2**64 - 1)) == tuple(ends)


def test_words_of_python_and_of_numpy_are_the_splitmix64_of_its_authors() -> None:
    # of state 0, the first outputs of the reference implementation in C
    published = [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]
    states = [k * 0x9E3779B97F4A7C15 % 2**64 for k in (1, 2, 3)]
    assert [_mixed(state) for state in states] == published
    assert _mixed(np.array(states, dtype=np.uint64)).tolist() == published


def test_an_arm_is_chosen_as_often_as_its_probability() -> None:
    rng = np.random.default_rng(0)
    probabilities = np.array([0.0, 0.3, 0.0, 0.05, 0.65, 0.0])
    chosen = choose(probabilities, rng.random(50000))
    frequencies = np.bincount(chosen, minlength=6)
    assert (frequencies[probabilities == 0] == 0).all()
    kept = probabilities > 0
    assert scipy.stats.chisquare(frequencies[kept], 50000 * probabilities[kept]).pvalue > 1e-3
    ends = np.array([2.0**-53, 1 - 2.0**-53])
    assert choose(probabilities, ends).tolist() == [1, 4]
    assert [choose(probabilities, u) for u in ends] == [1, 4]
