"""A sample's solution is its own, wherever it starts, and ends when it was told to."""

import pytest
import torch

from sciml.solvers.bandits import ChebCB, TsallisINF
from sciml.solvers.linear import SOR, LinearStatus, Matrix, Rows, Stopping, nodal_laplacian
from tests.solvers.linear.cases import (
    BATCH,
    F32,
    F64,
    FIXED,
    ONE_OF_EACH,
    SYSTEMS,
    SolverCase,
    normal,
    norms,
    quiet,
    right_hand_side,
)

EVERY = pytest.mark.parametrize("solver", FIXED, ids=lambda case: case.name)
OF_EACH = pytest.mark.parametrize("solver", ONE_OF_EACH, ids=lambda case: case.name)


def system(name: str, dtype: torch.dtype = F64) -> Matrix:
    return next(case for case in SYSTEMS if case.name == name).make(dtype)


@EVERY
@pytest.mark.parametrize("name", ["diffusion_2d_mixed_3", "diffusion_2d_mixed_1", "rows"])
def test_batched_equals_one_by_one(solver: SolverCase, name: str) -> None:
    matrix, own = system(name), solver.make(Stopping())
    b, x0 = right_hand_side(matrix), right_hand_side(matrix, seed=1)
    together = own(matrix, b, x0)
    for k in range(BATCH):
        alone = own(matrix.select(torch.tensor([k])), b[k : k + 1], x0[k : k + 1])
        assert int(alone.iterations) == int(together.iterations[k])
        torch.testing.assert_close(alone.x[0], together.x[k], rtol=1e-13, atol=1e-13)
        torch.testing.assert_close(alone.residual[0], together.residual[k], rtol=1e-4, atol=1e-13)


@EVERY
def test_a_sample_does_not_depend_on_the_others(solver: SolverCase) -> None:
    """Neither on easy ones nor on those that fail, before, during or at the end of the iteration."""
    matrix, own = system("diffusion_2d_mixed_3"), solver.make(quiet())
    b, x0 = right_hand_side(matrix), right_hand_side(matrix, seed=1)
    before = own(matrix, b, x0)
    for value in (0.0, 1e6, torch.nan):
        changed = b.clone()
        changed[1] *= value
        after = own(matrix, changed, x0)
        assert bool(after.converged[1]) == (value == value)
        for k in (0, 2):
            assert torch.equal(after.x[k], before.x[k]) and after.iterations[k] == before.iterations[k]


@EVERY
@pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
def test_a_power_of_two_changes_no_digit(solver: SolverCase, dtype: torch.dtype) -> None:
    matrix, own = system("nine_point", dtype), solver.make(Stopping(tol=1e-5))
    b = right_hand_side(matrix)
    for exponent in (-80, 90):
        plain, scaled = own(matrix, b), own(matrix, b * 2.0**exponent)
        assert torch.equal(scaled.x, plain.x * 2.0**exponent)
        assert torch.equal(scaled.iterations, plain.iterations)


@EVERY
def test_a_start_at_the_solution_takes_no_iteration(solver: SolverCase) -> None:
    matrix, own = system("rows"), solver.make(Stopping())
    b = right_hand_side(matrix)
    first = own(matrix, b)
    again = own(matrix, b, first.x)
    assert torch.equal(again.x, first.x) and not bool(again.iterations.any())
    near = first.x + 1e-4 * right_hand_side(matrix, seed=2)
    kept = near.clone()
    nearer = own(matrix, b, near).iterations
    assert bool((nearer <= first.iterations).all()) and int(nearer.sum()) < int(first.iterations.sum())
    assert torch.equal(near, kept)


@EVERY
def test_from_the_start_counts_as_from_nothing_with_the_first_residual(solver: SolverCase) -> None:
    """All are linear: from x0 they take the steps from 0 of the system A d = b - A x0."""
    matrix = system("diffusion_2d_mixed_3")
    own = solver.make(Stopping(tol=1e-6, from_start=True))
    b, x0 = right_hand_side(matrix), 100 * right_hand_side(matrix, seed=1)
    moved, plain = own(matrix, b, x0), own(matrix, b - matrix.apply(x0))
    assert torch.equal(moved.iterations, plain.iterations)
    torch.testing.assert_close(moved.x, x0 + plain.x, rtol=1e-9, atol=1e-9)
    assert bool((moved.residual <= 1e-6 * norms(b - matrix.apply(x0))).all())
    more = solver.make(Stopping(tol=1e-6))(matrix, b, x0)  # by b, a hundredth of that
    assert bool((more.iterations > moved.iterations).all())


