"""Multigrid: rates that do not depend on the grid, all boundaries, rough coefficients, gradients, both twins."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from sciml.kernels.linear import native
from sciml.kernels.linear.multigrid import Cycles, Hierarchy
from sciml.solvers.bandits import TsallisINF
from sciml.solvers.equations.boundary import Boundary, Dirichlet, Neumann, Periodic
from sciml.solvers.linear import (
    CG,
    BiCGStab,
    LinearSolveError,
    LinearStatus,
    Multigrid,
    MultigridPCG,
    MultigridPreconditioner,
    Rows,
    Stencil,
    Stopping,
    diffusion_matrix,
    nearest_offsets,
    nine_point_laplacian,
    nodal_laplacian,
)
from sciml.solvers.linear.multigrid import iterate_reference

BOUNDARIES = [Dirichlet(), Neumann(), Periodic()]
SOLVERS = [Multigrid, MultigridPCG]


def drawn(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rough(shape: tuple[int, ...], samples: int = 1, strength: float = 1.0) -> Tensor:
    return torch.exp(strength * drawn((samples, *shape), 11))


def dense(matrix: Stencil, count: int) -> Tensor:
    """(count, n, n), column by column."""
    n = torch.Size(matrix.shape).numel()
    columns = [matrix.apply(column.expand(count, n).reshape(count, *matrix.shape)) for column in torch.eye(n).double()]
    return torch.stack([column.flatten(1) for column in columns], dim=2)


def rate(matrix: Stencil, cycles: int = 12) -> float:
    """What a cycle leaves of the residual in the long run."""
    grids, one = Cycles(matrix), torch.ones(1, dtype=torch.float64)
    x, norms = drawn((1, *matrix.shape)), []
    for _ in range(cycles):
        r = -matrix.apply(x)
        norms.append(float(r.norm()))
        x = x + grids.cycle(r, one)
    return (norms[-1] / norms[-5]) ** 0.25


@pytest.mark.parametrize(
    ("dim", "sizes", "bound"),
    [(1, (31, 32, 100, 255), 0.21), (2, (31, 32, 65, 100, 128, 255), 0.2), (3, (15, 16, 31, 34), 0.3)],
)
def test_the_rate_does_not_depend_on_the_grid(dim: int, sizes: tuple[int, ...], bound: float) -> None:
    rates = [rate(nodal_laplacian((n,) * dim)) for n in sizes]
    assert max(rates) <= bound
    assert max(rates) - min(rates) <= 0.03


@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("n", [31, 32, 100])
def test_the_rate_holds_for_all_boundaries(boundary: Boundary, n: int) -> None:
    assert rate(diffusion_matrix(1.0, (n, n), spacing=1.0, boundary=boundary)) <= 0.3
    assert rate(nine_point_laplacian((n, n))) <= 0.2


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(14,), (12, 9), (3, 16), (6, 7, 5)])
def test_it_solves_what_a_dense_solve_does(shape: tuple[int, ...], boundary: Boundary, solver: type) -> None:
    matrix = diffusion_matrix(rough(shape, 2, 0.5), spacing=0.7, boundary=boundary)
    b, x0 = drawn((2, *shape), 1), drawn((2, *shape), 2)
    axes = tuple(range(1, b.dim()))
    if not isinstance(boundary, Dirichlet):
        b = b - b.mean(dim=axes, keepdim=True)
    solution = solver(tol=1e-12)(matrix, b, x0)
    expected = (torch.linalg.pinv(dense(matrix, 2)) @ b.flatten(1)[..., None]).reshape(b.shape)
    if not isinstance(boundary, Dirichlet):
        expected = expected + x0.mean(dim=axes, keepdim=True)
    torch.testing.assert_close(solution.x, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("solver", SOLVERS)
def test_without_a_start_a_singular_solution_has_mean_zero(solver: type) -> None:
    matrix = diffusion_matrix(rough((16, 16)), spacing=1.0, boundary=Neumann())
    b = drawn((1, 16, 16))
    assert abs(float(solver()(matrix, b - b.mean()).x.mean())) < 1e-12
    status = solver(tol=Stopping(throw=False, max_iterations=600))(matrix, b + 1).status
    assert int(status) != int(LinearStatus.CONVERGED)


@pytest.mark.parametrize("n", [64, 127])
def test_rough_coefficients_take_few_conjugate_gradients(n: int) -> None:
    signs = drawn((1, 1, 16, 16), 3) > 0
    blocks = 1000.0 ** torch.nn.functional.interpolate(signs.double(), size=(n, n))[0]
    for k in (rough((n, n)), rough((n, n), strength=2.0), blocks):
        assert int(MultigridPCG()(diffusion_matrix(k, spacing=1.0), drawn((1, n, n))).iterations) <= 30


def test_an_inclusion_of_another_medium_costs_little() -> None:
    """The flux is continuous in what is interpolated: a jump by 1000 at most doubles the cycles (linear
    interpolation takes hundreds)."""
    k = torch.ones(1, 64, 100, dtype=torch.float64)
    none, b = diffusion_matrix(k, spacing=1.0), drawn((1, 64, 100))
    k[:, 16:32, 33:66] = 1000.0
    for solver in (Multigrid(), MultigridPCG()):
        jump = solver(diffusion_matrix(k, spacing=1.0), b)
        assert int(jump.iterations) <= 2 * int(solver(none, b).iterations)


@pytest.mark.parametrize("ratio", [1.5, 3.0, 10.0, 100.0])
def test_the_rate_holds_where_an_axis_is_finer(ratio: float) -> None:
    assert rate(diffusion_matrix(1.0, (64, 47), spacing=(1.0, ratio))) <= 0.25
    assert rate(diffusion_matrix(1.0, (20, 17, 24), spacing=(ratio, 1.0, 2.0))) <= 0.4


@pytest.mark.parametrize("red_black", [False, True])
def test_samples_that_are_coarsened_differently_go_together(red_black: bool) -> None:
    strength = torch.tensor([[1.0, 1.0], [100.0, 1.0], [1.0, 1.0], [1.0, 16.0]], dtype=torch.float64)
    values = -strength.repeat_interleave(2, dim=1)[..., None, None]
    matrix, b = Stencil((24, 31), nearest_offsets(2), values, -values.sum(dim=1)), drawn((4, 24, 31))
    for solver in (Multigrid(red_black=red_black), CG(MultigridPreconditioner(red_black=red_black))):
        every = solver(matrix, b)
        for i in range(4):
            own = solver(matrix.select(torch.tensor([i])), b[i : i + 1])
            assert int(own.iterations) == int(every.iterations[i])
            torch.testing.assert_close(own.x[0], every.x[i], rtol=1e-12, atol=1e-12)


def test_a_matrix_that_is_not_symmetric_is_solved() -> None:
    values = torch.tensor([-1.3, -0.7, -1.2, -0.8], dtype=torch.float64).reshape(1, 4, 1, 1)
    matrix = Stencil((30, 31), nearest_offsets(2), values, torch.full((1, 1, 1), 4.0, dtype=torch.float64))
    b = drawn((1, 30, 31))
    for solver in (Multigrid(), BiCGStab(MultigridPreconditioner())):
        assert float((matrix.apply(solver(matrix, b).x) - b).norm()) <= 1.1e-8 * float(b.norm())
    with pytest.raises(LinearSolveError, match="not symmetric"):
        MultigridPCG()(matrix, b)


@pytest.mark.parametrize("red_black", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize(("omega", "sweeps"), [(1.0, 1), (1.4, 2), (0.7, 1)])
def test_the_preconditioner_is_symmetric_and_positive_definite(
    boundary: Boundary, omega: float, sweeps: int, red_black: bool
) -> None:
    matrix = diffusion_matrix(rough((9, 8)), spacing=1.0, boundary=boundary)
    apply = MultigridPreconditioner(omega, sweeps=sweeps, red_black=red_black)(matrix)
    inverse = torch.stack([apply(unit.reshape(1, 9, 8)).flatten() for unit in torch.eye(72, dtype=torch.float64)])
    torch.testing.assert_close(inverse, inverse.T)
    assert float(torch.linalg.eigvalsh(inverse)[0]) > 0


def test_conjugate_gradients_take_the_preconditioner() -> None:
    matrix, b = diffusion_matrix(rough((40, 41)), spacing=1.0), drawn((1, 40, 41))
    one, other = CG(MultigridPreconditioner(1.1))(matrix, b), MultigridPCG(1.1)(matrix, b)
    assert int(one.iterations) == int(other.iterations) < 20
    torch.testing.assert_close(one.x, other.x)


@pytest.mark.skipif(native._library() is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("gradients", [False, True])
@pytest.mark.parametrize("boundary", BOUNDARIES)
@pytest.mark.parametrize("shape", [(33,), (24, 19), (9, 8, 10)])
def test_native_solves_are_those_of_torch(shape: tuple[int, ...], boundary: Boundary, gradients: bool) -> None:
    matrix = diffusion_matrix(rough(shape, 2), spacing=1.0, boundary=boundary)
    b, x0 = matrix.apply(drawn((2, *shape), 1)), drawn((2, *shape), 2)
    omega, stopping = torch.tensor([1.0, 1.2], dtype=torch.float64), Stopping(tol=1e-9)
    x, iterations, residual, status = native.Hierarchy(matrix, 1, 1).solve(
        b, x0, omega, stopping.goal(b), 500, gradients=gradients
    )
    twin = iterate_reference(Hierarchy(matrix), matrix, b, x0, omega, stopping, gradients=gradients)
    assert iterations.tolist() == twin.iterations.tolist() and status.tolist() == twin.status.tolist() == [0, 0]
    torch.testing.assert_close(x, twin.x, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(residual, twin.residual, rtol=1e-3, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("red_black", [False, True])
def test_batched_is_one_by_one(solver: type, red_black: bool) -> None:
    k, b, omega = rough((18, 21), 3), drawn((3, 18, 21)), torch.tensor([0.9, 1.0, 1.2])
    every = solver(omega, red_black=red_black)(diffusion_matrix(k, spacing=1.0), b)
    for i in range(3):
        own = solver(float(omega[i]), red_black=red_black)(diffusion_matrix(k[i : i + 1], spacing=1.0), b[i : i + 1])
        assert int(own.iterations) == int(every.iterations[i])
        torch.testing.assert_close(own.x[0], every.x[i], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("solver", SOLVERS)
def test_single_precision(solver: type) -> None:
    matrix = diffusion_matrix(rough((50, 31)).float(), spacing=1.0)
    b = drawn((1, 50, 31)).float()
    solution = solver(tol=1e-4)(matrix, b)
    assert solution.x.dtype == torch.float32 and int(solution.iterations) <= 20
    assert float((matrix.apply(solution.x) - b).norm()) <= 1.1e-4 * float(b.norm())


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("boundary", [Dirichlet(), Neumann()])
def test_the_gradient_is_that_of_the_solution(solver: type, boundary: Boundary) -> None:
    """Of a singular matrix too: then a b that sums to 0 stays so, and the mean of x does not change."""
    k, b = rough((5, 4), 1, 0.3).requires_grad_(), drawn((1, 5, 4), 1).requires_grad_()

    def solved(k: Tensor, b: Tensor) -> Tensor:
        right = b if isinstance(boundary, Dirichlet) else b - b.mean()
        return solver(tol=1e-12)(diffusion_matrix(k, spacing=1.0, boundary=boundary), right).x

    assert torch.autograd.gradcheck(solved, (k, b), atol=1e-6)


@pytest.mark.parametrize("solver", SOLVERS)
def test_a_bandit_is_told_the_iterations(solver: type) -> None:
    bandit = TsallisINF(torch.tensor([0.5, 1.0, 1.75]))
    told: list[float] = []
    update = bandit.update
    bandit.update = lambda cost: (told.extend(torch.as_tensor(cost).reshape(-1).tolist()), update(cost))[1]
    solution = solver(bandit)(nodal_laplacian((20, 20)), drawn((4, 20, 20)))
    assert told == solution.iterations.tolist() and set(solution.omega.tolist()) <= {0.5, 1.0, 1.75}


def test_what_is_refused() -> None:
    grid, b = nodal_laplacian((5, 5)), drawn((1, 5, 5))
    rows = Rows.from_couplings(grid.couplings())
    for call in (lambda: Multigrid()(rows, b.flatten(1)), lambda: MultigridPCG()(rows, b.flatten(1)),
                 lambda: MultigridPreconditioner()(rows)):  # fmt: skip
        with pytest.raises(ValueError, match=r"needs a grid, got Rows.*pyamg"):
            call()
    for make in (lambda: Multigrid(before=0, after=0), lambda: MultigridPCG(sweeps=0),
                 lambda: MultigridPreconditioner(2.0), lambda: MultigridPreconditioner(sweeps=0)):  # fmt: skip
        with pytest.raises(ValueError, match="Expected"):
            make()
    hole = replace(grid, diagonal=torch.zeros_like(grid.diagonal))
    with pytest.raises(LinearSolveError, match="the diagonal holds a zero"):
        Multigrid()(hole, b)
