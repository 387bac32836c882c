"""What is proved of the methods: how many iterations they take, and for which omega they converge."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from sciml.kernels.linear.matrix import Matrix
from sciml.solvers.equations.boundary import Neumann
from sciml.solvers.linear import (
    CG,
    SOR,
    SSORPCG,
    BiCGStab,
    Diagonal,
    Jacobi,
    LinearSolver,
    LinearStatus,
    Preconditioner,
    Rows,
    SSORPreconditioner,
    Stopping,
    diffusion_matrix,
    nodal_laplacian,
)
from tests.solvers.linear.cases import F64, dense, exact, normal, norms, quiet, random, rows


class Identity:
    """No preconditioner, said aloud."""

    def __call__(self, matrix: Matrix):  # type: ignore[no-untyped-def]
        return lambda r: r


def with_eigenvalues(values: Tensor) -> Rows:
    turn, _ = torch.linalg.qr(normal(len(values), len(values), seed=3))
    full = turn @ torch.diag(values) @ turn.mT
    return Rows.of((full + full.mT) / 2)


@pytest.mark.parametrize("preconditioner", [None, Identity()], ids=["C++", "torch"])
def test_conjugate_gradients_take_one_iteration_for_each_eigenvalue(preconditioner: Preconditioner | None) -> None:
    solver = CG(preconditioner, tol=1e-10)
    for distinct in (1, 2, 4, 7):
        values = torch.linspace(1, 5, distinct, dtype=F64).repeat(14)[:14]
        matrix = with_eigenvalues(values)
        iterations = solver(matrix, normal(5, 14, seed=distinct)).iterations
        assert iterations.tolist() == [distinct] * 5
    spread = with_eigenvalues(torch.linspace(1, 20, 14, dtype=F64))
    assert bool((solver(spread, normal(5, 14)).iterations <= 14).all())


@pytest.mark.parametrize("preconditioner", [None, Diagonal()], ids=["C++", "torch"])
def test_waves_cross_a_long_line_in_as_many_iterations_as_it_has_nodes(preconditioner: Preconditioner | None) -> None:
    """For the first 558 of them the residual is larger than at the start: that is no stagnation."""
    b = torch.exp(5 * torch.arange(700, dtype=F64) / 700)[None]
    assert CG(preconditioner, tol=1e-6)(nodal_laplacian((700,)), b).iterations.tolist() == [700]


@pytest.mark.parametrize("preconditioner", [None, Identity()], ids=["C++", "torch"])
def test_error_in_the_energy_norm_obeys_the_bound_of_chebyshev(preconditioner: Preconditioner | None) -> None:
    """|e_k|_A <= 2 q^k |e_0|_A with q = (sqrt kappa - 1) / (sqrt kappa + 1), and it never rises."""
    matrix = nodal_laplacian((5, 6)).shifted(0.1)
    full = dense(matrix, 1)[0]
    values = torch.linalg.eigvalsh(full)
    root = math.sqrt(values[-1] / values[0])
    b = normal(4, 5, 6)
    solution = exact(matrix, b)

    def energy(x: Tensor) -> Tensor:
        e = (x - solution).flatten(1)
        return ((e @ full) * e).sum(dim=1).sqrt()

    first = last = energy(torch.zeros_like(b))
    for k in range(1, 15):
        now = energy(CG(preconditioner, tol=quiet(tol=1e-14, max_iterations=k))(matrix, b).x)
        assert bool((now <= 2 * ((root - 1) / (root + 1)) ** k * first).all()) and bool((now < last).all())
        last = now


def test_preconditioners_that_change_nothing() -> None:
    """The identity, and a diagonal that is constant."""
    matrix, b = nodal_laplacian((9, 10)).shifted(0.1), normal(3, 9, 10)
    for plain, *others in ((CG(), CG(Identity()), CG(Diagonal())), (BiCGStab(), BiCGStab(Identity()))):
        first = plain(matrix, b)
        for other in others:
            solution = other(matrix, b)
            assert torch.equal(solution.iterations, first.iterations)
            torch.testing.assert_close(solution.x, first.x, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("omega", [0.5, 1.0, 1.4, 1.9])
def test_conjugate_gradients_with_ssor_are_those_in_one_piece(omega: float) -> None:
    systems: list[Matrix] = [
        diffusion_matrix(random(3, 8, 9), spacing=0.3),
        nodal_laplacian((40,)),
        rows(3, symmetric=True, dtype=F64),
    ]
    for matrix in systems:
        b = normal(3, *matrix.shape)
        one, other = SSORPCG(omega)(matrix, b), CG(SSORPreconditioner(omega))(matrix, b)
        assert int((one.iterations - other.iterations).abs().max()) <= 1
        torch.testing.assert_close(one.x, other.x, rtol=1e-6, atol=1e-6)


def test_preconditioning_pays_where_conductivities_differ() -> None:
    """An incomplete factor of a badly scaled matrix saves more than its cost; the diagonal alone mends the scale."""
    k = torch.exp(2 * normal(2, 16, 16))
    matrix, b = diffusion_matrix(k, spacing=1 / 16), normal(2, 16, 16)
    plain, diagonal, ssor = (s(matrix, b).iterations for s in (CG(), CG(Diagonal()), SSORPCG(1.2)))
    assert bool((diagonal < plain).all()) and bool((3 * ssor < plain).all())


@pytest.mark.parametrize("symmetric", [False, True])
@pytest.mark.parametrize("red_black", [False, True])
def test_sor_converges_for_any_omega_between_0_and_2(symmetric: bool, red_black: bool) -> None:
    """Ostrowski and Reich, of symmetric positive definite matrices."""
    for matrix in (nodal_laplacian((4, 5)), diffusion_matrix(random(1, 4, 5), spacing=1.0)):
        omega = torch.tensor([0.05, 0.3, 1.0, 1.7, 1.95], dtype=F64)
        solution = SOR(omega, symmetric=symmetric, red_black=red_black)(matrix, normal(5, 4, 5))
        assert bool(solution.converged.all())


def rate(make: Callable[[Stopping], LinearSolver], matrix: Matrix, b: Tensor) -> float:
    """By which the residual falls in an iteration, in the end."""
    first, second = (make(quiet(tol=1e-14, max_iterations=n))(matrix, b).residual for n in (100, 140))
    return float((second / first)[0]) ** (1 / 40)


def test_rates_of_young() -> None:
    """Of five points, with beta = rho(I - D^-1 A): beta of Jacobi, beta^2 of Gauss-Seidel, omega - 1 over-relaxed."""
    size = 10
    matrix, b = nodal_laplacian((size, size)), normal(1, size, size)
    beta = math.cos(math.pi / (size + 1))
    best = 2 / (1 + math.sqrt(1 - beta**2))
    assert rate(lambda s: Jacobi(tol=s), matrix, b) == pytest.approx(beta, abs=2e-3)
    assert rate(lambda s: SOR(1.0, tol=s), matrix, b) == pytest.approx(beta**2, abs=2e-3)
    assert rate(lambda s: SOR(1.8, tol=s), matrix, b) == pytest.approx(0.8, abs=0.01)
    counts = [int(SOR(omega)(matrix, b).iterations) for omega in (best, best - 0.2, best + 0.2)]
    assert counts[0] == min(counts)


def test_what_best_omega_saves_grows_with_the_grid_in_natural_order_alone() -> None:
    """Gains of SSOR over omega = 1: about h^-1/2 of gradients with the unknowns in natural order, none red-black."""
    gains = []
    for size in (12, 36):
        matrix, b = nodal_laplacian((size, size)), normal(1, size, size)
        counts = [int(SSORPCG(omega)(matrix, b).iterations) for omega in (1.0, 2 / (1 + math.pi / size))]
        gains.append(counts[0] / counts[1])
        red = [
            int(CG(SSORPreconditioner(omega, red_black=True))(matrix, b).iterations)
            for omega in (1.0, 2 / (1 + math.pi / size))
        ]
        assert red[0] <= red[1]
    assert 1.1 < gains[0] < gains[1]


def test_singular_systems_have_a_solution_where_b_sums_to_zero() -> None:
    matrix = diffusion_matrix(random(2, 6, 7), spacing=1.0, boundary=Neumann())
    b = normal(2, 6, 7)
    b = b - b.mean(dim=(1, 2), keepdim=True)
    for solver in (SOR(1.4), SSORPCG(1.2), CG(), BiCGStab()):
        solution = solver(matrix, b)
        assert bool((norms(b - matrix.apply(solution.x)) <= 1.01e-8 * norms(b)).all())
    for solver in (SOR(1.4, tol=quiet()), CG(tol=quiet(max_iterations=200)), BiCGStab(tol=quiet(max_iterations=200))):
        assert not bool(solver(matrix, b + 1).converged.any())
    assert SOR(1.4, tol=quiet())(matrix, b + 1).status.tolist() == [LinearStatus.STAGNATED] * 2
