"""Every solver has the solution of a dense one, as near as the residual that it promises allows."""

import pytest
import torch

from sciml.solvers.linear import LinearSolver, Rows, Stopping, nodal_laplacian
from tests.solvers.linear.cases import (
    BATCH,
    F32,
    F64,
    NAMES,
    SOLVERS,
    SYSTEMS,
    SolverCase,
    SystemCase,
    dense,
    exact,
    norms,
    right_hand_side,
    rows,
    scattered,
)

TOLERANCES = {F64: 1e-9, F32: 1e-5}


SINGLE = [case for case in SYSTEMS if case.name in ("diffusion_2d_mixed_3", "constant_3d", "rows", "advection_2d")]
PAIRS = [
    *(pytest.param(case, F64, id=case.name) for case in SYSTEMS),
    *(pytest.param(case, F32, id=f"{case.name}-float32") for case in SINGLE),
]


@pytest.mark.parametrize(("system", "dtype"), PAIRS)
@pytest.mark.parametrize("solver", SOLVERS, ids=NAMES)
def test_solution_of_a_dense_solver(solver: SolverCase, system: SystemCase, dtype: torch.dtype) -> None:
    """|x - A^-1 b| <= |A^-1| |b - A x|, and the residual is as small as was asked for."""
    if solver.symmetric and not system.symmetric:
        pytest.skip("for symmetric matrices")
    tol = TOLERANCES[dtype]
    matrix = system.make(dtype)
    assert matrix.symmetric == system.symmetric
    b = right_hand_side(matrix)
    solution = solver.make(Stopping(tol=tol))(matrix, b)
    assert solution.x.dtype == dtype and solution.x.shape == b.shape
    assert bool(solution.converged.all()) and bool((solution.iterations > 0).all())
    full = dense(matrix)
    residual = norms(b.double().flatten(1) - (full @ solution.x.double().flatten(1)[..., None])[..., 0])
    rounding = 4 * torch.finfo(dtype).eps * torch.linalg.matrix_norm(full, 2) * norms(solution.x)
    assert bool((residual <= tol * norms(b) + rounding).all())
    assert bool(((solution.residual - residual).abs() <= rounding).all())
    error = norms(solution.x.double() - exact(matrix, b))
    assert bool((error <= 1.01 * torch.linalg.matrix_norm(torch.linalg.inv(full), 2) * (residual + rounding)).all())


@pytest.mark.parametrize("solver", SOLVERS, ids=NAMES)
def test_sparse_matrices_of_torch_and_scipy_are_those_of_the_dense_one(solver: SolverCase) -> None:
    sparse = pytest.importorskip("scipy.sparse")
    (full,) = scattered(1, symmetric=True)
    forms = [full, full.to_sparse_coo(), full.to_sparse_csr()]
    forms += [make(full.numpy()) for make in (sparse.csr_matrix, sparse.csc_matrix, sparse.coo_array)]
    b = right_hand_side(Rows.of(full))
    found = [solver.make(Stopping())(Rows.of(form), b).x for form in forms]
    assert all(torch.equal(x, found[0]) for x in found)
    torch.testing.assert_close(found[0], torch.linalg.solve(full, b.mT).mT, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("solver", SOLVERS, ids=NAMES)
def test_a_grid_and_its_rows_are_solved_alike(solver: SolverCase) -> None:
    grid = next(case for case in SYSTEMS if case.name == "diffusion_2d_mixed_3").make(F64)
    flat = Rows.from_couplings(grid.couplings())
    b = right_hand_side(grid)
    one, other = solver.make(Stopping())(grid, b), solver.make(Stopping())(flat, b.flatten(1))
    assert torch.equal(one.iterations, other.iterations)
    torch.testing.assert_close(one.x.flatten(1), other.x, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS, ids=NAMES)
def test_what_a_solution_says(solver: SolverCase) -> None:
    matrix = SYSTEMS[0].make(F64)
    own = solver.make(Stopping())
    assert isinstance(own, LinearSolver)
    solution = own(matrix, right_hand_side(matrix))
    for value in (solution.iterations, solution.residual, solution.status, solution.converged):
        assert value.shape == (BATCH,)
    relaxes = hasattr(own, "omega")
    assert (solution.omega is not None) == relaxes
    assert solution.omega is None or solution.omega.shape == (BATCH,)


@pytest.mark.parametrize("solver", SOLVERS, ids=NAMES)
def test_units_on_the_right_give_the_inverse(solver: SolverCase) -> None:
    """Where a matrix has few entries, many products with them are exactly 0."""
    for matrix in (rows(1, symmetric=solver.symmetric, dtype=F64), nodal_laplacian((3, 4)).shifted(1.0)):
        units = torch.eye(12, dtype=F64).reshape(12, *matrix.shape)
        inverse = solver.make(Stopping(tol=1e-12))(matrix, units).x.flatten(1).mT
        torch.testing.assert_close(inverse, torch.linalg.inv(dense(matrix, 1)[0]), rtol=1e-9, atol=1e-10)
