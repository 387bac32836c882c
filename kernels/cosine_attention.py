"""Attention by scaled cosines with an additive bias that is learned, as in Swin Transformer V2.

The readable form, and one that keeps no matrix of weights for the backward pass. A twin in Triton will stand beside
them; on CUDA half precision takes PyTorch's own fused attention until then.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor
from torch.autograd import forward_ad

# Weights of attention that the backward pass works on at once: what a core's cache holds; what fills a GPU.
_MOST_WEIGHTS = {"cpu": 2**18, "cuda": 2**26}
_MOST_SAMPLES = {"cuda": 65535}  # for which PyTorch's kernels compute right gradients
_ZERO = 1e-12  # vectors below this length


def cosine_attention(
    query: Float[Tensor, "batch heads token width"],
    key: Float[Tensor, "batch heads token width"],
    value: Float[Tensor, "batch heads token width"],
    scale: Float[Tensor, "heads 1 1"],
    bias: Float[Tensor, "1 heads token token"],
    dropout: float = 0.0,
) -> Float[Tensor, "batch heads token width"]:
    """softmax(scale cos(query, key) + bias) value.

    On CPUs PyTorch's fused kernel has no gradient of a bias, and falls back to the matrix of all weights; on CUDA in
    float32 that gradient is slow. Here the backward pass computes the weights again from the logarithms of their sums,
    some at a time.

    Args:
        query, key, value: of any lengths; the cosine with a zero vector is zero.
        scale: of each head.
        bias: added to the logits, the same for the whole batch.
        dropout: of weights.
    """
    if not dropout and _transformed():
        return cosine_attention_reference(query, key, value, scale, bias)
    if not dropout and _recomputes(query, key, value, scale, bias):
        return _Recomputed.apply(query, key, value, scale, bias)
    query, key = _unit(query)[0] * scale.to(query.dtype), _unit(key)[0]
    if bias.requires_grad and not any(part.requires_grad for part in (query, key, value)):
        # PyTorch's kernels keep no sums of weights then, and on CUDA read where there are none in the backward pass.
        weights = (query @ key.mT + bias).softmax(dim=-1)
        return F.dropout(weights, dropout) @ value
    return _fused(query, key, value, bias, dropout)


def cosine_attention_reference(
    query: Float[Tensor, "batch heads token width"],
    key: Float[Tensor, "batch heads token width"],
    value: Float[Tensor, "batch heads token width"],
    scale: Float[Tensor, "heads 1 1"],
    bias: Float[Tensor, "1 heads token token"],
) -> Float[Tensor, "batch heads token width"]:
    """The same, as one writes it down."""
    cosines = _unit(query)[0] @ _unit(key)[0].mT
    return (scale * cosines + bias).softmax(dim=-1) @ value


def _fused(query: Tensor, key: Tensor, value: Tensor, bias: Tensor, dropout: float) -> Tensor:
    """softmax(query key^T + bias) value by PyTorch's kernels, for as many samples at a time as they take."""

    def attend(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=dropout, scale=1.0)

    batch = query.shape[0]
    most = _MOST_SAMPLES.get(query.device.type, batch)
    if batch <= most:
        return attend(query, key, value)
    parts = zip(*(part.split(most) for part in (query, key, value)))
    return torch.cat([attend(*part) for part in parts])


def _unit(x: Tensor) -> tuple[Tensor, Tensor]:
    """Vectors of length 1, and the inverse lengths; both zero, with gradient zero, where a vector is.

    Lengths are taken in float32 at least: half precision has no room for small ones, nor for their inverses.
    """
    exact = x if x.element_size() >= 4 else x.float()
    length = torch.linalg.vector_norm(exact, dim=-1, keepdim=True)
    inverse = 1 / torch.where(length > _ZERO, length, torch.inf)
    return (exact * inverse).to(x.dtype), inverse


class _Recomputed(torch.autograd.Function):
    """Of the fused forward pass, the outcome and the logarithms of the sums of weights are kept."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
        scaled, at_query = _unit(query)
        scaled.mul_(scale)
        unit, at_key = _unit(key)
        outcome, log_sums = _with_log_sums(scaled, unit, value, bias)
        ctx.save_for_backward(query, key, scaled, unit, value, scale, bias, outcome, log_sums, at_query, at_key)
        return outcome

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        query, key, scaled, unit, value, scale, bias, outcome, log_sums, at_query, at_key = ctx.saved_tensors
        if torch.is_grad_enabled():  # a second derivative is asked for
            inputs = query, key, value, scale, bias
            return torch.autograd.grad(cosine_attention_reference(*inputs), inputs, gradient, create_graph=True)
        of_scaled, of_unit, of_value, of_bias = _gradients(scaled, unit, value, bias, outcome, log_sums, gradient)
        # A change along a vector changes nothing but its length.
        along = (scaled * of_scaled).sum(dim=-1, keepdim=True)
        of_query = torch.addcmul(of_scaled, scaled, along / scale**2, value=-1).mul_(scale * at_query)
        of_key = torch.addcmul(of_unit, unit, (unit * of_unit).sum(dim=-1, keepdim=True), value=-1).mul_(at_key)
        return of_query, of_key, of_value, (along / scale).sum(dim=(0, 2))[..., None], of_bias


def _with_log_sums(query: Tensor, key: Tensor, value: Tensor, bias: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(query key^T + bias) value by a fused kernel, and the logarithms of the sums of weights."""
    if query.device.type == "cpu":
        return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(query, key, value, attn_mask=bias, scale=1.0)
    fused = torch.ops.aten._scaled_dot_product_efficient_attention
    outcome, log_sums, _, _ = fused(query, key, value, bias.expand(len(query), -1, -1, -1), True, scale=1.0)
    return outcome, log_sums[..., : query.shape[-2]]  # which it pads


