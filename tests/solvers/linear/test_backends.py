"""Sparse direct solves and algebraic multigrid of other packages: what dense solves say, gradients, failures."""

from __future__ import annotations

import sys

import pytest
import torch
from torch import Tensor

pytest.importorskip("scipy")
pytest.importorskip("pyamg")

from sciml.kernels.linear.matrix import Matrix
from sciml.solvers.equations.boundary import Neumann
from sciml.solvers.linear import (
    AlgebraicMultigrid,
    LinearSolveError,
    LinearStatus,
    Rows,
    SparseDirect,
    Stencil,
    Stopping,
    diffusion_matrix,
    nearest_offsets,
)

SOLVERS = {"direct": SparseDirect(tol=1e-11), "algebraic": AlgebraicMultigrid(tol=1e-11)}


@pytest.fixture(params=SOLVERS, ids=SOLVERS)
def solver(request: pytest.FixtureRequest) -> SparseDirect | AlgebraicMultigrid:
    return SOLVERS[request.param]


def rough(shape: tuple[int, ...], samples: int, seed: int = 0) -> Tensor:
    noise = torch.randn((samples, *shape), generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return torch.exp(noise)


def dense(matrix: Matrix, count: int) -> Tensor:
    """(count, n, n), column by column."""
    n = torch.Size(matrix.shape).numel()
    columns = [matrix.apply(column.expand(count, n).reshape(count, *matrix.shape)) for column in torch.eye(n).double()]
    return torch.stack([column.flatten(1) for column in columns], dim=2)


def convection(shape: tuple[int, int]) -> Stencil:
    values = torch.tensor([-1.4, -0.6, -1.2, -0.8], dtype=torch.float64).reshape(1, 4, 1, 1)
    return Stencil(shape, nearest_offsets(2), values, torch.full((1, 1, 1), 4.1, dtype=torch.float64))


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("rows", [False, True])
def test_they_solve_what_a_dense_solve_does(
    solver: SparseDirect | AlgebraicMultigrid, samples: int, rows: bool
) -> None:
    matrix: Matrix = diffusion_matrix(rough((9, 7), samples), spacing=1.0)
    b = torch.randn(3, 9, 7, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if rows:
        matrix, b = Rows.from_couplings(matrix.couplings()), b.flatten(1)
    expected = torch.linalg.solve(dense(matrix, 3), b.flatten(1)).reshape(b.shape)
    solution = solver(matrix, b)
    torch.testing.assert_close(solution.x, expected, rtol=1e-8, atol=1e-9)
    assert bool(solution.converged.all()) and bool((solution.iterations >= 1).all())
    assert bool((solution.residual <= 1e-11 * b.flatten(1).norm(dim=1)).all())


def test_they_solve_matrices_that_are_not_symmetric(solver: SparseDirect | AlgebraicMultigrid) -> None:
    matrix = convection((8, 11))
    b = torch.randn(2, 8, 11, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    expected = torch.linalg.solve(dense(matrix, 2), b.flatten(1)).reshape(b.shape)
    torch.testing.assert_close(solver(matrix, b).x, expected, rtol=1e-8, atol=1e-9)


def test_the_gradient_is_that_of_the_inverse(solver: SparseDirect | AlgebraicMultigrid) -> None:
    k = rough((3, 4), 1).requires_grad_()
    b = torch.randn(1, 3, 4, generator=torch.Generator().manual_seed(3), dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda k, b: solver(diffusion_matrix(k, spacing=1.0), b).x, (k, b), atol=1e-6)


def test_a_start_at_the_solution_takes_no_iteration(solver: SparseDirect | AlgebraicMultigrid) -> None:
    matrix = diffusion_matrix(1.0, (6, 6), spacing=1.0)
    x = torch.ones(1, 6, 6, dtype=torch.float64)
    assert int(solver(matrix, matrix.apply(x), x).iterations) == 0


def test_single_precision_is_solved_in_double(solver: SparseDirect | AlgebraicMultigrid) -> None:
    matrix = diffusion_matrix(1.0, (12, 12), spacing=1.0, dtype=torch.float32)
    b = torch.randn(1, 12, 12, generator=torch.Generator().manual_seed(4))
    solution = solver(matrix, b)
    assert solution.x.dtype == torch.float32 and bool(solution.converged.all())
    torch.testing.assert_close(matrix.apply(solution.x), b, rtol=1e-4, atol=1e-4)


def test_systems_without_a_solution_are_named() -> None:
    matrix = diffusion_matrix(1.0, (5, 5), spacing=1.0, boundary=Neumann())
    b = torch.ones(2, 5, 5, dtype=torch.float64)
    b[0] = 0
    with pytest.raises(LinearSolveError, match="Sample 1"):
        SparseDirect()(matrix, b)
    status = SparseDirect(tol=Stopping(throw=False))(matrix, b).status
    assert status[0] == int(LinearStatus.CONVERGED) and status[1] != int(LinearStatus.CONVERGED)


def test_too_few_iterations_are_told() -> None:
    matrix = diffusion_matrix(rough((30, 30), 1), spacing=1.0)
    solution = AlgebraicMultigrid(tol=Stopping(max_iterations=2, throw=False))(
        matrix, torch.ones(1, 30, 30, dtype=torch.float64)
    )
    assert int(solution.status) == int(LinearStatus.TOO_MANY_ITERATIONS) and int(solution.iterations) == 2


@pytest.mark.parametrize(
    ("module", "make"), [("scipy.sparse.linalg", SparseDirect), ("pyamg", AlgebraicMultigrid)], ids=["scipy", "pyamg"]
)
def test_a_missing_package_is_named(module: str, make: type, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=f"pip install {module.split('.')[0]}"):
        make()
