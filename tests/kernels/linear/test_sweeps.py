"""Sweeps in C++ and torch beside dense triangular solves and beside loops over the unknowns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sciml.kernels.linear import native
from sciml.kernels.linear.matrix import Matrix
from sciml.kernels.linear.rows import Rows
from sciml.kernels.linear.stencil import Stencil
from sciml.kernels.linear.sweeps import precondition, precondition_reference, sweep, sweep_reference
from tests.kernels.linear.systems import (
    F32,
    F64,
    TOLERANCE,
    definite,
    dense,
    drawn,
    every_dtype,
    every_grid,
    needs_compiler,
    normal,
    omegas,
    one_by_one,
    poisson,
    scattered,
    triangles,
)

OMEGA = omegas(0.7, 1.0, 1.6)
either_way = pytest.mark.parametrize("backward", [False, True])


def systems(stencil: Stencil) -> list[tuple[Matrix, Tensor, Tensor]]:
    """The stencil and the same matrix by rows, with right-hand sides and starts of their shapes."""
    b, x = (normal(3, *stencil.shape, seed=seed, dtype=stencil.dtype) for seed in (7, 8))
    return [(stencil, b, x), (Rows.from_couplings(stencil.couplings()), b.flatten(1), x.flatten(1))]


def solved(a: np.ndarray, b: np.ndarray, x: np.ndarray, omega: np.ndarray, *, backward: bool) -> np.ndarray:
    """x + (D / omega + L)^-1 (b - A x), by a dense triangular solve; with U backward."""
    (diagonal, lower, upper), left = triangles(a), (b[..., None] - a @ x[..., None])
    return x + np.linalg.solve(diagonal / omega[:, None, None] + (upper if backward else lower), left)[..., 0]


def check_sweeps(stencil: Stencil, *, backward: bool) -> None:
    """Of both kinds of matrix, in C++ and in torch."""
    n, omega, both = int(np.prod(stencil.shape)), OMEGA.numpy(), systems(stencil)
    a, flat = np.broadcast_to(dense(stencil), (3, n, n)), [t.double().numpy().reshape(3, n) for t in both[0][1:]]
    expected = solved(a, *flat, omega, backward=backward)
    order = np.arange(n)[::-1] if backward else None
    np.testing.assert_allclose(one_by_one(a, *flat, omega, order), expected, rtol=1e-12, atol=1e-12)
    tolerance = {"rtol": 10 * TOLERANCE[stencil.dtype], "atol": 10 * TOLERANCE[stencil.dtype]}
    for matrix, b, x in both:
        for way in (sweep, sweep_reference):
            kept = x.clone()
            found = way(matrix, b, x, OMEGA, backward=backward)
            assert found.shape == x.shape and found.dtype == x.dtype and torch.equal(x, kept)
            np.testing.assert_allclose(found.double().numpy().reshape(3, -1), expected, **tolerance)


@every_grid
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("varying", [False, True])
@either_way
def test_a_sweep_is_a_triangular_solve_and_one_unknown_after_another(
    shape, periodic, full: bool, varying: bool, backward: bool
) -> None:
    for samples in (1, 3):
        check_sweeps(drawn(shape, periodic, full=full, varying=varying, samples=samples), backward=backward)


@every_dtype
@either_way
@pytest.mark.parametrize("periodic", [False, True])
def test_whatever_the_width_beside_that_of_the_vectors(dtype: torch.dtype, backward: bool, periodic: bool) -> None:
    """The C++ of stencils does several points of a row at once."""
    for width in range(3 if periodic else 1, 51):
        varying = width % 2 == 0
        stencil = drawn((2, width), (False, periodic), varying=varying, dtype=dtype)
        _, b, x = systems(stencil)[0]
        flat = (t.double().numpy().reshape(3, -1) for t in (b, x))
        expected = solved(dense(stencil), *flat, OMEGA.numpy(), backward=backward)
        found = sweep(stencil, b, x, OMEGA, backward=backward).double().numpy().reshape(3, -1)
        np.testing.assert_allclose(found, expected, rtol=10 * TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])


@needs_compiler
def test_the_kernels_serve_here() -> None:
    """Or the tests above compare torch with itself."""
    for dtype in (F32, F64):
        for matrix, b, x in systems(drawn((4, 5), (True, False), dtype=dtype)):
            assert native.serves(matrix, b, x)
            assert not native.serves(matrix, b.to(F32 if dtype == F64 else F64), x)


@every_grid
@pytest.mark.parametrize("full", [False, True])
@either_way
def test_colours_are_visited_one_after_another(shape, periodic, full: bool, backward: bool) -> None:
    stencil = drawn(shape, periodic, full=full)
    order = stencil.couplings().pattern.colours.order.numpy()
    a = dense(stencil)
    for matrix, b, x in systems(stencil):
        flat = (b.numpy().reshape(3, -1), x.numpy().reshape(3, -1))
        expected = one_by_one(a, *flat, OMEGA.numpy(), order[::-1] if backward else order)
        for way in (sweep, sweep_reference):
            found = way(matrix, b, x, OMEGA, backward=backward, colours=True).numpy().reshape(3, -1)
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("share", [0.02, 0.2])
@either_way
@every_dtype
def test_where_only_one_of_two_unknowns_sees_the_other(
    seed: int, share: float, backward: bool, dtype: torch.dtype
) -> None:
    """a_ij without a_ji: the order of the two still counts."""
    a = scattered(40, seed=seed, share=share)
    for part in (a, np.tril(a), np.triu(a)):
        matrix = Rows.of(torch.from_numpy(part).to(dtype))
        b, x = normal(3, 40, seed=7, dtype=dtype), normal(3, 40, seed=8, dtype=dtype)
        whole = np.broadcast_to(part.astype(np.float32 if dtype == F32 else np.float64), (3, 40, 40))
        for colours in (False, True):
            order = matrix.couplings().pattern.colours.order.numpy() if colours else np.arange(40)
            expected = one_by_one(
                whole.astype(float),
                b.double().numpy(),
                x.double().numpy(),
                OMEGA.numpy(),
                order[::-1] if backward else order,
            )
            for way in (sweep, sweep_reference):
                found = way(matrix, b, x, OMEGA, backward=backward, colours=colours).double().numpy()
                np.testing.assert_allclose(found, expected, rtol=10 * TOLERANCE[dtype], atol=10 * TOLERANCE[dtype])


@pytest.mark.parametrize("colours", [False, True])
@either_way
def test_times_is_so_many_sweeps(colours: bool, backward: bool) -> None:
    for matrix, b, x in systems(drawn((4, 18), (True, False))):
        expected = x
        for _ in range(3):
            expected = sweep(matrix, b, expected, OMEGA, backward=backward, colours=colours)
        for way in (sweep, sweep_reference):
            found = way(matrix, b, x, OMEGA, backward=backward, colours=colours, times=3)
            torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@every_grid
@pytest.mark.parametrize("full", [False, True])
def test_the_preconditioner_is_the_inverse_of_its_matrix(shape, periodic, full: bool) -> None:
    """M = omega / (2 - omega) (D / omega + L) D^-1 (D / omega + U), also where the matrix is not symmetric."""
    stencil = drawn(shape, periodic, full=full)
    diagonal, lower, upper = triangles(dense(stencil))
    w, inverse = OMEGA.numpy()[:, None, None], np.linalg.inv(diagonal)
    m = w / (2 - w) * (diagonal / w + lower) @ inverse @ (diagonal / w + upper)
    for matrix, r, _ in systems(stencil):
        expected = np.linalg.solve(m, r.numpy().reshape(3, -1, 1))[..., 0]
        for way in (precondition, precondition_reference):
            found = way(matrix, r, OMEGA)
            assert found.shape == r.shape
            np.testing.assert_allclose(found.numpy().reshape(3, -1), expected, rtol=1e-11, atol=1e-11)


@every_dtype
@pytest.mark.parametrize("periodic", [False, True])
def test_the_preconditioner_whatever_the_width(dtype: torch.dtype, periodic: bool) -> None:
    tolerance = {"rtol": 10 * TOLERANCE[dtype], "atol": 10 * TOLERANCE[dtype]}
    for width in range(3 if periodic else 1, 51):
        matrix, r, _ = systems(drawn((2, width), (False, periodic), full=True, dtype=dtype))[0]
        found, twin = (way(matrix, r, OMEGA) for way in (precondition, precondition_reference))
        torch.testing.assert_close(found, twin, **tolerance)


@pytest.mark.parametrize("colours", [False, True])
@pytest.mark.parametrize(("shape", "periodic"), [((7,), (True,)), ((5, 6), (False, True)), ((3, 4, 5), (True,) * 3)])
@pytest.mark.parametrize("full", [False, True])
def test_the_preconditioner_of_a_definite_matrix_is_definite(shape, periodic, full: bool, colours: bool) -> None:
    """And symmetric: what conjugate gradients ask of it."""
    stencil = definite(shape, periodic, full=full)
    n = int(np.prod(shape))
    unit = torch.eye(n, dtype=F64).reshape(n, *shape)
    assert np.linalg.eigvalsh(dense(stencil)).min() > 0
    for sample in range(3):
        one = stencil.select(torch.tensor([sample]))
        for matrix in (one, Rows.from_couplings(one.couplings())):
            e = unit if matrix is one else unit.flatten(1)
            inverse = precondition(matrix, e, OMEGA[[sample]].expand(n), colours=colours).numpy().reshape(n, n)
            np.testing.assert_allclose(inverse, inverse.T, atol=1e-12)
            assert np.linalg.eigvalsh(inverse).min() > 0


@pytest.mark.parametrize("colours", [False, True])
def test_the_preconditioner_by_colours_is_that_of_the_permuted_matrix(colours: bool) -> None:
    stencil = drawn((5, 6), (False, True))
    order = stencil.couplings().pattern.colours.order.numpy() if colours else np.arange(30)
    diagonal, lower, upper = triangles(dense(stencil)[:, order][:, :, order])
    w = OMEGA.numpy()[:, None, None]
    m = w / (2 - w) * (diagonal / w + lower) @ np.linalg.inv(diagonal) @ (diagonal / w + upper)
    for matrix, r, _ in systems(stencil):
        expected = np.empty((3, 30))
        expected[:, order] = np.linalg.solve(m, r.numpy().reshape(3, 30, 1)[:, order])[..., 0]
        for way in (precondition, precondition_reference):
            found = way(matrix, r, OMEGA, colours=colours).numpy().reshape(3, 30)
            np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-11)


def test_they_have_no_gradient() -> None:
    """Rather none than a wrong one: C++ writes into a copy that autograd would take for the identity."""
    for matrix, b, x in systems(drawn((4, 5), (False, False))):
        x.requires_grad_(), b.requires_grad_()
        for way in (sweep, sweep_reference):
            assert not way(matrix, b, x, OMEGA).requires_grad
        for way in (precondition, precondition_reference):
            assert not way(matrix, b, OMEGA).requires_grad


@needs_compiler
def test_the_order_of_axes_in_memory_does_not_matter() -> None:
    matrix = poisson(5)
    b, x = normal(3, 5, 5), normal(3, 5, 5, seed=1)
    turned = [t.permute(2, 1, 0).contiguous().permute(2, 1, 0) for t in (b, x)]
    assert torch.equal(sweep(matrix, *turned, OMEGA), sweep(matrix, b, x, OMEGA))
    assert torch.equal(precondition(matrix, turned[0], OMEGA), precondition(matrix, b, OMEGA))
    values = drawn((5, 5), (False, False)).values
    strided = values.permute(3, 2, 1, 0).contiguous().permute(3, 2, 1, 0)
    one, other = (Stencil((5, 5), matrix.offsets, v, matrix.diagonal) for v in (values, strided))
    assert torch.equal(sweep(one, b, x, OMEGA), sweep(other, b, x, OMEGA))
