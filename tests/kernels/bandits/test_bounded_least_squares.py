"""Bounded least squares: the optimum that scipy finds, and the shortest solution where no bound holds."""

import numpy as np
import pytest
from scipy.optimize import lsq_linear

from sciml.kernels.bandits.bounded_least_squares import bounded_least_squares

KINDS = ["full", "rank deficient", "ties", "polynomials", "repeated contexts"]


def matrix(kind: str, rng: np.random.Generator) -> np.ndarray:
    rows, columns = int(rng.integers(1, 25)), int(rng.integers(1, 9))
    if kind == "rank deficient":
        rank = int(rng.integers(1, columns + 1))
        return rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, columns))
    if kind == "ties":
        return np.round(rng.normal(size=(rows, columns)))
    if kind in ("polynomials", "repeated contexts"):
        z = rng.uniform(-1, 1, rows) if kind == "polynomials" else rng.integers(-2, 3, rows) / 2
        return np.polynomial.chebyshev.chebvander(z, columns - 1)
    return rng.normal(size=(rows, columns))


@pytest.mark.parametrize("kind", KINDS)
def test_no_point_within_the_bounds_is_better(kind: str) -> None:
    rng = np.random.default_rng(KINDS.index(kind))
    active = 0
    for _ in range(150):
        a = matrix(kind, rng)
        bound = np.power(10.0, rng.uniform(-2, 1, a.shape[1]))
        y = a @ rng.normal(size=a.shape[1]) + rng.choice([0, 0.1, 1]) * rng.normal(size=len(a))
        scale = 10 ** rng.uniform(-3, 3)
        theta = bounded_least_squares(scale * a.T @ a, scale * a.T @ y, bound)
        assert (np.abs(theta) <= bound).all()
        best = lsq_linear(a, y, (-bound, bound), method="bvls", tol=1e-14).x
        assert ((a @ theta - y) ** 2).sum() <= ((a @ best - y) ** 2).sum() + 1e-11 * (y @ y)
        # the conditions of an optimum: no slope where free, none that leads inwards at a bound
        slope = a.T @ (a @ theta - y)
        allowed = np.where(np.abs(theta) == bound, np.maximum(slope * np.sign(theta), 0), np.abs(slope))
        assert allowed.max() <= 1e-8 * np.abs(a.T @ y).max()
        active += bool((np.abs(theta) == bound).any())
    assert active > 30


@pytest.mark.parametrize("kind", KINDS)
def test_without_active_bounds_it_is_the_shortest_solution(kind: str) -> None:
    rng = np.random.default_rng(10 + KINDS.index(kind))
    for _ in range(150):
        a = matrix(kind, rng)
        y = rng.normal(size=len(a))
        spectrum = np.linalg.svd(a, compute_uv=False)
        if ((spectrum > 1e-9 * spectrum[0]) & (spectrum < 1e-3 * spectrum[0])).any():
            continue  # whose normal equations leave too few digits
        shortest = np.linalg.lstsq(a, y, rcond=1e-7)[0]
        theta = bounded_least_squares(a.T @ a, a.T @ y, np.full(a.shape[1], 1e6))
        np.testing.assert_allclose(theta, shortest, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1.0, 1e150])
def test_sums_of_any_size_do_without_warnings(size: float) -> None:
    with np.errstate(all="raise", under="ignore"):
        theta = bounded_least_squares(np.diag([1.0, 0.5]) * size, np.array([0.5, 5.0]) * size, np.ones(2))
        np.testing.assert_allclose(theta, [0.5, 1.0])


def test_nothing_known_gives_zero() -> None:
    assert np.array_equal(bounded_least_squares(np.zeros((3, 3)), np.zeros(3), np.ones(3)), np.zeros(3))