def _gradients(
    query: Tensor, key: Tensor, value: Tensor, bias: Tensor, outcome: Tensor, log_sums: Tensor, gradient: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Those of softmax(query key^T + bias) value, for some matrices of weights at a time.

    Tri Dao et al., "FlashAttention", 2022, appendix B.2. One more column subtracts the logarithmic sums from the logits
    within their product, and another the mean of the gradient from that of the weights.
    """
    minus = query.new_full((), -1.0).expand(*query.shape[:-1], 1)
    mean = (gradient * outcome).sum(dim=-1, keepdim=True)
    columns = ((query, log_sums.unsqueeze(-1).to(query.dtype)), (key, minus), (value, minus), (gradient, mean))
    queries, keys, values, slopes = (torch.cat([part.transpose(0, 1) for part in pair], dim=-1) for pair in columns)
    found = [
        torch.empty_like(part[..., :-1], memory_format=torch.contiguous_format) for part in (queries, keys, values)
    ]
    # Weights far below rounding count for nothing, but exp is forty times slower where it underflows, and so is
    # arithmetic with what is left of them.
    least = 2.5 * math.log(torch.finfo(query.dtype).eps)
    of_bias, most = torch.zeros_like(bias[0]), _MOST_WEIGHTS[query.device.type]
    for heads, rows in _blocks(query.shape[0], query.shape[1], bias.shape[-1] ** 2, most):
        q, k, v, g = (part[heads, rows].flatten(0, 1) for part in (queries, keys, values, slopes))
        of_query, of_key, of_value = (part[heads, rows].flatten(0, 1) for part in found)
        shape = len(of_bias[heads]), -1, *bias.shape[-2:]
        logits = bias[0, heads]
        if shape[0] > 1:
            logits = logits[:, None].expand(-1, len(query), -1, -1).reshape(-1, *bias.shape[-2:])
        weights = torch.baddbmm(logits, q, k.mT).clamp_(min=least).exp_()
        if weights.dtype == torch.float64:
            weights /= weights.sum(dim=-1, keepdim=True)  # the logarithms are kept in float32
        torch.bmm(weights.mT, g[..., :-1], out=of_value)
        weights.mul_(torch.bmm(g, v.mT))
        torch.bmm(weights, k[..., :-1], out=of_query)
        torch.bmm(weights.mT, q[..., :-1], out=of_key)
        of_bias[heads] += weights.view(shape).sum(dim=1)
    of_query, of_key, of_value = (part.transpose(0, 1) for part in found)
    return of_query, of_key, of_value, of_bias[None]


def _blocks(samples: int, heads: int, numbers: int, most: int) -> list[tuple[slice, slice]]:
    """Slices of heads and samples with at most so many weights; several heads where all their samples fit."""
    together = max(1, most // max(samples * numbers, 1))
    rows = min(samples, max(1, most // max(numbers, 1)))
    return [
        (slice(head, head + together), slice(row, row + rows))
        for head in range(0, heads, together)
        for row in range(0, samples, rows)
    ]


def _transformed() -> bool:
    """Whether ``torch.func`` or forward-mode differentiation is at work, which fused kernels do not know."""
    return torch._C._are_functorch_transforms_active() or forward_ad._current_level >= 0


def _recomputes(*inputs: Tensor) -> bool:
    """Whether PyTorch's fused kernel lacks the gradient of a bias, or is slow at it."""
    query, bias = inputs[0], inputs[-1]
    if not torch.is_grad_enabled() or not bias.requires_grad or torch.compiler.is_compiling() or not query.numel():
        return False
    if any(type(part) not in (Tensor, torch.nn.Parameter) or part.dtype != query.dtype for part in inputs):
        return False
    if query.device.type == "cpu":
        return query.dtype in (torch.float32, torch.float64)
    # The kernel called without its wrapper asks for whole blocks; half precision is fast by itself.
    whole = query.shape[-1] % 4 == 0 and bias.shape[-1] % 16 == 0 and bias.is_contiguous()
    return query.is_cuda and query.dtype == torch.float32 and whole and len(query) <= _MOST_SAMPLES["cuda"]
