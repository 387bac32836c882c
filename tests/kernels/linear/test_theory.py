"""Young's theory of over-relaxation, and the numbers of iterations of "Learning to Relax" (Khodak et al., 2024)."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.kernels.linear.loops import Method, solve_systems
from sciml.kernels.linear.rows import Rows
from sciml.kernels.linear.stencil import Stencil
from sciml.kernels.linear.sweeps import sweep
from tests.kernels.linear.systems import F64, dense, distance, goal, needs_compiler, normal, omegas, poisson

every_shift = pytest.mark.parametrize("shift", [-0.15, 0.0, 0.45])


def jacobi_radius(m: int, shift: float | Tensor) -> Tensor:
    """Of I - D^-1 A, for m x m points of nearest neighbours."""
    return 4 * np.cos(np.pi / (m + 1)) / (4 + torch.as_tensor(shift, dtype=F64))


def best_omega(beta: Tensor) -> Tensor:
    """Young, 1954: where the radius of the sweep is smallest."""
    return 2 / (1 + (1 - beta**2).sqrt())


def radius(w: float, beta: float) -> float:
    """Young: the spectral radius of a sweep."""
    inner = w**2 * beta**2 - 4 * (w - 1)
    return w - 1 if inner < 0 else (w * beta + np.sqrt(inner)) ** 2 / 4


def sweep_matrix(matrix: Stencil, w: float, *, colours: bool = False) -> np.ndarray:
    """What a sweep multiplies the error with, column by column; that of the defect is similar to it."""
    n = int(np.prod(matrix.shape))
    unit = torch.eye(n, dtype=F64).reshape(n, *matrix.shape)
    swept = sweep(matrix, torch.zeros_like(unit), unit, omegas(w, count=n), colours=colours)
    return swept.reshape(n, n).T.numpy()


def test_the_spectrum_of_the_laplacian() -> None:
    m, wave = 10, 2 * np.cos(np.pi * np.arange(1, 11) / 11)
    found = np.linalg.eigvalsh(dense(poisson(m))[0])
    np.testing.assert_allclose(found, np.sort((4 - wave[:, None] - wave).ravel()), atol=1e-13)


@every_shift
@pytest.mark.parametrize("w", [1.3, 1.7, 1.9])
@pytest.mark.parametrize("colours", [False, True])
def test_every_eigenvalue_of_a_sweep_is_youngs(shift: float, w: float, colours: bool) -> None:
    """(l + w - 1)^2 = l w^2 mu^2 for each pair of eigenvalues +mu, -mu of Jacobi's matrix; in either order.

    Not asked near w = 1, where half of them are 0 in blocks that rounding tears apart.
    """
    m, wave = 10, 2 * np.cos(np.pi * np.arange(1, 11) / 11)
    mu = np.sort((wave[:, None] + wave).ravel()) / (4 + shift)
    zero = np.abs(mu) < 1e-12
    roots = [np.roots([1, 2 * (w - 1) - w**2 * x**2, (w - 1) ** 2]) for x in mu[~zero & (mu > 0)]]
    expected = np.concatenate([*roots, np.full(zero.sum(), 1 - w)])
    found = np.linalg.eigvals(sweep_matrix(poisson(m, shift=shift), w, colours=colours))
    assert distance(found, expected) < 1e-9
    assert abs(np.abs(found).max() - radius(w, float(jacobi_radius(m, shift)))) < 1e-12


@every_shift
def test_the_radius_is_smallest_at_youngs_omega(shift: float) -> None:
    matrix, beta = poisson(10, shift=shift), jacobi_radius(10, shift)
    best = float(best_omega(beta))

    def found(w: float) -> float:
        return np.abs(np.linalg.eigvals(sweep_matrix(matrix, w))).max()

    # There two eigenvalues meet: a rounding of eps moves them by its root.
    assert abs(found(best) - (best - 1)) < 1e-6
    around = [found(best + step) for step in (-0.02, -0.005, 0.005, 0.02)]
    assert min(around) > best - 1 + 1e-3
    assert around[0] > around[1] > found(best) < around[2] < around[3]


# The study's table: mean iterations of T = 4000 draws, at w and at Young's own (None).
TABLE = {
    (0.5, 1.5): {1.0: 617.6, 1.5: 200.5, 1.8: 103.7, None: 56.5},
    (2.0, 6.0): {1.0: 272.1, 1.5: 82.3, 1.8: 86.0, None: 41.8},
}


@needs_compiler
@pytest.mark.parametrize("spread", TABLE)
def test_mean_iterations_of_sweeps_are_those_of_the_study(spread: tuple[float, float]) -> None:
    """A = Laplacian of 10 x 10 points + c, b normal within a ball: within four errors of the means."""
    count, random = 300, np.random.default_rng(0)
    c = torch.from_numpy(-0.15 + 0.6 * random.beta(*spread, count))
    b = random.standard_normal((2 * count, 100))
    b = torch.from_numpy(b[np.linalg.norm(b, axis=1) <= 10][:count]).reshape(count, 10, 10)
    assert len(b) == count
    matrix, asked = poisson(10, shift=c), goal(count, rtol=1e-8, initial=True)
    for w, expected in TABLE[spread].items():
        omega = best_omega(jacobi_radius(10, c)) if w is None else omegas(w, count=count)
        found = solve_systems(Method.SWEEPS, matrix, b, torch.zeros_like(b), omega, asked, 10_000)
        assert not found.status.any()
        taken = found.iterations.double()
        error = float(taken.std()) * (1 / count + 1 / 4000) ** 0.5
        assert abs(float(taken.mean()) - expected) < 4 * error + 0.1, (w, float(taken.mean()), expected, error)


# Iterations for one random right-hand side: without a preconditioner (0), then with SSOR.
GRADIENTS = {
    (10, 0.0): {0.0: 33, 1.0: 15, 1.2: 14, 1.4: 13, 1.6: 14, 1.8: 17, 1.9: 18},
    (10, 0.5): {0.0: 26, 1.0: 11, 1.2: 10, 1.4: 9, 1.6: 13, 1.8: 16, 1.9: 18},
    (30, 0.0): {0.0: 95, 1.0: 39, 1.2: 32, 1.4: 28, 1.6: 23, 1.8: 23, 1.9: 28},
    (30, 0.5): {0.0: 37, 1.0: 13, 1.2: 11, 1.4: 10, 1.6: 13, 1.8: 19, 1.9: 24},
}


@needs_compiler
@pytest.mark.parametrize(("m", "shift"), GRADIENTS)
def test_iterations_of_gradients_are_those_of_the_study(m: int, shift: float) -> None:
    """For every one of several right-hand sides, since the study's own is not known; by rows too."""
    stencil, b = poisson(m, shift=shift), normal(5, m, m)
    for matrix, right in ((stencil, b), (Rows.from_couplings(stencil.couplings()), b.flatten(1))):
        for w, expected in GRADIENTS[m, shift].items():
            given = (Method.GRADIENTS, matrix, right, torch.zeros_like(right), omegas(w, count=5), goal(5), 1000)
            taken = solve_systems(*given).iterations
            assert bool(((taken - expected).abs() <= 2).all()), (w, taken, expected)


@needs_compiler
def test_red_and_black_make_a_bad_preconditioner_that_omega_makes_worse() -> None:
    """In natural order omega helps (62 x 62 points: 75 iterations at 1, 33 at 1.8); by colours it does harm."""
    matrix, b = poisson(62), normal(1, 62, 62)
    expected = {
        False: {1.0: 75, 1.2: 62, 1.4: 51, 1.6: 41, 1.8: 33, 1.9: 33},
        True: {1.0: 97, 1.2: 101, 1.4: 113, 1.6: 133, 1.8: 160, 1.9: 176},
    }
    for colours, counts in expected.items():
        taken = [
            int(
                solve_systems(
                    Method.GRADIENTS, matrix, b, torch.zeros_like(b), omegas(w), goal(1), 1000, colours=colours
                ).iterations
            )
            for w in counts
        ]
        np.testing.assert_allclose(taken, list(counts.values()), rtol=0.04, atol=1)
        if colours:
            assert taken == sorted(taken)
