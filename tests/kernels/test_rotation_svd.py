"""Singular values with rotations on both sides: reconstruction, LAPACK's values, and matrices that are hard."""

import pytest
import torch
from torch import Tensor

from sciml.kernels.rotation_svd import rotation_svd

EPS = {torch.float64: 1e-14, torch.float32: 3e-6}


def hard(dim: int) -> Tensor:
    """Zero, rank one and two, repeated, inverted, tiny, huge and graded matrices, and random ones."""
    drawn = torch.Generator().manual_seed(0)
    eye = torch.eye(dim, dtype=torch.float64)
    mirror = eye.clone()
    mirror[0, 0] = -1
    graded = torch.randn(50, dim, dim, generator=drawn, dtype=torch.float64)
    graded[..., 0] *= 1e-6
    cases = [
        torch.stack([0 * eye, eye, -eye, mirror, torch.ones_like(eye), 3 * mirror, eye + 1e-9 * torch.ones_like(eye)]),
        torch.randn(200, dim, 1, generator=drawn, dtype=torch.float64) * torch.randn(200, 1, dim, generator=drawn),
        torch.randn(2000, dim, dim, generator=drawn, dtype=torch.float64),
        eye + 1e-5 * torch.randn(2000, dim, dim, generator=drawn, dtype=torch.float64),
        1e-25 * torch.randn(50, dim, dim, generator=drawn, dtype=torch.float64),
        1e25 * torch.randn(50, dim, dim, generator=drawn, dtype=torch.float64),
        graded,
    ]
    return torch.cat(cases)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("dim", [2, 3])
def test_decomposition(dim: int, dtype: torch.dtype) -> None:
    matrices = hard(dim).to(dtype)
    left, stretches, right = rotation_svd(matrices)
    scale = matrices.abs().amax((-2, -1)).clamp_min(torch.finfo(dtype).tiny)
    rebuilt = left @ torch.diag_embed(stretches) @ right.mT
    assert ((rebuilt - matrices).abs().amax((-2, -1)) / scale).max() < EPS[dtype]
    for rotation in (left, right):
        assert (rotation @ rotation.mT - torch.eye(dim, dtype=dtype)).abs().max() < EPS[dtype]
        assert (torch.linalg.det(rotation) - 1).abs().max() < EPS[dtype]
    expected = torch.linalg.svdvals(matrices.double()).to(dtype)
    assert ((stretches.abs() - expected).abs().amax(-1) / scale).max() < EPS[dtype]
    assert (stretches[:, :-1] >= stretches[:, 1:].abs() * (1 - EPS[dtype])).all()


@pytest.mark.parametrize("dim", [2, 3])
def test_small_singular_values_are_accurate(dim: int) -> None:
    columns = torch.diag(torch.tensor([1.0, 1e-7, 1e-12][:dim], dtype=torch.float64))
    turn, _ = torch.linalg.qr(torch.randn(dim, dim, dtype=torch.float64, generator=torch.Generator().manual_seed(1)))
    stretches = rotation_svd(turn @ columns).stretches
    torch.testing.assert_close(stretches.abs(), columns.diagonal(), rtol=1e-9, atol=0)


def test_the_sign_is_that_of_the_determinant() -> None:
    matrices = torch.randn(500, 3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    assert torch.equal(rotation_svd(matrices).stretches[:, 2].sign(), torch.linalg.det(matrices).sign())


def test_nan_stays_in_its_matrix() -> None:
    matrices = torch.eye(3).repeat(4, 1, 1)
    matrices[1, 2, 0] = torch.nan
    left, stretches, _ = rotation_svd(matrices)
    assert torch.isfinite(stretches[[0, 2, 3]]).all()
    assert torch.isfinite(left[[0, 2, 3]]).all()
    assert stretches[1].isnan().any()


@pytest.mark.parametrize("matrix", [torch.zeros(4, 4), torch.zeros(3, 3).half()])
def test_other_shapes_and_dtypes_are_refused(matrix: Tensor) -> None:
    with pytest.raises(ValueError, match="2, 2"):
        rotation_svd(matrix)
