"""The parts of a scalable operator transformer, on tokens (batch, *grid, feature)."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from .architecture import ScOTConfig
from .attention import WindowAttention
from .norm import layer_norm

_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_BATCH_NORMS = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "silu": F.silu,
    "swish": F.silu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
}


class TransformerBlock(nn.Module):
    """Attention within windows and two layers, each normed after it and added to its input (residual post-norm)."""

    def __init__(self, config: ScOTConfig, level: int, drop_path: float) -> None:
        super().__init__()
        features = config.width(level)
        inside = int(config.mlp_ratio * features)
        self.attention = WindowAttention(config, level)
        self.layernorm_before = _norm(config, features)
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(features, inside)})
        self.output = nn.ModuleDict({"dense": nn.Linear(inside, features)})
        self.layernorm_after = _norm(config, features)
        self.act = _ACTIVATIONS[config.hidden_act]
        self.dropout, self.drop_path = config.hidden_dropout_prob, drop_path

    def forward(self, x: Tensor, time: Tensor | None, window: tuple[int, ...], shift: tuple[int, ...]) -> Tensor:
        x = x + self._kept(self.layernorm_before(self.attention(x, window, shift), time))
        hidden = self.output["dense"](self.act(self.intermediate["dense"](x)))
        return x + self._kept(self.layernorm_after(F.dropout(hidden, self.dropout, self.training), time))

    def _kept(self, branch: Tensor) -> Tensor:
        """Stochastic depth: the branch of a sample is left out with probability ``drop_path``."""
        if not self.training or self.drop_path == 0.0:
            return branch
        kept = 1 - self.drop_path
        mask = branch.new_empty((len(branch), *(1,) * (branch.dim() - 1))).bernoulli_(kept)
        return branch * mask.div_(kept)

    def extra_repr(self) -> str:
        return f"drop_path={self.drop_path:g}" if self.drop_path else ""


class PatchEmbedding(nn.Module):
    """A token from each patch of the field; a field of another size than whole patches is padded with zeros."""

    def __init__(self, config: ScOTConfig) -> None:
        super().__init__()
        self.patch, self.periodic = config.patch_size, config.periodic
        convolution = _CONVOLUTIONS[config.dim](
            config.num_channels, config.embed_dim, config.patch_size, stride=config.patch_size
        )
        self.patch_embeddings = nn.ModuleDict({"projection": convolution})
        self.norm = layer_norm(config.embed_dim, conditional=config.use_conditioning)
        if config.use_absolute_embeddings:
            self.grid = tuple(-(-n // config.patch_size) for n in config.size)
            self.position_embeddings = nn.Parameter(torch.zeros(1, math.prod(self.grid), config.embed_dim))
        self.absolute, self.dropout = config.use_absolute_embeddings, config.hidden_dropout_prob

    def forward(self, x: Float[Tensor, "batch channel *space"], time: Tensor | None) -> Tensor:
        missing = [-n % self.patch for n in x.shape[2:]]
        if any(missing):
            if self.periodic:
                raise ValueError(
                    f"Expected a periodic field of a multiple of {self.patch} points, got {tuple(x.shape[2:])}."
                )
            x = F.pad(x, [amount for m in reversed(missing) for amount in (0, m)])
        tokens = self.norm(self.patch_embeddings["projection"](x).movedim(1, -1), time)
        if self.absolute:
            if tuple(tokens.shape[1:-1]) != self.grid:
                found = tuple(tokens.shape[1:-1])
                raise ValueError(f"Expected {self.grid} tokens for the absolute position embeddings, got {found}.")
            tokens = tokens + self.position_embeddings.reshape(1, *self.grid, -1)
        return F.dropout(tokens, self.dropout, self.training)


class PatchMerging(nn.Module):
    """Half the tokens along each axis and twice the features; an odd grid is padded with zeros."""

    def __init__(self, config: ScOTConfig, level: int) -> None:
        super().__init__()
        features = config.width(level)
        self.reduction = nn.Linear(2**config.dim * features, 2 * features, bias=False)
        self.norm = layer_norm(2 * features, conditional=config.use_conditioning)

    def forward(self, x: Tensor, time: Tensor | None) -> Tensor:
        grid = x.shape[1:-1]
        if any(n % 2 for n in grid):
            x = F.pad(x, [0, 0, *(amount for n in reversed(grid) for amount in (0, n % 2))])
        # Corners of a cell with the first axis running fastest.
        corners = (corner[::-1] for corner in itertools.product((0, 1), repeat=len(grid)))
        parts = [x[(slice(None), *(slice(start, None, 2) for start in corner))] for corner in corners]
        return self.norm(self.reduction(torch.cat(parts, dim=-1)), time)


class PatchUnmerging(nn.Module):
    """Twice the tokens along each axis, cropped to the finer level's grid, and half the features."""

    def __init__(self, config: ScOTConfig, level: int) -> None:
        super().__init__()
        features = config.width(level)
        self.dim = config.dim
        self.upsample = nn.Linear(features, 2 ** (config.dim - 1) * features, bias=False)
        self.mixup = nn.Linear(features // 2, features // 2, bias=False)
        self.norm = layer_norm(features // 2, conditional=config.use_conditioning)

    def forward(self, x: Tensor, time: Tensor | None, grid: tuple[int, ...]) -> Tensor:
        coarse, dim = x.shape[1:-1], self.dim
        x = self.upsample(x).reshape(len(x), *coarse, *(2,) * dim, -1)
        order = [axis for pair in zip(range(1, dim + 1), range(dim + 1, 2 * dim + 1)) for axis in pair]
        x = x.permute(0, *order, 2 * dim + 1).reshape(len(x), *(2 * n for n in coarse), -1)
        for axis, n in enumerate(grid, start=1):
            x = x.narrow(axis, 0, n)
        return self.mixup(self.norm(x, time))


class ConvNeXtBlock(nn.Module):
    """A depthwise convolution and two layers, scaled and added to the input.

    Z. Liu et al., "A ConvNet for the 2020s", CVPR 2022.
    """

    def __init__(self, config: ScOTConfig, level: int) -> None:
        super().__init__()
        features = config.width(level)
        self.dwconv = _CONVOLUTIONS[config.dim](
            features, features, 7, padding=3, groups=features, padding_mode=_padding_mode(config)
        )
        self.norm = _norm(config, features)
        self.pwconv1 = nn.Linear(features, 4 * features)
        self.pwconv2 = nn.Linear(4 * features, features)
        self.weight = nn.Parameter(torch.full((features,), 1e-6))

    def forward(self, x: Tensor, time: Tensor | None) -> Tensor:
        y = self.norm(self.dwconv(x.movedim(-1, 1)).movedim(1, -1), time)
        return torch.addcmul(x, self.pwconv2(F.gelu(self.pwconv1(y))), self.weight)


class ResNetBlock(nn.Module):
    """Two convolutions with batch norms, added to the input; the lead time is not seen."""

    def __init__(self, config: ScOTConfig, level: int) -> None:
        super().__init__()
        features, mode = config.width(level), _padding_mode(config)
        convolution = _CONVOLUTIONS[config.dim]
        self.conv1 = convolution(features, features, 3, padding=1, padding_mode=mode)
        self.conv2 = convolution(features, features, 3, padding=1, padding_mode=mode)
        self.bn1, self.bn2 = _BATCH_NORMS[config.dim](features), _BATCH_NORMS[config.dim](features)

    def forward(self, x: Tensor, time: Tensor | None) -> Tensor:
        y = self.bn1(self.conv1(x.movedim(-1, 1)))
        return x + self.bn2(self.conv2(F.leaky_relu(y))).movedim(1, -1)


class PatchRecovery(nn.Module):
    """The field from its tokens, and one convolution across the seams of the patches."""

    def __init__(self, config: ScOTConfig) -> None:
        super().__init__()
        outputs, patch = config.num_out_channels, config.patch_size
        self.projection = _TRANSPOSED[config.dim](config.embed_dim, outputs, patch, stride=patch)
        self.mixup = _CONVOLUTIONS[config.dim](
            outputs, outputs, 5, padding=2, bias=False, padding_mode=_padding_mode(config)
        )

    def forward(self, x: Tensor, size: tuple[int, ...]) -> Float[Tensor, "batch channel *space"]:
        y = self.projection(x.movedim(-1, 1))
        for axis, n in enumerate(size, start=2):
            y = y.narrow(axis, 0, n)
        return self.mixup(y)


def _norm(config: ScOTConfig, features: int) -> nn.Module:
    return layer_norm(features, conditional=config.use_conditioning, eps=config.layer_norm_eps)


def _padding_mode(config: ScOTConfig) -> Literal["zeros", "circular"]:
    return "circular" if config.periodic else "zeros"
