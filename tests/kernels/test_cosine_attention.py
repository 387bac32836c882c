"""Cosine attention beside its readable twin: values, gradients of both orders, dtypes, and odd cases."""

import itertools

import pytest
import torch
from torch import Tensor

from sciml.kernels import cosine_attention as module
from sciml.kernels.cosine_attention import cosine_attention, cosine_attention_reference

SIZES = [(1, 1, 1, 1), (2, 3, 16, 4), (5, 2, 49, 7), (16, 3, 64, 16), (3, 12, 25, 8)]
every_size = pytest.mark.parametrize("size", SIZES)


def inputs(size: tuple[int, int, int, int], dtype: torch.dtype = torch.float64, *, grad: bool = True) -> list[Tensor]:
    """Query, key, value, scale and bias."""
    batch, heads, tokens, width = size
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, heads, tokens, width)] * 3 + [(heads, 1, 1), (1, heads, tokens, tokens)]
    drawn = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    drawn[3] = 10 * drawn[3].abs()
    return [part.to(dtype).requires_grad_(grad) for part in drawn]


def gradients(attention, parts: list[Tensor]) -> tuple[Tensor, ...]:
    outcome = attention(*parts)
    weights = torch.randn(outcome.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return outcome, *torch.autograd.grad(outcome, parts, weights.to(outcome))


@every_size
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-11), (torch.float32, 2e-4)])
def test_values_and_gradients_are_those_of_the_reference(size, dtype: torch.dtype, tolerance: float) -> None:
    found = gradients(cosine_attention, inputs(size, dtype))
    expected = gradients(cosine_attention_reference, inputs(size))
    for got, exact in zip(found, expected, strict=True):
        scale = float(exact.detach().abs().max().clamp(min=1e-3))
        torch.testing.assert_close(got.double() / scale, exact / scale, rtol=0, atol=tolerance)


@pytest.mark.parametrize("most", [1, 100, 2**12, 2**30])
def test_gradients_do_not_depend_on_how_the_work_is_split(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = gradients(cosine_attention_reference, inputs((5, 3, 16, 4)))
    monkeypatch.setattr(module, "_MOST_WEIGHTS", {"cpu": most})
    for got, exact in zip(gradients(cosine_attention, inputs((5, 3, 16, 4))), expected):
        torch.testing.assert_close(got, exact)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_samples_that_no_kernel_takes_at_once_are_shared_out(most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = gradients(cosine_attention_reference, inputs((5, 3, 16, 4)))
    monkeypatch.setattr(module, "_MOST_SAMPLES", {"cpu": most})
    monkeypatch.setattr(module, "_recomputes", lambda *parts: False)  # as on a GPU
    for got, exact in zip(gradients(cosine_attention, inputs((5, 3, 16, 4))), expected):
        torch.testing.assert_close(got, exact)


@pytest.mark.parametrize(("samples", "heads"), list(itertools.product((1, 4, 9), (1, 3))))
def test_blocks_cover_everything_once(samples: int, heads: int) -> None:
    seen = torch.zeros(heads, samples)
    for head, row in module._blocks(samples, heads, 2**17, 2**18):
        seen[head, row] += 1
    assert bool((seen == 1).all())


def test_second_derivatives() -> None:
    parts = inputs((1, 2, 3, 2))
    assert torch.autograd.gradgradcheck(cosine_attention, parts)


def test_function_transforms_and_forward_mode_pass_through() -> None:
    parts = inputs((2, 2, 5, 3))
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(parts[0].detach(), torch.ones_like(parts[0]))
        tangent = torch.autograd.forward_ad.unpack_dual(cosine_attention(dual, *parts[1:])).tangent
    h = 1e-6
    shifted = [cosine_attention(parts[0] + sign * h, *parts[1:]) for sign in (1, -1)]
    torch.testing.assert_close(tangent, (shifted[0] - shifted[1]) / (2 * h), rtol=1e-5, atol=1e-6)
    loss = lambda q: cosine_attention(q[None], *(part[:1] for part in parts[1:3]), *parts[3:]).sum()  # noqa: E731
    mapped = torch.func.vmap(torch.func.grad(loss))(parts[0].detach())
    alone = torch.stack([torch.autograd.functional.jacobian(loss, q) for q in parts[0].detach()])
    torch.testing.assert_close(mapped, alone)


def test_zero_vectors_have_cosine_and_gradient_zero() -> None:
    parts = inputs((2, 2, 4, 3))
    with torch.no_grad():
        parts[1][:, :, 1:] = 0
        parts[0][:, :, 2] = 0
    for got, exact in zip(gradients(cosine_attention, parts), gradients(cosine_attention_reference, parts)):
        assert bool(torch.isfinite(got).all())
        torch.testing.assert_close(got, exact)
    assert not gradients(cosine_attention, parts)[2][:, :, 1:].any()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_masked_pairs_of_tokens_do_not_meet(dtype: torch.dtype) -> None:
    """A bias of -200 keeps two halves apart, in values and in gradients, as if each were attended to alone."""
    parts = inputs((3, 2, 8, 4), dtype)
    apart = torch.arange(8)[:, None] // 4 != torch.arange(8)[None] // 4
    masked = [*parts[:4], (parts[4].detach() - 200 * apart.to(dtype)).requires_grad_()]
    found = gradients(cosine_attention, masked)
    torch.testing.assert_close(found, gradients(cosine_attention_reference, masked), rtol=1e-4, atol=1e-4)
    half = [*(part[:, :, :4] for part in parts[:3]), parts[3], parts[4][..., :4, :4]]
    torch.testing.assert_close(found[0][:, :, :4], cosine_attention(*half), rtol=1e-4, atol=1e-5)
    assert float(found[5][:, :, :4, 4:].abs().max()) < 1e-12


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(dtype: torch.dtype) -> None:
    half = cosine_attention(*inputs((2, 3, 16, 4), dtype))
    torch.testing.assert_close(half.double(), cosine_attention_reference(*inputs((2, 3, 16, 4))), rtol=0.05, atol=0.05)


def test_frozen_parts_get_no_gradient() -> None:
    parts = inputs((2, 2, 5, 3))
    frozen = [parts[0], *(part.detach() for part in parts[1:4]), parts[4]]
    expected = gradients(cosine_attention_reference, parts)
    outcome = cosine_attention(*frozen)
    weights = torch.randn(outcome.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    found = torch.autograd.grad(outcome, [frozen[0], frozen[4]], weights)
    torch.testing.assert_close(found, (expected[1], expected[5]))
