"""Gradients of solutions by the implicit function theorem, to any order, and none where none is asked for."""

import pytest
import torch
from torch import Tensor

from sciml.solvers.bandits import TsallisINF
from sciml.solvers.linear import (
    SOR,
    SSORPCG,
    BiCGStab,
    LinearSolveError,
    Matrix,
    Rows,
    Stencil,
    Stopping,
    diffusion_matrix,
    nearest_offsets,
    nodal_laplacian,
)
from tests.solvers.linear.cases import F32, F64, SOLVERS, SolverCase, dense, normal, quiet, random, scattered

TIGHT = Stopping(tol=1e-12)
EVERY = pytest.mark.parametrize("solver", SOLVERS, ids=lambda case: case.name)


def check(function, *inputs: Tensor) -> None:  # type: ignore[no-untyped-def]
    given = tuple(x.clone().requires_grad_() for x in inputs)
    assert torch.autograd.gradcheck(function, given, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, given, fast_mode=True)


@pytest.mark.parametrize("solver", [SSORPCG(1.2, tol=TIGHT), BiCGStab(tol=TIGHT)], ids=["SSORPCG", "BiCGStab"])
@pytest.mark.parametrize("samples", [1, 2], ids=["shared", "of_each"])
def test_in_the_conductivity_and_the_right_hand_side(solver: SSORPCG | BiCGStab, samples: int) -> None:
    check(
        lambda k, b: solver(diffusion_matrix(k, spacing=0.7).shifted(0.5), b).x,
        random(samples, 2, 2), normal(2, 2, 2),
    )  # fmt: skip


@pytest.mark.parametrize("solver", [SOR(1.1, tol=TIGHT), BiCGStab(tol=TIGHT)], ids=["SOR", "BiCGStab"])
@pytest.mark.parametrize("constant", [False, True])
def test_in_the_entries_of_a_stencil_that_is_not_symmetric(solver: SOR | BiCGStab, constant: bool) -> None:
    grid = (1, 1) if constant else (2, 2)
    check(
        lambda values, diagonal, b: solver(Stencil((2, 2), nearest_offsets(2), values, diagonal), b).x,
        normal(1, 4, *grid), 9 + random(2, *grid), normal(2, 2, 2),
    )  # fmt: skip


@pytest.mark.parametrize("solver", [SOR(1.0, tol=TIGHT), BiCGStab(tol=TIGHT)], ids=["SOR", "BiCGStab"])
def test_in_the_values_of_rows(solver: SOR | BiCGStab) -> None:
    matrix = Rows.of(scattered(1, symmetric=False)[0])
    check(lambda values, b: solver(matrix.with_entries(values), b).x, matrix.values, normal(2, 12))


@EVERY
@pytest.mark.parametrize("wanted", ["b", "k", "both"])
def test_of_every_solver_as_of_the_dense_one(solver: SolverCase, wanted: str) -> None:
    k, b, weight = random(2, 3, 4), normal(2, 3, 4), normal(2, 3, 4, seed=1)
    leaves = [x.requires_grad_() for x, name in ((k, "k"), (b, "b")) if wanted in (name, "both")]
    matrix, other = (diffusion_matrix(k, spacing=1.5).shifted(0.5) for _ in range(2))
    found = torch.autograd.grad((weight * solver.make(Stopping(tol=1e-11))(matrix, b).x).sum(), leaves)
    x = torch.linalg.solve(dense(other, 2), b.flatten(1)).reshape(b.shape)
    for mine, expected in zip(found, torch.autograd.grad((weight * x).sum(), leaves)):
        torch.testing.assert_close(mine, expected, rtol=1e-8, atol=1e-9)


@EVERY
def test_no_graph_where_none_is_asked_for(solver: SolverCase) -> None:
    matrix, b = nodal_laplacian((3, 4)).shifted(1.0), normal(2, 3, 4)
    own = solver.make(Stopping())
    assert own(matrix, b).x.grad_fn is None
    b.requires_grad_()
    assert own(matrix, b).x.requires_grad
    with torch.no_grad():
        assert not own(matrix, b).x.requires_grad
    # A start is no part of the solution.
    start = normal(2, 3, 4).requires_grad_()
    assert not own(matrix, b.detach(), start).x.requires_grad


