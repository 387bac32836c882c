"""Products of many small matrices: the form that a GPU and a compiler take, beside torch's."""

import pytest
import torch

from sciml.kernels import small_product as module


@pytest.mark.parametrize("shapes", [((2, 5, 3, 3), (2, 5, 3, 3)), ((4, 2, 3), (4, 3, 2)), ((7, 2, 2), (2, 2))])
@pytest.mark.parametrize("compiling", [False, True])
def test_it_is_the_product_and_so_are_gradients(shapes, compiling, monkeypatch) -> None:
    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: compiling)
    drawn = torch.Generator().manual_seed(0)
    parts = [torch.randn(shape, dtype=torch.float64, generator=drawn, requires_grad=True) for shape in shapes]
    found, expected = module.small_product(*parts), parts[0] @ parts[1]
    torch.testing.assert_close(found, expected, rtol=1e-14, atol=1e-14)
    weights = torch.randn(expected.shape, dtype=torch.float64, generator=drawn)
    torch.testing.assert_close(
        torch.autograd.grad((found * weights).sum(), parts),
        torch.autograd.grad((expected * weights).sum(), parts),
        rtol=1e-13,
        atol=1e-13,
    )
