"""Small systems written out entry by entry have the solutions of a library's, pivoting included."""

import pytest
import torch

from sciml.solvers.implicit.elimination import Elimination


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_solutions(size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    matrix = torch.randn(50, size, size, dtype=torch.float64, generator=generator)
    v = torch.randn(50, size, dtype=torch.float64, generator=generator)
    found = Elimination.of(matrix).solve(v).x
    torch.testing.assert_close((matrix @ found[..., None])[..., 0], v, rtol=1e-9, atol=1e-9)


def test_a_zero_on_the_diagonal_and_one_row_of_each_sample_that_must_move() -> None:
    matrix = torch.tensor([[[0.0, 1.0], [2.0, 0.0]], [[1e-30, 1.0], [1.0, 1.0]]], dtype=torch.float64)
    v = torch.tensor([[3.0, 4.0], [1.0, 2.0]], dtype=torch.float64)
    found = Elimination.of(matrix).solve(v).x
    torch.testing.assert_close(found, torch.tensor([[2.0, 3.0], [1.0, 1.0]], dtype=torch.float64))


def test_a_singular_matrix_gives_no_error() -> None:
    matrix = torch.ones(1, 2, 2, dtype=torch.float64)
    assert not torch.isfinite(Elimination.of(matrix).solve(torch.tensor([[1.0, 2.0]], dtype=torch.float64)).x).all()
