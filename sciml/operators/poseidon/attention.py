"""Attention within windows that shift from block to block: scaled cosines with a continuous position bias.

Z. Liu et al., "Swin Transformer V2: Scaling Up Capacity and Resolution", CVPR 2022, sections 3.2 and 3.3, on grids of
any dimension and any number of points.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sciml.kernels.cosine_attention import cosine_attention

from .architecture import ScOTConfig

_LARGEST_SCALE = math.log(100.0)
# What tokens of different sides of a boundary get: -100, added twice in Swin V2 as published, and in its checkpoints.
_APART = -200.0


class WindowAttention(nn.Module):
    """Self-attention within windows, and the projection of its result.

    Tokens that pad the grid to whole windows attend and are attended to, as in the reference. With ``periodic`` windows
    shift around the domain's ends without a mask.
    """

    def __init__(self, config: ScOTConfig, level: int) -> None:
        super().__init__()
        features = config.width(level)
        self.periodic = config.periodic
        # The names of these modules are those of the published weights.
        self.self = _Projections(features, config.num_heads[level], config)
        self.output = nn.ModuleDict({"dense": nn.Linear(features, features)})
        self.dropout = nn.Dropout(config.attention_probs_dropout_prob)

    def forward(
        self, x: Float[Tensor, "batch *grid feature"], window: tuple[int, ...], shift: tuple[int, ...]
    ) -> Float[Tensor, "batch *grid feature"]:
        """
        Args:
            x: tokens.
            window: tokens of a window along each axis.
            shift: by how many tokens the windows are shifted along each axis.
        """
        grid, axes = x.shape[1:-1], tuple(range(1, x.dim() - 1))
        whole = tuple(-(-n // w) * w for n, w in zip(grid, window))
        if whole != grid:
            if self.periodic:
                raise ValueError(f"Expected a periodic grid of whole windows {window}, got {tuple(grid)} tokens.")
            padding = [amount for n, m in reversed(list(zip(grid, whole))) for amount in (0, m - n)]
            x = F.pad(x, [0, 0, *padding])
        if any(shift):
            x = torch.roll(x, [-s for s in shift], axes)
        masked = any(shift) and not self.periodic
        y = merge_windows(self.self(split_windows(x, window), window, whole if masked else None, shift), whole, window)
        if any(shift):
            y = torch.roll(y, shift, axes)
        for axis, n in zip(axes, grid):
            y = y.narrow(axis, 0, n)
        return self.dropout(self.output["dense"](y))


class _Projections(nn.Module):
    """Queries, keys and values, and what is added to their products."""

    def __init__(self, features: int, heads: int, config: ScOTConfig) -> None:
        super().__init__()
        self.heads, self.dropout = heads, config.attention_probs_dropout_prob
        self.logit_scale = nn.Parameter(torch.full((heads, 1, 1), math.log(10.0)))
        self.continuous_position_bias_mlp = nn.Sequential(
            nn.Linear(config.dim, 512), nn.ReLU(), nn.Linear(512, heads, bias=False)
        )
        self.query = nn.Linear(features, features, bias=config.qkv_bias)
        self.key = nn.Linear(features, features, bias=False)
        self.value = nn.Linear(features, features, bias=config.qkv_bias)
        self._kept: tuple[Any, Tensor] | None = None

    def forward(
        self,
        x: Float[Tensor, "batch windows token feature"],
        window: tuple[int, ...],
        grid: tuple[int, ...] | None,
        shift: tuple[int, ...],
    ) -> Float[Tensor, "batch windows token feature"]:
        """Attention within each window; ``grid`` is given where shifted windows have to be masked."""
        batch, windows, tokens, _ = x.shape
        # Where all windows have one bias they join the batch; where each has its own, the heads.
        groups = (batch * windows, self.heads) if grid is None else (batch, windows * self.heads)
        dropout = self.dropout if self.training else 0.0
        query, key, value = (
            self._heads(layer(x)).reshape(*groups, tokens, -1) for layer in (self.query, self.key, self.value)
        )
        scale = self.logit_scale.clamp(max=_LARGEST_SCALE).exp()
        if grid is not None:
            scale = scale.repeat(windows, 1, 1)
        y = cosine_attention(query, key, value, scale, self._bias(window, grid, shift, query.dtype), dropout)
        return y.reshape(batch, windows, self.heads, tokens, -1).transpose(2, 3).reshape(x.shape)

    def _heads(self, x: Tensor) -> Float[Tensor, "batch windows heads token width"]:
        return x.unflatten(-1, (self.heads, -1)).transpose(2, 3)

    def _bias(
        self, window: tuple[int, ...], grid: tuple[int, ...] | None, shift: tuple[int, ...], dtype: torch.dtype
    ) -> Tensor:
        """What is added to the logits, (1, heads or windows * heads, tokens, tokens); kept while nothing changes."""
        weights = list(self.continuous_position_bias_mlp.parameters())
        first = weights[0]
        reusable = not (
            torch.is_grad_enabled() or self.training or torch.compiler.is_compiling() or first.is_inference()
        )
        key = (
            (window, grid, shift, dtype, *((w.data_ptr(), w._version, w.device, w.dtype) for w in weights))
            if reusable
            else None
        )
        if key is not None and self._kept is not None and self._kept[0] == key:
            return self._kept[1]
        bias = self.position_bias(window)
        if grid is not None:
            apart = regions_apart(grid, window, shift, first.device) * _APART
            bias = (bias + apart.to(bias.dtype)[:, None]).flatten(0, 1)
        bias = bias[None].to(dtype)
        if key is not None:
            self._kept = key, bias
        return bias

    def position_bias(self, window: tuple[int, ...]) -> Float[Tensor, "heads token token"]:
        """16 sigmoid(MLP(distance)) for each pair of tokens of a window."""
        weight: Tensor = self.continuous_position_bias_mlp[0].weight  # type: ignore[assignment]
        with torch.autocast(weight.device.type, enabled=False):
            offsets = log_offsets(window, weight.device).to(weight.dtype)
            first, _, second = self.continuous_position_bias_mlp
            table = 16 * torch.sigmoid(second(first(offsets).relu_()))
        return toeplitz(table.movedim(-1, 0), window)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_kept": None}


def log_offsets(window: tuple[int, ...], device: torch.device) -> Float[Tensor, "*offsets dim"]:
    """Log-spaced distances of the tokens of a window, -(w - 1) ... w - 1 along each axis, about -1 to 1; float32."""
    axes = []
    for w in window:
        # The reference's arithmetic in single precision, in which devices differ by a bit; in double precision and
        # rounded after each operation it gives the same bits on all.
        u = 8 * (torch.arange(-(w - 1), w, dtype=torch.float64, device=device) / max(w - 1, 1)).float()
        logarithms = torch.log2((u.abs() + 1).double()).float()
        axes.append(u.sign() * (logarithms.double() / math.log2(8)).float())
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def toeplitz(table: Float[Tensor, "heads *offsets"], window: tuple[int, ...]) -> Float[Tensor, "heads token token"]:
    """The entry of each pair of tokens: of query p and key q that of the offset p - q along each axis."""
    dim, tokens = len(window), math.prod(window)
    for axis, w in enumerate(window, start=1):
        table = table.unfold(axis, w, 1)  # (..., start, ..., step): entry start + step
    # start + step = p - q + w - 1 with p = start and q = w - 1 - step.
    return table.flip(list(range(dim + 1, 2 * dim + 1))).reshape(len(table), tokens, tokens)


def regions_apart(
    grid: tuple[int, ...], window: tuple[int, ...], shift: tuple[int, ...], device: torch.device
) -> Tensor:
    """Which tokens of a shifted window lie on different sides of the domain's end: (windows, tokens, tokens), bool."""
    region = torch.zeros(grid, dtype=torch.int64, device=device)
    for axis, (n, w, s) in enumerate(zip(grid, window, shift)):
        place = torch.arange(n, device=device)
        label = (place >= n - w).to(torch.int64) + (place >= n - s).to(torch.int64) if s else torch.zeros_like(place)
        region = 3 * region + label.reshape([-1 if k == axis else 1 for k in range(len(grid))])
    labels = split_windows(region[None, ..., None], window)[0, ..., 0]
    return labels[:, :, None] != labels[:, None, :]


def split_windows(
    x: Float[Tensor, "batch *grid feature"] | Tensor, window: tuple[int, ...]
) -> Float[Tensor, "batch windows token feature"] | Tensor:
    """The tokens of each window; windows and their tokens in row-major order."""
    dim = len(window)
    shape = [length for n, w in zip(x.shape[1:-1], window) for length in (n // w, w)]
    x = x.reshape(len(x), *shape, x.shape[-1])
    outer, inner = range(1, 2 * dim, 2), range(2, 2 * dim + 1, 2)
    return x.permute(0, *outer, *inner, 2 * dim + 1).reshape(len(x), -1, math.prod(window), x.shape[-1])


def merge_windows(
    x: Float[Tensor, "batch windows token feature"], grid: tuple[int, ...], window: tuple[int, ...]
) -> Float[Tensor, "batch *grid feature"]:
    """The grid that was split."""
    dim = len(window)
    x = x.reshape(len(x), *(n // w for n, w in zip(grid, window)), *window, x.shape[-1])
    order = [axis for pair in zip(range(1, dim + 1), range(dim + 1, 2 * dim + 1)) for axis in pair]
    return x.permute(0, *order, 2 * dim + 1).reshape(len(x), *grid, x.shape[-1])