def test_a_bandit_is_not_pulled_for_a_gradient() -> None:
    """The adjoint takes each sample's omega once more, and costs the learner nothing."""
    bandit = TsallisINF([0.8, 1.1, 1.4])
    k, b = random(3, 3, 4).requires_grad_(), normal(3, 3, 4).requires_grad_()
    solution = SOR(bandit, tol=TIGHT)(diffusion_matrix(k, spacing=1.0).shifted(1.0), b)
    before = bandit.state_dict()
    first = torch.autograd.grad(solution.x.square().sum(), (k, b), create_graph=True)
    torch.autograd.grad(first[0].square().sum() + first[1].square().sum(), (k, b))
    after = bandit.state_dict()
    assert (
        before["draws"] == after["draws"]
        and before["draws"]["count"] == 3
        and torch.equal(before["losses"], after["losses"])
    )
    assert solution.omega is not None
    expected = SOR(solution.omega, tol=TIGHT)(diffusion_matrix(k, spacing=1.0).shifted(1.0), b).x.square().sum()
    for mine, other in zip(first, torch.autograd.grad(expected, (k, b))):
        torch.testing.assert_close(mine, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("stopping", [Stopping(tol=0.0, atol=1e-7), Stopping(tol=1e-8, atol=1e-3)])
def test_a_small_gradient_is_not_taken_for_zero(stopping: Stopping) -> None:
    """An absolute tolerance is one of b."""
    matrix, b = nodal_laplacian((3, 4)), (1e6 * normal(2, 3, 4)).requires_grad_()
    (gradient,) = torch.autograd.grad(1e-9 * SSORPCG(tol=stopping)(matrix, b).x.sum(), b)
    expected = torch.linalg.solve(dense(matrix, 2), torch.full((2, 12), 1e-9, dtype=F64)).reshape(b.shape)
    torch.testing.assert_close(gradient, expected, rtol=1e-6, atol=0)
    single, c = nodal_laplacian((3, 4), dtype=F32), normal(2, 3, 4, dtype=F32).requires_grad_()
    (rough,) = torch.autograd.grad(SSORPCG(tol=Stopping(tol=0.0, atol=1e-4))(single, c).x.sum(), c)
    torch.testing.assert_close(rough.double(), 1e9 * expected, rtol=1e-2, atol=0)


def failing() -> tuple[Tensor, Tensor, Tensor]:
    """Conductivities that all share, right-hand sides of which the second is not a number, and starts, the last not."""
    b, x0 = normal(3, 3, 4), torch.zeros(3, 3, 4, dtype=F64)
    b[1, 0, 0], x0[2, 0, 0] = torch.nan, torch.nan
    return random(1, 3, 4).requires_grad_(), b, x0


def test_what_failed_stays_out_of_the_gradient_of_the_others() -> None:
    k, b, x0 = failing()
    for solver in (SOR(1.2, tol=quiet(tol=1e-12)), BiCGStab(tol=quiet(tol=1e-12))):
        matrix = diffusion_matrix(k, spacing=1.0)
        solution = solver(matrix, b, x0)
        assert solution.converged.tolist() == [True, False, False]
        (gradient,) = torch.autograd.grad(solution.x[solution.converged].sum(), k)
        (alone,) = torch.autograd.grad(solver(diffusion_matrix(k, spacing=1.0), b[:1]).x.sum(), k)
        torch.testing.assert_close(gradient, alone, rtol=1e-9, atol=1e-12)


def test_an_iteration_that_diverged_stays_out_too() -> None:
    values = torch.full((1, 4, 1, 1), -1.0, dtype=F64, requires_grad=True)
    diagonal = torch.tensor([9.0, 0.1], dtype=F64).reshape(2, 1, 1)
    matrix: Matrix = Stencil((3, 4), nearest_offsets(2), values, diagonal)
    solution = SOR(1.0, tol=quiet())(matrix, normal(2, 3, 4))
    assert solution.converged.tolist() == [True, False] and float(solution.x[1].detach().abs().max()) > 1e100
    (gradient,) = torch.autograd.grad(solution.x[0].sum(), values)
    assert bool(gradient.isfinite().all()) and bool(gradient.any())


def test_a_gradient_that_is_no_number_is_refused() -> None:
    b = normal(2, 3, 4).requires_grad_()
    x = SSORPCG()(nodal_laplacian((3, 4)), b).x
    weight = torch.ones_like(x)
    weight[1, 0, 0] = torch.nan
    with pytest.raises(LinearSolveError, match=r"The gradient of SSORPCG solved 1 of 2 systems\. Sample 1"):
        (weight * x).sum().backward()
