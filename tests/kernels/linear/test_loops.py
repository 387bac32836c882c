"""Whole solves in C++ beside torch, scipy and the true residual; how they end; that samples are left alone."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.sparse.linalg
import torch
from torch import Tensor

from sciml.kernels.linear.goal import Goal
from sciml.kernels.linear.loops import Method, Solved, Status, solve_reference, solve_systems
from sciml.kernels.linear.matrix import Matrix
from sciml.kernels.linear.rows import Rows
from sciml.kernels.linear.stencil import Stencil
from sciml.kernels.linear.sweeps import precondition, sweep
from tests.kernels.linear.systems import F32, F64, definite, dense, goal, needs_compiler, normal, omegas, poisson

SWEEPS, SYMMETRIC, GRADIENTS = Method.SWEEPS, Method.SYMMETRIC_SWEEPS, Method.GRADIENTS
every_method = pytest.mark.parametrize("method", list(Method))
by_colours_or_not = pytest.mark.parametrize("colours", [False, True])
either_twin = pytest.mark.parametrize("solve", [solve_systems, solve_reference])

GRIDS = [((6, 7), (True, False)), ((3, 18), (False, True)), ((4, 3, 5), (False, True, False))]


def by_rows(stencil: Stencil, b: Tensor, x: Tensor) -> tuple[Rows, Tensor, Tensor]:
    """The same systems, by rows."""
    return Rows.from_couplings(stencil.couplings()), b.flatten(1), x.flatten(1)


def residuals(stencil: Stencil, b: Tensor, x: Tensor) -> np.ndarray:
    """Norms of b - A x, by the dense matrix in float64."""
    a, (right, at) = dense(stencil), (t.double().numpy().reshape(len(b), -1, 1) for t in (b, x))
    return np.linalg.norm(right - a @ at, axis=(1, 2))


def check_twins(mine: Solved, other: Solved, tolerance: float) -> None:
    """The same counts and ends, and solutions but for rounding, to which gradients are sensitive."""
    assert torch.equal(mine.status, other.status)
    assert torch.equal(mine.iterations, other.iterations)
    torch.testing.assert_close(mine.x, other.x, rtol=tolerance, atol=tolerance)
    torch.testing.assert_close(mine.residual, other.residual, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize(("shape", "periodic"), GRIDS)
@every_method
@by_colours_or_not
def test_twins_agree_and_the_true_residual_is_what_was_asked(shape, periodic, method: Method, colours: bool) -> None:
    """With a relaxation and a tolerance for each sample."""
    omega = torch.tensor([0.8, 1.0, 1.3, 0.0 if method == GRADIENTS else 1.6], dtype=F64)
    rtol, atol = torch.tensor([1e-7, 1e-2, 0.0, 1e-4], dtype=F64), torch.tensor([0.0, 0.0, 1e-5, 0.0], dtype=F64)
    b, x = normal(4, *shape), normal(4, *shape, seed=1)
    for full, initial in ((False, True), (True, False)):
        stencil = definite(shape, periodic, full=full, samples=4).shifted(0.5)
        reference = residuals(stencil, b, x) if initial else b.flatten(1).norm(dim=1).numpy()
        asked = np.maximum(rtol.numpy() * reference, atol.numpy())
        for matrix, right, start in ((stencil, b, x), by_rows(stencil, b, x)):
            given = (method, matrix, right, start, omega, Goal(rtol, atol, initial), 10_000)
            mine, other = (solve(*given, colours=colours) for solve in (solve_systems, solve_reference))
            check_twins(mine, other, 1e-5 if method == GRADIENTS else 1e-11)
            assert not mine.status.any()
            found = residuals(stencil, b, mine.x)
            assert (found <= asked * (1 + 1e-6) + 1e-13).all()
            np.testing.assert_allclose(mine.residual, found, rtol=1e-5, atol=1e-13)
            # One iteration less was not enough.
            short = solve_systems(*given[:-1], int(mine.iterations.max()) - 1, colours=colours)
            slowest = mine.iterations == mine.iterations.max()
            assert bool((short.status[slowest] == Status.TOO_MANY_ITERATIONS).all())
            assert (residuals(stencil, b, short.x) > asked)[slowest.numpy()].all()


@every_method
@by_colours_or_not
def test_twins_agree_in_float32(method: Method, colours: bool) -> None:
    stencil = poisson(9, shift=torch.tensor([0.0, 0.3, 1.0]), dtype=F32)
    b, x = normal(3, 9, 9, dtype=F32), torch.zeros(3, 9, 9)
    for matrix, right, start in ((stencil, b, x), by_rows(stencil, b, x)):
        given = (method, matrix, right, start, omegas(1.2, count=3), goal(3, rtol=1e-4), 1000)
        mine, other = (solve(*given, colours=colours) for solve in (solve_systems, solve_reference))
        assert not mine.status.any() and not other.status.any() and mine.x.dtype == F32
        assert bool(((mine.iterations - other.iterations).abs() <= 1).all())
        assert (residuals(stencil, b, mine.x) <= 1.01e-4 * b.flatten(1).norm(dim=1).numpy()).all()


def test_an_iteration_of_relaxation_is_a_sweep_or_one_each_way() -> None:
    stencil, b, x = definite((6, 7), (True, False)), normal(3, 6, 7), normal(3, 6, 7, seed=1)
    omega = omegas(0.8, 1.2, 1.5)
    forward = sweep(stencil, b, x, omega)
    back = sweep(stencil, b, forward, omega, backward=True)
    for method, expected in ((SWEEPS, forward), (SYMMETRIC, back)):
        found = solve_systems(method, stencil, b, x, omega, goal(3), 1)
        torch.testing.assert_close(found.x, expected, rtol=1e-13, atol=1e-13)
        assert found.iterations.tolist() == [1, 1, 1]


@every_method
@either_twin
def test_a_better_start_takes_fewer_iterations(method: Method, solve) -> None:
    matrix, b = poisson(10, shift=torch.tensor([0.0, 0.1, 0.4])), normal(3, 10, 10)
    given = (omegas(1.5, count=3), goal(3), 2000)
    cold = solve(method, matrix, b, torch.zeros_like(b), *given)
    kept = cold.x.clone()
    warm = solve(method, matrix, b, cold.x + 1e-5 * normal(3, 10, 10, seed=4), *given)
    assert bool((warm.iterations < cold.iterations).all()) and bool((warm.iterations > 0).all())
    again = solve(method, matrix, b, cold.x, *given)
    assert again.iterations.tolist() == [0, 0, 0] and torch.equal(again.x, cold.x)
    assert torch.equal(cold.x, kept)  # nor is the start written to


@every_method
@either_twin
def test_nothing_to_solve_takes_no_iteration(method: Method, solve) -> None:
    matrix, b = poisson(5), torch.zeros(2, 5, 5, dtype=F64)
    b[1] = 1.0
    found = solve(method, matrix, b, torch.zeros_like(b), omegas(1.2, count=2), goal(2), 1000)
    assert found.iterations[0] == 0 and found.iterations[1] > 0
    assert not found.status.any() and not found.x[0].any() and found.residual[0] == 0


@pytest.mark.parametrize("shift", [0.0, 0.5])
@either_twin
def test_plain_gradients_are_those_of_scipy(shift: float, solve) -> None:
    matrix, b = poisson(12, shift=shift), normal(3, 12, 12)
    found = solve(GRADIENTS, matrix, b, torch.zeros_like(b), omegas(0.0, count=3), goal(3), 1000)
    a = dense(matrix)[0]
    for k, right in enumerate(b.flatten(1).numpy()):
        seen: list[int] = []
        x, failed = scipy.sparse.linalg.cg(a, right, rtol=1e-8, atol=0.0, callback=lambda _, seen=seen: seen.append(1))
        assert not failed and abs(len(seen) - int(found.iterations[k])) <= 1
        np.testing.assert_allclose(found.x[k].flatten(), np.linalg.solve(a, right), atol=1e-6)
        np.testing.assert_allclose(found.x[k].flatten(), x, atol=1e-6)


@pytest.mark.parametrize("colours", [False, True])
def test_preconditioned_gradients_are_those_of_scipy(colours: bool) -> None:
    matrix, b, w = poisson(12), normal(1, 12, 12), 1.4
    found = solve_systems(GRADIENTS, matrix, b, torch.zeros_like(b), omegas(w), goal(1), 1000, colours=colours)
    a, order = dense(matrix)[0], matrix.couplings().pattern.colours.order.numpy() if colours else np.arange(144)
    own = a[np.ix_(order, order)]
    lower = np.eye(144) * own / w + np.tril(own, -1)
    inverse = np.linalg.inv(w / (2 - w) * lower @ np.diag(1 / own.diagonal()) @ lower.T)
    right, seen = b.flatten().numpy()[order], []
    scipy.sparse.linalg.cg(own, right, rtol=1e-8, atol=0.0, M=inverse, callback=lambda _: seen.append(1))
    assert abs(len(seen) - int(found.iterations[0])) <= 1


@either_twin
@pytest.mark.parametrize("omega", [0.0, 1.3])
def test_an_indefinite_matrix_is_found_out_and_leaves_the_others_alone(omega: float, solve) -> None:
    """It shows after a few steps; the batch goes on as if it had not been there."""
    shift = torch.tensor([0.2, -0.4, 0.0], dtype=F64)
    matrix, b = poisson(8, shift=shift), normal(3, 8, 8)
    given = (omegas(omega, count=3), goal(3, rtol=1e-10), 1000)
    found = solve(GRADIENTS, matrix, b, torch.zeros_like(b), *given)
    assert found.status.tolist() == [Status.CONVERGED, Status.INDEFINITE, Status.CONVERGED]
    assert 1 <= found.iterations[1] < found.iterations[0]
    rest = torch.tensor([0, 2])
    alone = solve(
        GRADIENTS, matrix.select(rest), b[rest], torch.zeros_like(b[rest]), given[0][rest], goal(2, rtol=1e-10), 1000
    )
    assert torch.equal(found.iterations[rest], alone.iterations)
    torch.testing.assert_close(found.x[rest], alone.x, rtol=1e-13, atol=1e-13)
    negative = solve(GRADIENTS, matrix.scaled(-1.0), b, torch.zeros_like(b), *given)
    assert negative.status.tolist() == [Status.INDEFINITE] * 3 and not negative.iterations.any()


@every_method
@either_twin
@by_colours_or_not
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_what_is_not_finite_ends_its_own_sample_alone(method: Method, solve, colours: bool, bad: float) -> None:
    matrix, b = poisson(6, shift=torch.tensor([0.1, 0.2, 0.3])), normal(3, 6, 6)
    b[1, 2, 3] = bad
    given = (omegas(1.3, count=3), goal(3), 1000)
    found = solve(method, matrix, b, torch.zeros_like(b), *given, colours=colours)
    assert found.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE, Status.CONVERGED]
    assert found.iterations[1] == 0 and not found.x[1].any()
    good = torch.tensor([0, 2])
    assert (
        residuals(matrix.select(good), b[good], found.x[good]) <= 1.001e-8 * b[good].flatten(1).norm(dim=1).numpy()
    ).all()


@either_twin
def test_relaxation_that_diverges_ends(solve) -> None:
    """Beyond omega = 2 every sweep adds to the error."""
    matrix, b = poisson(4), normal(2, 4, 4)
    found = solve(SWEEPS, matrix, b, torch.zeros_like(b), omegas(1.2, 40.0), goal(2), 10_000)
    assert found.status.tolist() == [Status.CONVERGED, Status.NOT_FINITE]
    slowly = solve(SWEEPS, matrix, b, torch.zeros_like(b), omegas(1.2, 2.01), goal(2), 10_000)
    assert slowly.status.tolist() == [Status.CONVERGED, Status.STAGNATED]


@every_method
@either_twin
def test_too_many_iterations(method: Method, solve) -> None:
    matrix, b = poisson(10), normal(2, 10, 10)
    asked = Goal(torch.tensor([0.5, 1e-8], dtype=F64), torch.zeros(2, dtype=F64), False)
    found = solve(method, matrix, b, torch.zeros_like(b), omegas(1.2, count=2), asked, 5)
    assert found.status.tolist() == [Status.CONVERGED, Status.TOO_MANY_ITERATIONS]
    assert found.iterations[0] < 5 and found.iterations[1] == 5
    none = solve(method, matrix, b, torch.zeros_like(b), omegas(1.2, count=2), asked, 0)
    assert none.status.tolist() == [Status.TOO_MANY_ITERATIONS] * 2 and not none.iterations.any()


@pytest.mark.parametrize(("method", "omega"), [(SWEEPS, 1.2), (SYMMETRIC, 1.2), (GRADIENTS, 0.0), (GRADIENTS, 1.2)])
@either_twin
def test_a_tolerance_below_rounding_stagnates(method: Method, omega: float, solve) -> None:
    matrix, b = poisson(8, dtype=F32), normal(2, 8, 8, dtype=F32)
    found = solve(method, matrix, b, torch.zeros_like(b), omegas(omega, count=2), goal(2, rtol=1e-12), 100_000)
    assert found.status.tolist() == [Status.STAGNATED] * 2
    # Told so at the same place a limit says that it is too many.
    last = int(found.iterations[0])
    first = (matrix, b[:1], torch.zeros_like(b[:1]), omegas(omega), goal(1, rtol=1e-12), last)
    assert solve(method, *first).status.tolist() == [Status.TOO_MANY_ITERATIONS]
    # What float32 allows is reached, and what is said of the residual is true.
    assert (residuals(matrix, b, found.x) < 1e-5 * b.flatten(1).norm(dim=1).numpy()).all()
    np.testing.assert_allclose(found.residual, residuals(matrix, b, found.x), rtol=1, atol=1e-6)


@needs_compiler
@every_method
@by_colours_or_not
def test_a_sample_does_not_feel_the_others(method: Method, colours: bool) -> None:
    """Bit by bit, whether their matrix is shared or their own."""
    own = definite((5, 18), (False, True), samples=4)
    b, x = normal(4, 5, 18), normal(4, 5, 18, seed=1)
    omega, rtol = omegas(0.9, 1.1, 1.3, 1.5), torch.tensor([1e-8, 1e-2, 1e-6, 1e-9], dtype=F64)
    for stencil in (own, own.select(torch.tensor([2]))):
        for matrix, right, start in ((stencil, b, x), by_rows(stencil, b, x)):
            given = (method, matrix, right, start, omega, Goal(rtol, torch.zeros(4, dtype=F64), False), 5000)
            together = solve_systems(*given, colours=colours)
            for k in range(4):
                check_bits(together, alone(given, k, colours=colours), slice(k, k + 1))


def alone(given: tuple, k: int, *, colours: bool) -> Solved:
    """Sample k of a batch."""
    method, matrix, b, x, omega, asked, limit = given
    at = torch.tensor([k])
    mine: Matrix = matrix.select(at)
    one = Goal(asked.rtol[at], asked.atol[at], asked.initial)
    return solve_systems(method, mine, b[at], x[at], omega[at], one, limit, colours=colours)


def check_bits(batch: Solved, other: Solved, rows: slice) -> None:
    for mine, its in zip(batch, other):
        assert torch.equal(mine[rows], its)


@needs_compiler
@every_method
def test_threads_do_not_change_a_bit(method: Method) -> None:
    stencil, b = definite((9, 17), (False, False), samples=5), normal(5, 9, 17)
    given = (omegas(1.3, count=5), goal(5), 2000)
    for matrix, right, start in ((stencil, b, torch.zeros_like(b)), by_rows(stencil, b, torch.zeros_like(b))):
        found = []
        for threads in (1, 2):
            torch.set_num_threads(threads)
            try:
                found.append(solve_systems(method, matrix, right, start, *given))
            finally:
                torch.set_num_threads(1)
        check_bits(*found, slice(None))


def test_shapes_that_do_not_fit() -> None:
    """C++ would read beyond their ends."""
    matrix, b, three = poisson(4, shift=torch.zeros(2)), normal(3, 4, 4), omegas(1.0, count=3)
    with pytest.raises(ValueError, match=r"a matrix of 1 or 3 samples, got 2\. Choose with select"):
        solve_systems(SWEEPS, matrix, b, b, three, goal(3), 5)
    one, wide = matrix.select(torch.tensor([0])), normal(3, 4, 5)
    message = r"fields \(batch, \*\(4, 4\)\) and omega \(batch,\), got \[\(3, 4, 5\)"
    for call in (
        lambda: solve_systems(SWEEPS, one, wide, wide, three, goal(3), 5),
        lambda: sweep(one, wide, wide, three),
        lambda: precondition(one, wide, three),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    for asked in (goal(1), Goal(torch.ones(3), torch.zeros(2), False)):
        with pytest.raises(
            ValueError, match=r"rtol and atol for each of 3 samples, got shapes \((1|3),\) and \([12],\)"
        ):
            solve_systems(SWEEPS, one, b, b, three, asked, 5)
