"""Stencils beside their dense matrices: products, transposes, symmetry, gradients, and arguments that do not fit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from sciml.kernels.linear.rows import Rows
from sciml.kernels.linear.stencil import Stencil, nearest_offsets
from tests.kernels.linear.systems import F32, F64, TOLERANCE, definite, dense, drawn, every_dtype, every_grid, normal

full_or_nearest = pytest.mark.parametrize("full", [False, True])
varying_or_constant = pytest.mark.parametrize("varying", [False, True])


@every_grid
@full_or_nearest
@varying_or_constant
@every_dtype
def test_products_are_those_of_the_dense_matrix(shape, periodic, full: bool, varying: bool, dtype: torch.dtype) -> None:
    for samples in (1, 3):
        matrix = drawn(shape, periodic, full=full, varying=varying, samples=samples, dtype=dtype)
        assert matrix.samples == samples and matrix.shape == shape
        x, a = normal(3, *shape, dtype=dtype), dense(matrix)
        for given, expected in ((matrix, a), (matrix.transpose(), a.transpose(0, 2, 1))):
            product = given.apply(x)
            assert product.dtype == dtype and product.shape == x.shape
            wanted = torch.from_numpy((expected @ x.double().numpy().reshape(3, -1, 1)).reshape(3, *shape))
            torch.testing.assert_close(product.double(), wanted, rtol=TOLERANCE[dtype], atol=100 * TOLERANCE[dtype])


@pytest.mark.parametrize("which", ["values", "diagonal"])
@varying_or_constant
def test_one_of_the_parts_may_be_shared_by_the_samples(which: str, varying: bool) -> None:
    matrix = drawn((4, 5), (False, True), varying=varying, samples=3)
    parts = {"values": matrix.values, "diagonal": matrix.diagonal} | {which: getattr(matrix, which)[:1]}
    shared = Stencil(matrix.shape, matrix.offsets, periodic=matrix.periodic, **parts)
    assert shared.samples == 3
    x = normal(3, 4, 5)
    expected = (dense(shared) @ x.numpy().reshape(3, -1, 1)).reshape(3, 4, 5)
    np.testing.assert_allclose(shared.apply(x).numpy(), expected, atol=1e-13)
    chosen = torch.tensor([2, 0])
    np.testing.assert_array_equal(dense(shared.select(chosen)), dense(shared)[chosen.numpy()])


@every_grid
@full_or_nearest
@varying_or_constant
def test_transposes(shape, periodic, full: bool, varying: bool) -> None:
    matrix = drawn(shape, periodic, full=full, varying=varying)
    np.testing.assert_array_equal(dense(matrix.transpose()), dense(matrix).transpose(0, 2, 1))
    np.testing.assert_array_equal(dense(matrix.transpose().transpose()), dense(matrix))


def test_samples_shifts_and_factors() -> None:
    matrix, each = drawn((3, 4), (True, False), samples=3), torch.tensor([0.5, -1.0, 2.0], dtype=F64)
    a, one = dense(matrix), np.eye(12)
    chosen = torch.tensor([2, 0])
    np.testing.assert_array_equal(dense(matrix.select(chosen)), a[chosen.numpy()])
    for shift in (0.25, each):
        by = np.asarray(shift).reshape(-1, 1, 1)
        np.testing.assert_allclose(dense(matrix.shifted(shift)), a + by * one, atol=1e-14)
        np.testing.assert_allclose(dense(matrix.scaled(shift)), by * a, atol=1e-14)
    shared = drawn((3, 4), (True, False), samples=1)
    assert shared.shifted(each).samples == shared.scaled(each).samples == 3
    np.testing.assert_allclose(dense(shared.scaled(each).shifted(each))[1], -dense(shared)[0] - one, atol=1e-14)
    assert shared.select(torch.tensor([4])).samples == 1


@every_grid
@full_or_nearest
def test_symmetry_is_seen(shape, periodic, full: bool) -> None:
    matrix = definite(shape, periodic, full=full)
    a = dense(matrix)
    np.testing.assert_array_equal(a, a.transpose(0, 2, 1))
    assert matrix.symmetric and matrix.select(torch.tensor([1])).symmetric
    if math.prod(shape) > 1:
        assert not drawn(shape, periodic, full=full).symmetric


def test_the_asymmetry_of_a_small_sample_beside_a_large_one_is_seen() -> None:
    """Each sample is measured by its own entries."""
    parts = [definite((4, 4), (False, False), samples=1).scaled(1e20), drawn((4, 4), (False, False), samples=1)]
    values, diagonal = torch.cat([p.values for p in parts]), torch.cat([p.diagonal for p in parts])
    both = Stencil((4, 4), nearest_offsets(2), values, diagonal)
    assert parts[0].symmetric and not parts[1].symmetric and not both.symmetric
    assert not Rows.from_couplings(both.couplings()).symmetric


def test_an_offset_without_its_opposite_is_not_symmetric() -> None:
    values, diagonal = torch.ones(1, 1, 1, dtype=F64), torch.full((1, 1), 2.0, dtype=F64)
    assert not Stencil((5,), ((-1,),), values, diagonal).symmetric
    assert Stencil((5,), (), values[:, :0], diagonal).symmetric  # diagonal


def test_values_beyond_the_grid_are_not_read() -> None:
    """Coefficients that are means over faces have nothing there."""
    matrix = drawn((4, 5), (False, True))
    values = matrix.values.clone()
    values[:, 0, 0], values[:, 1, -1] = math.nan, math.inf
    holes = Stencil(matrix.shape, matrix.offsets, values, matrix.diagonal, matrix.periodic)
    x = normal(3, 4, 5)
    torch.testing.assert_close(holes.apply(x), matrix.apply(x), rtol=0, atol=0)
    torch.testing.assert_close(holes.couplings().values, matrix.couplings().values, rtol=0, atol=0)
    np.testing.assert_array_equal(dense(holes.transpose()), dense(matrix.transpose()))


@pytest.mark.parametrize(("shape", "periodic"), [((4,), (True,)), ((3, 2), (True, False)), ((2, 3, 1), (False,) * 3)])
@varying_or_constant
def test_gradients_of_products(shape, periodic, varying: bool) -> None:
    x = normal(2, *shape).requires_grad_()
    matrix = drawn(shape, periodic, full=len(shape) < 3, varying=varying, samples=2)
    parts = (matrix.values.requires_grad_(), matrix.diagonal.requires_grad_())

    def product(values, diagonal, x):
        rebuilt = Stencil(shape, matrix.offsets, values, diagonal, periodic)
        return rebuilt.apply(x) + 2 * rebuilt.transpose().apply(x)

    assert torch.autograd.gradcheck(product, (*parts, x))
    assert not matrix.detach().apply(x.detach()).requires_grad


def test_nearest_offsets() -> None:
    assert nearest_offsets(1) == ((-1,), (1,))
    assert nearest_offsets(3) == ((-1, 0, 0), (1, 0, 0), (0, -1, 0), (0, 1, 0), (0, 0, -1), (0, 0, 1))


def ones(*shape: int, dtype: torch.dtype = F64) -> torch.Tensor:
    return torch.ones(shape, dtype=dtype)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"shape": ()}, r"one to three axes.*got \(\) and \(\)"),
        ({"shape": (2, 2, 2, 2)}, r"one to three axes.*got \(2, 2, 2, 2\)"),
        ({"shape": (4, 0)}, r"one to three axes.*got \(4, 0\)"),
        ({"periodic": (True,)}, r"as many of periodic, got \(4, 5\) and \(True,\)"),
        ({"shape": (4, 2), "periodic": (False, True)}, r"at least 3 points.*got \(4, 2\), \(False, True\)"),
        ({"offsets": ((0, 1), (0, 2))}, r"-1, 0 or 1 along 2 axes.*got \(\(0, 1\), \(0, 2\)\).*use Rows"),
        ({"offsets": ((0, 1), (0, 0))}, r"not all 0, got \(\(0, 1\), \(0, 0\)\)"),
        ({"offsets": ((0, 1), (0, 1))}, r"different offsets.*got \(\(0, 1\), \(0, 1\)\)"),
        ({"offsets": ((0, 1), (1,))}, r"along 2 axes.*got \(\(0, 1\), \(1,\)\)"),
        ({"values": ones(1, 2, 5, 4)}, r"values of shape \(samples, coupling, \*\(4, 5\)\).*got \(1, 2, 5, 4\)"),
        ({"values": ones(2, 1, 1)}, r"values of shape.*got \(2, 1, 1\)"),
        ({"diagonal": ones(1, 1, 5)}, r"diagonal of shape \(samples, \*\(4, 5\)\).*got \(1, 1, 5\)"),
        ({"diagonal": ones(4, 5)}, r"diagonal of shape.*got \(4, 5\)"),
        ({"values": ones(1, 3, 1, 1)}, r"values for 2 offsets, got 3"),
        ({"diagonal": ones(1, 1, 1, dtype=F32)}, r"one real dtype, got torch.float64 and torch.float32"),
        ({"values": ones(2, 2, 1, 1), "diagonal": ones(3, 1, 1)}, r"the same samples, got \[2, 3\]"),
    ],
)
def test_bad_arguments(changed: dict, message: str) -> None:
    good = {"shape": (4, 5), "offsets": ((0, 1), (-1, 0)), "values": ones(1, 2, 1, 1), "diagonal": ones(1, 1, 1)}
    Stencil(**good)
    with pytest.raises(ValueError, match=message):
        Stencil(**(good | changed))
