"""Cosine attention on a GPU: every path, beside the formula written out in double precision."""

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from sciml.kernels.cosine_attention import cosine_attention, cosine_attention_reference

from .compare import F64, assert_close, full_precision, no_waiting

pytestmark = pytest.mark.gpu
# Batch, heads, tokens, width: of one token, of lengths that kernels like and of lengths that they do not.
SIZES = [(1, 1, 1, 1), (2, 3, 16, 4), (5, 2, 49, 7), (16, 3, 64, 16), (3, 12, 25, 8), (2, 3, 256, 16)]
TOLERANCES = {F64: 1e-11, torch.float32: 1e-4, torch.float16: 2e-2, torch.bfloat16: 0.1}
every_size = pytest.mark.parametrize("size", SIZES)
every_dtype = pytest.mark.parametrize("dtype", TOLERANCES)
every_half = pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
fused_dtypes = pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])


@pytest.fixture(autouse=True)
def _full_precision():
    with full_precision():
        yield


def drawn(size: tuple[int, int, int, int], dtype: torch.dtype = F64) -> list[Tensor]:
    """Query, key, value, scale and bias in double precision, of values that ``dtype`` has."""
    batch, heads, tokens, width = size
    generator = torch.Generator().manual_seed(0)
    shapes = [(batch, heads, tokens, width)] * 3 + [(heads, 1, 1), (1, heads, tokens, tokens)]
    parts = [torch.randn(shape, generator=generator, dtype=F64) for shape in shapes]
    parts[3] = 1 + 5 * parts[3].abs()
    return [part.to(dtype).double() for part in parts]


