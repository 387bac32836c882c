"""U-Net: convolutions on ever coarser grids and back, with skips between grids of the same size.

Ronneberger, Fischer, Brox, "U-Net: Convolutional Networks for Biomedical Image Segmentation", 2015; with the residual
blocks and group norms that later work on PDEs added (Gupta, Brandstetter, "Towards Multi-spatiotemporal-scale
Generalized PDE Modeling", 2022), and the time step scaling and shifting the features of every block (Perez et al.,
"FiLM: Visual Reasoning with a General Conditioning Layer", 2018).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from sciml.normalization import Normalization
from sciml.solvers.stepper import Step

from .physical import (
    ChannelLike,
    advance,
    channel_dicts,
    check_field,
    dynamic_channels,
    parse_channels,
)

_PAD_MODES = {"periodic": "circular", "zeros": "constant", "reflect": "reflect", "replicate": "replicate"}
_CONVOLUTIONS = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_POOLS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}


class UNet(nn.Module):
    """A U-Net as a stepper on fields over a regular grid.

    Periodic, on a grid of a multiple of 2^depth points, it commutes with shifts by multiples of 2^depth points. A grid
    of another size is padded to one, half before and half after, and the result cropped.

    Args:
        channels: of the state, as ``Channel``, name or dict; static ones are inputs only.
        dim: axes of space, 1, 2 or 3.
        width: features on the finest grid; doubled on every coarser one.
        depth: how many times the grid is halved.
        padding: what lies past the boundary, "periodic", "zeros", "reflect" or "replicate"; one for all axes or one
            for each.
        residual: predict the increment over dt (default), or the state after dt itself.

    Raises:
        ValueError: an argument is out of its range.
    """

    def __init__(
        self,
        channels: Sequence[ChannelLike],
        *,
        dim: int = 2,
        width: int = 16,
        depth: int = 3,
        padding: str | Sequence[str] = "periodic",
        residual: bool = True,
    ) -> None:
        super().__init__()
        if dim not in _CONVOLUTIONS:
            raise ValueError(f"Expected dim 1, 2 or 3, got {dim}.")
        if width < 1 or depth < 0:
            raise ValueError(f"Expected width >= 1 and depth >= 0, got {width} and {depth}.")
        self.channels = parse_channels(channels)
        self.dim, self.depth, self.residual = dim, depth, residual
        self.padding = _parse_padding(padding, dim)
        self.config: dict[str, Any] = {
            "channels": channel_dicts(self.channels),
            "dim": dim,
            "width": width,
            "depth": depth,
            "padding": list(self.padding),
            "residual": residual,
        }
        self.normalization = Normalization(len(self.channels))
        outputs = len(dynamic_channels(self.channels))
        self.network = _Network(len(self.channels), outputs, width=width, depth=depth, padding=self.padding)

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], u: Float[Tensor, "batch channel *space"]
    ) -> Step:
        """The state after dt, in the units of ``u``. The dynamics are taken as autonomous: t is not read.

        Raises:
            ValueError: u has other axes or channels, or a grid too small to be halved ``depth`` times.
        """
        check_field(u, dt, self.channels, self.dim)
        self._check_size(u.shape[2:])
        y = advance(
            self.network, dt, u, channels=self.channels, normalization=self.normalization, residual=self.residual
        )
        return Step(y=y)

    def _check_size(self, size: torch.Size) -> None:
        """The coarsest grid needs a point; two along an axis of mirrored padding."""
        for n, padding in zip(size, self.padding):
            least = 2**self.depth + (padding == "reflect")
            if n < least:
                raise ValueError(
                    f"Expected at least {least} points along every axis for depth={self.depth} and "
                    f"padding={padding!r}, got {tuple(size)}. Give a smaller depth."
                )


class _Network(nn.Module):
    """From normalised fields and relative time steps to normalised increments."""

    def __init__(self, inputs: int, outputs: int, *, width: int, depth: int, padding: tuple[str, ...]) -> None:
        super().__init__()
        dim, condition = len(padding), 4 * width
        self.padding, self.factor, self.pool = padding, 2**depth, _POOLS[len(padding)]
        widths = [width * 2**level for level in range(depth + 1)]
        self.embed = nn.Sequential(nn.Linear(1, condition), nn.SiLU(), nn.Linear(condition, condition), nn.SiLU())
        self.lift = _Convolution(inputs, width, padding)
        before = [width, *widths[:-1]]
        self.encoder = nn.ModuleList(_Block(a, b, condition, padding) for a, b in zip(before[:-1], widths[:-1]))
        self.bottom = _Block(before[-1], widths[-1], condition, padding)
        self.decoder = nn.ModuleList(
            _Block(coarse + fine, fine, condition, padding)
            for coarse, fine in zip(reversed(widths[1:]), reversed(widths[:-1]))
        )
        self.norm = _group_norm(width)
        self.head = _CONVOLUTIONS[dim](width, outputs, 1)
        with torch.no_grad():  # start near persistence, yet not so near that the first gradients vanish
            self.head.weight.mul_(0.1)

    def forward(self, u: Tensor, lead: Tensor) -> Tensor:
        dtype = self.head.weight.dtype
        size = u.shape[2:]
        missing = [-n % self.factor for n in size]
        x = self.lift(_pad(u.to(dtype), [m // 2 for m in missing], [m - m // 2 for m in missing], self.padding))
        condition = self.embed(lead.to(dtype)[:, None])
        skips = []
        for block in self.encoder:
            skips.append(block(x, condition))
            x = self.pool(skips[-1], 2)
        x = self.bottom(x, condition)
        for block in self.decoder:
            x = block(torch.cat([F.interpolate(x, scale_factor=2.0, mode="nearest"), skips.pop()], dim=1), condition)
        output = self.head(F.silu(self.norm(x)))
        for axis, (n, m) in enumerate(zip(size, missing), start=2):
            output = output.narrow(axis, m // 2, n)
        return output


class _Block(nn.Module):
    """Two convolutions beside a skip; the condition scales and shifts the features between them."""

    def __init__(self, inputs: int, outputs: int, condition: int, padding: tuple[str, ...]) -> None:
        super().__init__()
        self.norm_in, self.norm_out = _group_norm(inputs), _group_norm(outputs)
        self.conv_in = _Convolution(inputs, outputs, padding)
        self.conv_out = _Convolution(outputs, outputs, padding)
        self.film = nn.Linear(condition, 2 * outputs)
        self.skip = nn.Identity() if inputs == outputs else _CONVOLUTIONS[len(padding)](inputs, outputs, 1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        h = self.norm_out(self.conv_in(F.silu(self.norm_in(x))))
        film = self.film(condition)
        scale, shift = film.reshape(*film.shape, *([1] * (x.dim() - 2))).chunk(2, dim=1)
        return self.skip(x) + self.conv_out(F.silu(h * (1 + scale) + shift))


class _Convolution(nn.Module):
    """Three points wide, onto the same grid, with a padding for each axis."""

    def __init__(self, inputs: int, outputs: int, padding: tuple[str, ...]) -> None:
        super().__init__()
        self.padding = padding
        self.conv = _CONVOLUTIONS[len(padding)](inputs, outputs, 3)

    def forward(self, x: Tensor) -> Tensor:
        ones = [1] * len(self.padding)
        return self.conv(_pad(x, ones, ones, self.padding))


def _group_norm(features: int) -> nn.GroupNorm:
    return nn.GroupNorm(math.gcd(features, 4), features)


def _pad(x: Tensor, before: Sequence[int], after: Sequence[int], padding: tuple[str, ...]) -> Tensor:
    """Each axis by its own padding; axes of the same padding at once."""
    if not any(before) and not any(after):
        return x
    for mode in dict.fromkeys(padding):
        widths: list[int] = []
        for low, high, own in reversed(list(zip(before, after, padding))):
            widths += [low, high] if own == mode else [0, 0]
        x = F.pad(x, widths, mode=_PAD_MODES[mode])
    return x


def _parse_padding(padding: str | Sequence[str], dim: int) -> tuple[str, ...]:
    modes = (padding,) * dim if isinstance(padding, str) else tuple(padding)
    if len(modes) != dim or any(mode not in _PAD_MODES for mode in modes):
        raise ValueError(f"Expected padding from {list(_PAD_MODES)}, one or {dim} of them, got {padding!r}.")
    return modes