@EVERY
def test_an_absolute_tolerance_is_enough(solver: SolverCase) -> None:
    matrix = system("diffusion_2d_mixed_3")
    b = right_hand_side(matrix)
    b[1] *= 1e-6
    alone = solver.make(Stopping(tol=0.0, atol=1e-4))(matrix, b)
    assert alone.iterations[1] == 0 and bool((alone.residual <= 1e-4).all())
    either = solver.make(Stopping(tol=1e-8, atol=1e-4))(matrix, b)
    assert torch.equal(either.iterations, alone.iterations)
    exact_start = alone.x
    again = solver.make(Stopping(tol=1e-6, atol=1e-3, from_start=True))(matrix, b, exact_start)
    assert not bool(again.iterations.any())


@EVERY
def test_where_b_is_zero_so_is_x_whatever_the_start(solver: SolverCase) -> None:
    matrix, own = system("diffusion_2d_mixed_3"), solver.make(Stopping())
    b, x0 = right_hand_side(matrix), right_hand_side(matrix, seed=1)
    b[1] = 0
    for solution in (own(matrix, b), own(matrix, b, x0)):
        assert bool(solution.converged.all())
        assert not bool(solution.x[1].any()) and solution.iterations[1] == 0 and solution.residual[1] == 0
    falls = solver.make(Stopping(tol=1e-3, from_start=True))(matrix, b, x0)
    assert falls.iterations[1] > 0 and falls.residual[1] <= 1e-3 * norms(matrix.apply(x0))[1]


@EVERY
def test_the_last_iterate_of_too_few_iterations(solver: SolverCase) -> None:
    matrix = system("diffusion_2d_mixed_3")
    b = right_hand_side(matrix)
    needed = solver.make(Stopping())(matrix, b)
    most = int(needed.iterations.max())
    enough = solver.make(Stopping(max_iterations=most))(matrix, b)
    assert torch.equal(enough.x, needed.x)
    few = solver.make(quiet(max_iterations=2))(matrix, b)
    assert few.status.tolist() == [LinearStatus.TOO_MANY_ITERATIONS] * BATCH and few.iterations.tolist() == [2] * BATCH
    torch.testing.assert_close(few.residual, norms(b - matrix.apply(few.x)), rtol=1e-10, atol=0)
    # Twice one iteration is two for methods that remember nothing of the first.
    if solver.name.startswith(("SOR", "Jacobi")):
        once = solver.make(quiet(max_iterations=1))
        torch.testing.assert_close(once(matrix, b, once(matrix, b).x).x, few.x, rtol=1e-13, atol=1e-13)


@OF_EACH
def test_fields_in_any_memory_order(solver: SolverCase) -> None:
    matrix, own = system("diffusion_2d_mixed_3"), solver.make(Stopping())
    b, x0 = right_hand_side(matrix), right_hand_side(matrix, seed=1)
    strided = [x.transpose(1, 2).contiguous().transpose(1, 2) for x in (b, x0)]
    assert not strided[0].is_contiguous()
    assert torch.equal(own(matrix, *strided).x, own(matrix, b, x0).x)


@pytest.mark.parametrize("solver", ONE_OF_EACH, ids=lambda case: case.name)
def test_an_empty_batch_has_an_empty_solution(solver: SolverCase) -> None:
    matrix = system("diffusion_2d_mixed_1")
    solution = solver.make(Stopping())(matrix, right_hand_side(matrix)[:0])
    assert solution.x.shape == (0, *matrix.shape) and solution.status.shape == (0,)


def test_an_empty_batch_teaches_nothing() -> None:
    matrix = nodal_laplacian((3, 3))
    for bandit in (TsallisINF([1.0, 1.5]), ChebCB([1.0, 1.5], 0.0, 1.0)):
        solution = SOR(bandit)(matrix, normal(0, 3, 3), context=0.5)
        assert solution.omega is not None and solution.omega.shape == (0,)
        assert bandit.state_dict()["draws"]["count"] == 0


@OF_EACH
def test_one_unknown(solver: SolverCase) -> None:
    for matrix in (nodal_laplacian((1,)), nodal_laplacian((1, 1, 1)), Rows.of(torch.tensor([[3.0]], dtype=F64))):
        b = right_hand_side(matrix)
        torch.testing.assert_close(solver.make(Stopping())(matrix, b).x, b / matrix.diagonal, rtol=1e-7, atol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tol": 0.0}, "not both 0"),
        ({"tol": 1.0}, "tol < 1"),
        ({"tol": -1e-3}, "0 <= tol"),
        ({"tol": float("nan")}, "0 <= tol"),
        ({"atol": -1.0}, "atol >= 0"),
        ({"max_iterations": 0}, "max_iterations >= 1"),
    ],
)
def test_impossible_ends_are_refused(settings: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Stopping(**settings)  # type: ignore[arg-type]
