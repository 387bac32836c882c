"""A system that cannot be solved is named, with what to do; the others of its batch are solved."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from sciml.solvers.bandits import TsallisINF
from sciml.solvers.linear import (
    CG,
    SOR,
    SSORPCG,
    BiCGStab,
    Diagonal,
    Jacobi,
    LinearSolution,
    LinearSolveError,
    LinearSolver,
    LinearStatus,
    Matrix,
    Rows,
    SSORPreconditioner,
    Stencil,
    Stopping,
    nearest_offsets,
    nodal_laplacian,
)
from tests.solvers.linear.cases import F32, F64, ONE_OF_EACH, SOLVERS, SolverCase, exact, normal, norms

SHAPE = (4, 5)
Make = Callable[[Stopping], LinearSolver]


@dataclass(frozen=True)
class Failure:
    """Three systems of which the second fails, and the third is solved."""

    name: str
    solvers: dict[str, Make]
    status: LinearStatus
    advice: str
    spoil: Callable[[Tensor, Tensor, Tensor, Tensor], None]  # (values, diagonal, b, x0), in place
    dtype: torch.dtype = F64
    tol: float = 1e-8
    max_iterations: int = 3000


def all_solvers() -> dict[str, Make]:
    return {case.name: case.make for case in SOLVERS}


def relaxations(omega: float) -> dict[str, Make]:
    each = torch.tensor([1.0, omega, 0.8], dtype=F64)
    return {
        "SOR": lambda s: SOR(each, tol=s),
        "SSOR": lambda s: SOR(each, symmetric=True, tol=s),
        "Jacobi": lambda s: Jacobi(each, tol=s),
        "SSORPCG": lambda s: SSORPCG(each, tol=s),
    }


def set_b(value: float) -> Callable[[Tensor, Tensor, Tensor, Tensor], None]:
    def spoil(values: Tensor, diagonal: Tensor, b: Tensor, x0: Tensor) -> None:
        b[1, 2, 3] = value

    return spoil


def set_start(values: Tensor, diagonal: Tensor, b: Tensor, x0: Tensor) -> None:
    x0[1, 2, 3] = torch.nan


def set_matrix(values: Tensor, diagonal: Tensor, b: Tensor, x0: Tensor) -> None:
    diagonal[1, 2, 3] = torch.nan


def zero_diagonal(values: Tensor, diagonal: Tensor, b: Tensor, x0: Tensor) -> None:
    diagonal[1, 2, 3] = 0.0


def wind(values: Tensor, diagonal: Tensor, b: Tensor, x0: Tensor) -> None:
    values[1, 0] *= 1.5
    diagonal[1] += 1


def negative(values: Tensor, diagonal: Tensor, b: Tensor, x0: Tensor) -> None:
    diagonal[1] -= 4.4


def nothing(values: Tensor, diagonal: Tensor, b: Tensor, x0: Tensor) -> None:
    diagonal[1] -= 0.0


def rotation(values: Tensor, diagonal: Tensor, b: Tensor, x0: Tensor) -> None:
    """A skew matrix: A b is orthogonal to b."""
    values[1, 0::2], values[1, 1::2], diagonal[1] = -1.0, 1.0, 0.0


def hard(values: Tensor, diagonal: Tensor, b: Tensor, x0: Tensor) -> None:
    """The others begin at their solution, which is 0."""
    b[0] = b[2] = 0.0


GRADIENTS: dict[str, Make] = {
    "CG": lambda s: CG(tol=s),
    "CG_SSOR": lambda s: CG(SSORPreconditioner(1.2), tol=s),
    "SSORPCG": lambda s: SSORPCG(1.2, tol=s),
}
DIVIDING: dict[str, Make] = {
    "SOR": lambda s: SOR(1.2, tol=s),
    "SOR_bandit": lambda s: SOR(TsallisINF([1.0, 1.2]), tol=s),
    "Jacobi": lambda s: Jacobi(0.9, tol=s),
    "SSORPCG": lambda s: SSORPCG(tol=s),
    "CG_diagonal": lambda s: CG(Diagonal(), tol=s),
    "BiCGStab_diagonal": lambda s: BiCGStab(Diagonal(), tol=s),
    "BiCGStab_SSOR": lambda s: BiCGStab(SSORPreconditioner(), tol=s),
}
SLOW = {name: make for name, make in relaxations(1e-4).items() if name != "SSORPCG"}
S = LinearStatus
FAILURES = [
    Failure("nan_in_b", all_solvers(), S.NOT_FINITE, "holds NaN or infinity", set_b(torch.nan)),
    Failure("infinity_in_b", all_solvers(), S.NOT_FINITE, "holds NaN or infinity", set_b(-torch.inf)),
    Failure("nan_in_x0", all_solvers(), S.NOT_FINITE, "holds NaN or infinity", set_start),
    Failure("nan_in_matrix", all_solvers(), S.NOT_FINITE, "holds NaN or infinity", set_matrix),
    Failure("zero_diagonal", DIVIDING, S.ZERO_DIAGONAL, "Take BiCGStab without", zero_diagonal),
    Failure("not_symmetric", GRADIENTS, S.NOT_SYMMETRIC, "Take BiCGStab", wind),
    Failure("indefinite", GRADIENTS, S.INDEFINITE, "check the signs", negative),
    Failure("omega_0", relaxations(0.0), S.BAD_OMEGA, "not between 0 and 2", nothing),
    Failure("omega_2", relaxations(2.0), S.BAD_OMEGA, "not between 0 and 2", nothing),
    Failure("omega_nan", relaxations(torch.nan), S.BAD_OMEGA, "not between 0 and 2", nothing),
    Failure("slow", SLOW, S.TOO_MANY_ITERATIONS, "Allow more, tune omega", nothing, max_iterations=150),
    Failure("few", all_solvers(), S.TOO_MANY_ITERATIONS, "max_iterations", hard, max_iterations=2),
    Failure("float32", all_solvers(), S.STAGNATED, "larger tol, or solve in float64", hard, F32, tol=1e-12),
    Failure("breakdown", {"BiCGStab": lambda s: BiCGStab(tol=s)}, S.BREAKDOWN, "Start elsewhere", rotation),
    Failure("diverging", {"SOR": lambda s: SOR(1.0, tol=s), "Jacobi": lambda s: Jacobi(1.0, tol=s)}, S.NOT_FINITE,
            "nearer to 1", negative),
]  # fmt: skip
CASES = [
    pytest.param(failure, make, id=f"{failure.name}-{name}")
    for failure in FAILURES
    for name, make in failure.solvers.items()
]


def systems(failure: Failure) -> tuple[Matrix, Tensor, Tensor]:
    values = torch.full((3, 4, *SHAPE), -1.0, dtype=failure.dtype)
    diagonal = torch.full((3, *SHAPE), 4.5, dtype=failure.dtype)
    b, x0 = normal(3, *SHAPE, dtype=failure.dtype), torch.zeros(3, *SHAPE, dtype=failure.dtype)
    failure.spoil(values, diagonal, b, x0)
    return Stencil(SHAPE, nearest_offsets(2), values, diagonal), b, x0


def check(solution: LinearSolution, failure: Failure) -> None:
    """The second has failed, and the others are solved."""
    assert solution.status.tolist() == [0, int(failure.status), 0]
    assert solution.converged.tolist() == [True, False, True]
    matrix, b, _ = systems(failure)
    good = torch.tensor([0, 2])
    right = exact(matrix.select(good), b[good])
    assert bool((norms(solution.x[good] - right) <= 20 * failure.tol * norms(b[good])).all())


@pytest.mark.parametrize(("failure", "make"), CASES)
def test_one_sample_fails_and_the_others_are_solved(failure: Failure, make: Make) -> None:
    solver = make(Stopping(tol=failure.tol, max_iterations=failure.max_iterations))
    with pytest.raises(LinearSolveError, match=r"solved 2 of 3 systems\. Sample 1: ") as caught:
        solver(*systems(failure))
    assert failure.advice in str(caught.value)
    check(caught.value.solution, failure)


@pytest.mark.parametrize("failure", FAILURES, ids=lambda failure: failure.name)
def test_without_an_error_where_none_is_wanted(failure: Failure) -> None:
    make = next(iter(failure.solvers.values()))
    stopping = Stopping(tol=failure.tol, max_iterations=failure.max_iterations, throw=False)
    check(make(stopping)(*systems(failure)), failure)


@pytest.mark.parametrize("solver", SOLVERS, ids=lambda case: case.name)
def test_all_fail_and_the_first_of_many_are_listed(solver: SolverCase) -> None:
    b = normal(12, *SHAPE)
    b[1:, 0, 0] = torch.nan
    with pytest.raises(LinearSolveError, match=r"1 of 12 systems\. Sample 1, 2, 3, 4, 5, 6, 7, 8 and 3 more: "):
        solver.make(Stopping())(nodal_laplacian(SHAPE), b)
    with pytest.raises(LinearSolveError, match="0 of 11 systems") as caught:
        solver.make(Stopping())(nodal_laplacian(SHAPE), b[1:])
    assert bool((caught.value.solution.x == 0).all()) and not bool(caught.value.solution.iterations.any())


def test_different_failures_in_one_message() -> None:
    matrix = nodal_laplacian((10, 10)).shifted(torch.tensor([0.0, -5.0, 0.3, 0.0, 0.0]))
    b = normal(5, 10, 10)
    b[3] = torch.nan
    with pytest.raises(LinearSolveError) as caught:
        SSORPCG(torch.tensor([1.0, 1.0, 1.0, 1.0, 2.5]))(matrix, b)
    message = str(caught.value)
    assert message.startswith("SSORPCG solved 2 of 5 systems. Sample 1: the matrix is not positive definite")
    assert "Sample 3: " in message and "Sample 4: omega is not between 0 and 2" in message and "omega 2.5" in message
    assert caught.value.solution.status.tolist() == [0, S.INDEFINITE, 0, S.NOT_FINITE, S.BAD_OMEGA]


def test_a_negative_definite_matrix_is_solved_by_relaxation_and_bicgstab() -> None:
    """Which conjugate gradients refuse."""
    matrix, b = nodal_laplacian(SHAPE).shifted(2.0).scaled(-1.0), normal(2, *SHAPE)
    for solver in (SOR(1.3), Jacobi(), BiCGStab()):
        torch.testing.assert_close(solver(matrix, b).x, exact(matrix, b), rtol=1e-6, atol=1e-6)
    for refusing in (CG(), SSORPCG(), CG(Diagonal())):
        with pytest.raises(LinearSolveError, match="not positive definite"):
            refusing(matrix, b)


@pytest.mark.parametrize("solver", ONE_OF_EACH, ids=lambda case: case.name)
def test_what_does_not_fit_is_refused(solver: SolverCase) -> None:
    own, matrix, b = solver.make(Stopping()), nodal_laplacian(SHAPE), normal(2, *SHAPE)
    each = matrix.shifted(torch.tensor([0.0, 1.0, 2.0]))
    for wrong, message in (
        ((matrix, b[:, :3]), r"b of shape \(batch, 4, 5\), got \(2, 3, 5\)"),
        ((matrix, b[0]), r"Add the batch axis: b\[None\]"),
        ((matrix, b[:, None]), r"got \(2, 1, 4, 5\)"),
        ((each, b), "as many right-hand sides as matrices, 3, got 2"),
        ((matrix, b.float()), r"torch\.float64 on cpu, got torch\.float32"),
        ((matrix, b, b[:1]), r"x0 as b, \(2, 4, 5\)"),
        ((matrix, b, b.float()), r"got \(2, 4, 5\) torch\.float32"),
        ((Rows.from_couplings(matrix.couplings()), b), r"\(batch, 20\)"),
    ):
        with pytest.raises(ValueError, match=message):
            own(*wrong)
