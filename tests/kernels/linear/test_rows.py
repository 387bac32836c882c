"""Sparse rows beside dense matrices: where they come from, products, transposes, gradients, and bad matrices."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from sciml.kernels.linear.rows import Rows
from tests.kernels.linear.systems import F32, F64, drawn, every_dtype, every_grid, normal, scattered


def whole(rows: Rows) -> np.ndarray:
    """(sample, row, column), entry by entry."""
    n = rows.shape[0]
    out = np.zeros((rows.samples, n, n))
    begin, column, values = rows.pattern.begin.tolist(), rows.pattern.column.tolist(), rows.values.detach().numpy()
    for i in range(n):
        for k in range(begin[i], begin[i + 1]):
            out[:, i, column[k]] += values[:, k]
    return out


@pytest.mark.parametrize(
    "kind",
    [
        torch.from_numpy,
        lambda a: torch.from_numpy(a).to_sparse_coo(),
        lambda a: torch.from_numpy(a).to_sparse_csr(),
        scipy.sparse.csr_array,
        scipy.sparse.csc_matrix,
        scipy.sparse.dia_array,
    ],
    ids=["dense", "torch coo", "torch csr", "scipy csr", "scipy csc matrix", "scipy dia"],
)
@pytest.mark.filterwarnings("ignore:Sparse CSR")
@every_dtype
def test_they_are_made_of_any_sparse_matrix(kind, dtype: torch.dtype) -> None:
    a = scattered(12).astype(np.float32 if dtype == F32 else np.float64)
    rows = Rows.of(kind(a))
    assert rows.shape == (12,) and rows.samples == 1 and rows.dtype == dtype
    np.testing.assert_array_equal(whole(rows)[0], a)
    # As RowPattern says: ascending within a row, each once.
    assert bool(((rows.pattern.row * 12 + rows.pattern.column).diff() > 0).all())
    np.testing.assert_array_equal(rows.values[0, rows.pattern.diagonal], a.diagonal())


def test_entries_given_twice_add_up() -> None:
    index = torch.tensor([[0, 1, 0, 0], [0, 1, 1, 0]])
    rows = Rows.of(
        torch.sparse_coo_tensor(index, torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=F64), (2, 2), check_invariants=True)
    )
    np.testing.assert_array_equal(whole(rows)[0], [[5.0, 3.0], [0.0, 2.0]])


@every_grid
@pytest.mark.parametrize("varying", [False, True])
def test_those_of_a_stencil_are_the_same_matrices(shape, periodic, varying: bool) -> None:
    """Entry by entry, and so are those of the couplings of these rows."""
    stencil = drawn(shape, periodic, full=True, varying=varying)
    rows, x = Rows.from_couplings(stencil.couplings()), normal(3, *shape)
    torch.testing.assert_close(rows.apply(x.flatten(1)), stencil.apply(x).flatten(1), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        rows.transpose().apply(x.flatten(1)), stencil.transpose().apply(x).flatten(1), rtol=1e-12, atol=1e-12
    )
    again = Rows.from_couplings(rows.couplings())
    assert torch.equal(again.pattern.begin, rows.pattern.begin)
    assert torch.equal(again.pattern.column, rows.pattern.column) and torch.equal(again.values, rows.values)


@pytest.mark.parametrize("samples", [1, 3])
def test_products_transposes_samples_and_shifts(samples: int) -> None:
    pattern = Rows.of(scipy.sparse.csr_array(scattered(15))).pattern
    rows = Rows(pattern, normal(samples, len(pattern.column), seed=2))
    a, x = whole(rows), normal(3, 15)
    np.testing.assert_allclose(rows.apply(x), (a @ x.numpy()[..., None])[..., 0], atol=1e-13)
    np.testing.assert_array_equal(whole(rows.transpose()), a.transpose(0, 2, 1))
    np.testing.assert_array_equal(whole(rows.transpose().transpose()), a)
    chosen = torch.tensor([2, 0])
    np.testing.assert_array_equal(whole(rows.select(chosen)), a if samples == 1 else a[chosen.numpy()])
    for shift in (0.5, torch.tensor([0.5, -1.0, 2.0], dtype=F64)):
        by = np.asarray(shift).reshape(-1, 1, 1)
        np.testing.assert_allclose(whole(rows.shifted(shift)), a + by * np.eye(15), atol=1e-14)


def test_symmetry_is_seen() -> None:
    a = scattered(15)
    assert Rows.of(torch.from_numpy(a + a.T)).symmetric
    assert not Rows.of(torch.from_numpy(a)).symmetric
    same_places = (a + a.T) * (1.0 + np.tri(15))
    assert not Rows.of(torch.from_numpy(same_places)).symmetric


def test_gradients_of_products() -> None:
    pattern = Rows.of(torch.from_numpy(scattered(6))).pattern
    values, x = normal(2, len(pattern.column)).requires_grad_(), normal(2, 6, seed=1).requires_grad_()

    def product(values, x):
        rows = Rows(pattern, values)
        return rows.apply(x) + 2 * rows.transpose().apply(x)

    assert torch.autograd.gradcheck(product, (values, x))
    assert not Rows(pattern, values).detach().apply(x.detach()).requires_grad
    a = torch.from_numpy(scattered(6)).requires_grad_()
    (gradient,) = torch.autograd.grad(Rows.of(a).apply(x.detach()).sum(), a)
    torch.testing.assert_close(gradient, torch.where(a != 0, x.detach().sum(dim=0), 0.0))


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (torch.ones(3, 4), r"a square matrix, got \(3, 4\)"),
        (torch.ones(4, 3), r"a square matrix, got \(4, 3\)"),
        (torch.ones(3), r"a square matrix, got \(3,\)"),
        (torch.ones(2, 3, 3), r"a square matrix, got \(2, 3, 3\)"),
        (scipy.sparse.csr_array(np.ones((2, 5))), r"a square matrix, got \(2, 5\)"),
        (torch.ones(0, 0), r"a square matrix, got \(0, 0\)"),
        (scipy.sparse.coo_array(np.ones(5)), r"a square matrix, got \(5,\)"),
        (1 - torch.eye(4), r"the diagonal of every row, got none in row 0, one of 4\. Relaxation"),
        (torch.diag(torch.tensor([1.0, 0.0, 2.0, 0.0])), r"got none in row 1, one of 2\."),
        (torch.eye(3, dtype=torch.int64), r"real floating point entries, got torch.int64"),
        (torch.eye(3, dtype=torch.complex64), r"real floating point entries, got torch.complex64"),
        (scipy.sparse.eye_array(3, dtype=np.int32), r"real floating point entries, got torch.int32"),
        ([[1.0]], r"a sparse matrix of torch or scipy, or a dense tensor, got list"),
        (np.eye(3), r"a dense tensor, got ndarray"),
    ],
)
def test_bad_matrices(matrix, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rows.of(matrix)


def test_values_of_another_pattern() -> None:
    pattern = Rows.of(torch.eye(3)).pattern
    with pytest.raises(ValueError, match=r"values of shape \(samples, 3\), one for each entry.*got \(2, 4\)"):
        Rows(pattern, torch.ones(2, 4))
