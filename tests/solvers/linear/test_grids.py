"""Matrices of diffusion: those of the operator, with its symmetry, null space, eigenvalues and order."""

import math

import pytest
import torch
from torch import Tensor

from sciml.solvers.equations.boundary import Dirichlet, Neumann, divergence_of_flux
from sciml.solvers.linear import CG, SSORPCG, diffusion_matrix, nine_point_laplacian, nodal_laplacian
from tests.solvers.linear.cases import BOUNDARIES, F32, F64, SIZES, boundary_of, dense, normal, random

SPACING = (0.1, 0.2, 0.3)
SIDES = pytest.mark.parametrize("name", BOUNDARIES)
DIMS = pytest.mark.parametrize("dim", SIZES)


@SIDES
@DIMS
def test_minus_the_divergence_of_the_flux(name: str, dim: int) -> None:
    boundary, spacing = boundary_of(name, dim), SPACING[:dim]
    k, u = random(2, *SIZES[dim]), normal(2, *SIZES[dim])
    k[0, 0] = 0.0  # cells that let nothing through
    expected = -divergence_of_flux(u[:, None], k[:, None], boundary, spacing)[:, 0]
    matrix = diffusion_matrix(k, spacing=spacing, boundary=boundary)
    torch.testing.assert_close(matrix.apply(u), expected, rtol=1e-11, atol=1e-11)
    one = diffusion_matrix(0.7, SIZES[dim], spacing=spacing, boundary=boundary)
    expected = -divergence_of_flux(u[:, None], torch.full_like(k, 0.7)[:, None], boundary, spacing)[:, 0]
    torch.testing.assert_close(one.apply(u), expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("shape", [(1,), (2,), (1, 4), (1, 2, 3)])
def test_grids_of_a_cell_across(shape: tuple[int, ...]) -> None:
    for boundary in (Dirichlet(), Neumann()):
        k, u = random(2, *shape), normal(2, *shape)
        expected = -divergence_of_flux(u[:, None], k[:, None], boundary, 0.5)[:, 0]
        torch.testing.assert_close(diffusion_matrix(k, spacing=0.5, boundary=boundary).apply(u), expected)


@SIDES
@DIMS
def test_symmetric_semidefinite_and_constants_are_lost_unless_held(name: str, dim: int) -> None:
    matrix = diffusion_matrix(random(2, *SIZES[dim]), spacing=SPACING[:dim], boundary=boundary_of(name, dim))
    assert matrix.symmetric
    full = dense(matrix, 2)
    assert torch.equal(full, full.mT)
    values = torch.linalg.eigvalsh(full)
    largest = values[:, -1].max()
    sums = full.sum(dim=2).abs().amax(dim=1)
    if name in ("neumann", "periodic"):
        assert bool((sums < 1e-13 * largest).all())
        assert bool((values[:, 0].abs() < 1e-13 * largest).all()) and bool((values[:, 1] > 1e-6 * largest).all())
    else:
        assert bool((sums > 0.1).all()) and bool((values[:, 0] > 1e-6 * largest).all())


@pytest.mark.parametrize("dtype", [F32, F64], ids=["float32", "float64"])
def test_symmetric_to_the_last_digit_in_either_precision(dtype: torch.dtype) -> None:
    k = torch.exp(4 * normal(3, 6, 7)).to(dtype)
    for name in BOUNDARIES:
        matrix = diffusion_matrix(k, spacing=0.1, boundary=boundary_of(name, 2))
        assert matrix.dtype == dtype and matrix.symmetric and not bool(matrix.asymmetry.any())


@DIMS
def test_eigenvalues_of_the_nodal_laplacian(dim: int) -> None:
    """Sums of 4 / h^2 sin^2(pi p / (2 (n + 1)))."""
    spacing = SPACING[:dim]
    expected = torch.zeros(1, dtype=F64)
    for n, h in zip(SIZES[dim], spacing):
        modes = torch.arange(1, n + 1, dtype=F64)
        own = 4 / h**2 * torch.sin(math.pi * modes / (2 * (n + 1))) ** 2
        expected = (expected[:, None] + own).flatten()
    found = torch.linalg.eigvalsh(dense(nodal_laplacian(SIZES[dim], spacing=spacing), 1)[0])
    torch.testing.assert_close(found, expected.sort().values, rtol=1e-12, atol=1e-12)


def test_eigenvalues_of_the_nine_points() -> None:
    """(20 - 8 (c_p + c_q) - 4 c_p c_q) / (6 h^2), c = cos(pi p / (n + 1))."""
    n, h = 6, 0.25
    c = torch.cos(math.pi * torch.arange(1, n + 1, dtype=F64) / (n + 1))
    expected = (20 - 8 * (c[:, None] + c) - 4 * c[:, None] * c) / (6 * h**2)
    found = torch.linalg.eigvalsh(dense(nine_point_laplacian((n, n), spacing=h), 1)[0])
    torch.testing.assert_close(found, expected.flatten().sort().values, rtol=1e-12, atol=1e-12)


def nodes(n: int) -> tuple[Tensor, Tensor, float]:
    h = 1 / (n + 1)
    x = torch.arange(1, n + 1, dtype=F64) * h
    return x[:, None], x, h


def order(error_of: dict[int, float]) -> float:
    (coarse, first), (fine, second) = error_of.items()
    return math.log(first / second) / math.log((fine + 1) / (coarse + 1))


def test_five_points_are_of_second_order_and_nine_of_fourth() -> None:
    """-Laplacian u = f with u = sin(pi x) sinh(y) (1 - y), whose Laplacian is not a multiple of u."""
    errors: dict[str, dict[int, float]] = {"five": {}, "nine": {}, "nine, f alone": {}}
    for n in (9, 19):
        x, y, h = nodes(n)
        sine = torch.sin(math.pi * x)
        profile, curved = torch.sinh(y) * (1 - y), torch.sinh(y) * (1 - y) - 2 * torch.cosh(y)
        fourth = torch.sinh(y) * (1 - y) - 4 * torch.cosh(y)
        u = sine * profile
        f = sine * (math.pi**2 * profile - curved)
        of_f = sine * (-(math.pi**4) * profile + 2 * math.pi**2 * curved - fourth)
        solve = lambda matrix, right: SSORPCG(1.5, tol=1e-12)(matrix, right[None]).x[0]  # noqa: E731
        errors["five"][n] = float((solve(nodal_laplacian((n, n), spacing=h), f) - u).abs().max())
        nine = nine_point_laplacian((n, n), spacing=h)
        errors["nine"][n] = float((solve(nine, f + h**2 / 12 * of_f) - u).abs().max())
        errors["nine, f alone"][n] = float((solve(nine, f) - u).abs().max())
    assert order(errors["five"]) == pytest.approx(2, abs=0.1)
    assert order(errors["nine"]) == pytest.approx(4, abs=0.1)
    assert order(errors["nine, f alone"]) == pytest.approx(2, abs=0.1)


@pytest.mark.parametrize("name", ["dirichlet", "neumann"])
def test_cells_are_of_second_order(name: str) -> None:
    """u - div(k grad u) = f with k = 1 + x and u = sin(pi x) or cos(pi x)."""
    errors = {}
    for n in (16, 33):
        h = 1 / n
        x = (torch.arange(n, dtype=F64) + 0.5) * h
        s, c = torch.sin(math.pi * x), torch.cos(math.pi * x)
        u, slope, curve = (s, math.pi * c, -(math.pi**2) * s) if name == "dirichlet" else (
            c, -math.pi * s, -(math.pi**2) * c
        )  # fmt: skip
        f = u - slope - (1 + x) * curve
        matrix = diffusion_matrix(1 + x[None], spacing=h, boundary=boundary_of(name, 1)).shifted(1.0)
        errors[n - 1] = float((CG(tol=1e-12)(matrix, f[None]).x[0] - u).abs().max())
    assert order(errors) == pytest.approx(2, abs=0.15)


@SIDES
def test_differentiable_in_the_conductivity(name: str) -> None:
    k = random(2, 3, 4).requires_grad_()
    u = normal(2, 3, 4)
    boundary = boundary_of(name, 2)

    def product(k: Tensor) -> Tensor:
        return diffusion_matrix(k, spacing=(0.5, 0.7), boundary=boundary).apply(u)

    assert torch.autograd.gradcheck(product, k, fast_mode=True)
    assert torch.autograd.gradgradcheck(product, k, fast_mode=True)
    nothing = torch.zeros(1, 3, 4, dtype=F64, requires_grad=True)
    (gradient,) = torch.autograd.grad(diffusion_matrix(nothing, spacing=1.0, boundary=boundary).apply(u).sum(), nothing)
    assert bool(gradient.isfinite().all())


def test_grids_that_do_not_exist_are_refused() -> None:
    k = random(2, 4, 5)
    with pytest.raises(ValueError, match=r"that of k, \(4, 5\), got \(5, 4\)"):
        diffusion_matrix(k, (5, 4), spacing=1.0)
    with pytest.raises(ValueError, match=r"shape=\.\.\."):
        diffusion_matrix(1.0, spacing=1.0)
    with pytest.raises(ValueError, match="spacing > 0"):
        diffusion_matrix(k, spacing=-1.0)
    with pytest.raises(ValueError, match="2 space axes"):
        diffusion_matrix(k, spacing=(1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="spacing > 0"):
        nodal_laplacian((3, 3), spacing=0.0)
    with pytest.raises(ValueError, match="two axes"):
        nine_point_laplacian((3, 3, 3))
    with pytest.raises(ValueError, match="3 points along periodic axes"):
        diffusion_matrix(1.0, (2, 4), spacing=1.0, boundary=BOUNDARIES["periodic"])