def written_out(query: Tensor, key: Tensor, value: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    """The formula."""
    unit_query, unit_key = (x / x.norm(dim=-1, keepdim=True).clamp(min=1e-30) for x in (query, key))
    return (scale * unit_query @ unit_key.transpose(-1, -2) + bias).softmax(dim=-1) @ value


def gradients(attention, parts: list[Tensor]) -> list[Tensor]:
    """The outcome, and the gradients in all inputs."""
    leaves = [part.detach().requires_grad_() for part in parts]
    outcome = attention(*leaves)
    weights = torch.randn(outcome.shape, generator=torch.Generator().manual_seed(1), dtype=F64)
    return [outcome, *torch.autograd.grad(outcome, leaves, weights.to(outcome))]


@every_size
@every_dtype
@pytest.mark.parametrize("attention", [cosine_attention, cosine_attention_reference])
def test_values_and_gradients(attention, size, dtype: torch.dtype, device: torch.device) -> None:
    parts = drawn(size, dtype)
    found = gradients(attention, [part.to(device, dtype) for part in parts])
    assert all(part.dtype == dtype and part.device.type == device.type for part in found)
    assert_close(found, gradients(written_out, parts), TOLERANCES[dtype])


@every_dtype
def test_without_gradients(dtype: torch.dtype, device: torch.device) -> None:
    parts = drawn((4, 3, 16, 8), dtype)
    with torch.no_grad():
        found = cosine_attention(*(part.to(device, dtype) for part in parts))
    assert_close([found], [written_out(*parts)], TOLERANCES[dtype])


@every_dtype
@pytest.mark.parametrize("frozen", [[4], [0, 1, 2, 3], [3, 4]])
def test_frozen_parts_get_no_gradient(frozen: list[int], dtype: torch.dtype, device: torch.device) -> None:
    parts = drawn((4, 3, 16, 8), dtype)
    leaves = [part.to(device, dtype).requires_grad_(k not in frozen) for k, part in enumerate(parts)]
    outcome = cosine_attention(*leaves)
    weights = torch.randn(outcome.shape, generator=torch.Generator().manual_seed(1), dtype=F64)
    outcome.backward(weights.to(outcome))
    expected = gradients(written_out, parts)[1:]
    kept = [k for k in range(5) if k not in frozen]
    assert all(leaves[k].grad is None for k in frozen)
    assert_close([leaves[k].grad for k in kept], [expected[k] for k in kept], TOLERANCES[dtype])


@every_dtype
def test_a_bias_that_learns_alone_has_a_gradient_with_dropout_too(dtype: torch.dtype, device: torch.device) -> None:
    parts = [part.to(device, dtype) for part in drawn((4, 3, 16, 8), dtype)]
    bias = parts[4].requires_grad_()
    outcome = cosine_attention(*parts, dropout=0.3)
    outcome.float().square().sum().backward()
    assert outcome.dtype == dtype and bool(torch.isfinite(bias.grad).all()) and bool(bias.grad.any())


@fused_dtypes
@pytest.mark.parametrize("size", [(70_000, 1, 4, 8), (1, 20_000, 4, 8)], ids=["samples", "heads"])
def test_very_many_windows(size, dtype: torch.dtype, device: torch.device) -> None:
    """They join the batch, of which a grid on CUDA takes 65535 at once, or where they are masked the heads."""
    parts = drawn(size, dtype)
    found = gradients(cosine_attention, [part.to(device, dtype) for part in parts])
    checked = 6 if dtype == torch.float32 else 4  # sums over so many samples are coarse in half precision
    assert_close(found[:checked], gradients(written_out, parts)[:checked], 2 * TOLERANCES[dtype])


@every_dtype
def test_masked_pairs_of_tokens_do_not_meet(dtype: torch.dtype, device: torch.device) -> None:
    parts = drawn((6, 2, 16, 8), dtype)
    half = torch.arange(16) // 8
    parts[4] = (parts[4] - 200 * (half[:, None] != half[None])).to(dtype).double()
    found = gradients(cosine_attention, [part.to(device, dtype) for part in parts])
    assert_close(found, gradients(written_out, parts), TOLERANCES[dtype])
    assert float(found[5][..., :8, 8:].abs().max()) < 1e-12


@fused_dtypes
def test_zero_vectors_have_cosine_and_gradient_zero(dtype: torch.dtype, device: torch.device) -> None:
    parts = drawn((2, 2, 8, 8), dtype)
    parts[0][:, :, 2] = 0
    parts[1][:, :, 1:] = 0
    found = gradients(cosine_attention, [part.to(device, dtype) for part in parts])
    assert all(bool(torch.isfinite(part).all()) for part in found)
    assert not found[1][:, :, 2].any() and not found[2][:, :, 1:].any()
    assert_close([found[0], found[3]], [gradients(written_out, parts)[k] for k in (0, 3)], TOLERANCES[dtype])


@every_half
def test_under_autocast(dtype: torch.dtype, device: torch.device) -> None:
    """Queries, keys and values come in half precision then, the scale in float32."""
    parts = drawn((4, 3, 16, 8), dtype)
    leaves = [part.to(device, torch.float32 if k == 3 else dtype).requires_grad_() for k, part in enumerate(parts)]
    with torch.autocast(device.type, dtype=dtype):
        outcome = cosine_attention(*leaves)
    assert outcome.dtype == dtype
    outcome.float().square().sum().backward()
    assert_close([outcome], [written_out(*parts)], TOLERANCES[dtype])
    assert all(bool(torch.isfinite(leaf.grad).all()) and bool(leaf.grad.any()) for leaf in leaves)


@fused_dtypes
def test_dropout_keeps_the_mean(dtype: torch.dtype, device: torch.device) -> None:
    """Over four thousand copies of one sample; the same numbers drawn again give the same outcome."""
    parts = drawn((1, 2, 8, 8), dtype)
    leaves = [part.to(device, dtype) for part in parts]
    copies = [*(leaf.expand(4000, -1, -1, -1).contiguous().requires_grad_() for leaf in leaves[:3]), *leaves[3:]]
    outcomes = []
    for _ in range(2):
        torch.manual_seed(0)
        outcomes.append(cosine_attention(*copies, dropout=0.3))
    assert torch.equal(*outcomes)
    mean = outcomes[0].detach().double().mean(dim=0, keepdim=True)
    assert_close([mean], [written_out(*parts)], 0.05 + TOLERANCES[dtype])
    assert float((outcomes[0] - outcomes[0][:1]).detach().abs().max()) > 0.1
    outcomes[0].float().square().sum().backward()
    assert all(bool(torch.isfinite(copy.grad).all()) for copy in copies[:3])


def test_second_derivatives(device: torch.device) -> None:
    parts = [part.to(device).requires_grad_() for part in drawn((1, 2, 3, 2))]
    assert torch.autograd.gradgradcheck(cosine_attention, parts)


@pytest.mark.parametrize("dtype", [F64, torch.float32])
def test_function_transforms_and_forward_mode(dtype: torch.dtype, device: torch.device) -> None:
    parts = drawn((2, 2, 5, 8))
    at = [part.to(device, dtype) for part in parts]
    direction = torch.randn(parts[0].shape, generator=torch.Generator().manual_seed(2), dtype=F64)
    tangent = torch.func.jvp(lambda q: cosine_attention(q, *at[1:]), (at[0],), (direction.to(at[0]),))[1]
    expected = torch.autograd.functional.jvp(lambda q: written_out(q, *parts[1:]), parts[0], direction)[1]
    assert_close([tangent], [expected], 1e-4)

    def loss(attention, inputs: list[Tensor]):
        return lambda q: attention(q[None], *(part[:1] for part in inputs[1:3]), *inputs[3:]).sum()

    mapped = torch.func.vmap(torch.func.grad(loss(cosine_attention, at)))(at[0])
    alone = [torch.autograd.functional.jacobian(loss(written_out, parts), q) for q in parts[0]]
    assert_close([mapped], [torch.stack(alone)], 1e-4)


def test_it_does_not_wait_for_the_host(device: torch.device) -> None:
    leaves = [part.to(device, torch.float32).requires_grad_() for part in drawn((4, 3, 64, 16))]
    cosine_attention(*leaves).sum().backward()
    with no_waiting(device):
        cosine_attention(*leaves).sum().backward()


@fused_dtypes
def test_a_fused_kernel_takes_the_bias_and_its_gradient(dtype: torch.dtype, device: torch.device) -> None:
    """The memory-efficient one does; the flash kernel takes no bias. In float32 ours takes the gradient itself."""
    if device.type != "cuda":
        pytest.skip("of CUDA alone")
    parts = drawn((8, 3, 256, 16), dtype)
    leaves = [part.to(device, dtype).requires_grad_() for part in parts]
    name = cosine_attention(*leaves).grad_fn.name()
    assert ("_Recomputed" if dtype == torch.float32 else "ScaledDotProduct") in name
    with sdpa_kernel([SDPBackend.EFFICIENT_ATTENTION]):
        found = gradients(cosine_attention, leaves)
    assert_close(found, gradients(written_out, parts), TOLERANCES[dtype])


@fused_dtypes
def test_memory_is_less_than_that_of_the_formula(dtype: torch.dtype, device: torch.device) -> None:
    """No matrix of weights is kept for the backward pass, and no more of them are needed in it."""
    if device.type != "cuda":
        pytest.skip("of CUDA alone")
    size = (32, 3, 256, 16)
    leaves = [part.to(device, dtype).requires_grad_() for part in drawn(size, dtype)]
    weights = leaves[0].element_size() * size[0] * size[1] * size[2] ** 2
    kept, peaks = {}, {}
    for attention in (cosine_attention_reference, cosine_attention):
        gradients(attention, leaves)
        torch.cuda.synchronize()
        before = torch.cuda.memory_allocated()
        torch.cuda.reset_peak_memory_stats()
        outcome = attention(*leaves)
        kept[attention] = torch.cuda.memory_allocated() - before
        torch.autograd.grad(outcome, leaves, torch.ones_like(outcome))
        peaks[attention] = torch.cuda.max_memory_allocated() - before
        del outcome
    assert kept[cosine_attention] < weights < kept[cosine_attention_reference]
    assert peaks[cosine_attention] <= peaks[cosine_attention_reference]
