"""scOT, the scalable operator transformer: a U-shaped Swin V2 transformer whose norms know the lead time.

M. Herde, B. Raonic, T. Rohner, R. Kaeppeli, R. Molinaro, E. de Bezenac, S. Mishra, "Poseidon: Efficient Foundation
Models for PDEs", NeurIPS 2024. Parameters have the names and shapes of the published weights.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from .architecture import ScOTConfig
from .blocks import (
    ConvNeXtBlock,
    PatchEmbedding,
    PatchMerging,
    PatchRecovery,
    PatchUnmerging,
    ResNetBlock,
    TransformerBlock,
)
from .spectral import resample


class ScOT(nn.Module):
    """From a normalised field and its lead time to the normalised prediction.

    A field of another size than ``config.size`` is resampled to it by its spectrum, and the prediction back, as in the
    reference: right for periodic fields alone. With ``native=True`` the network runs on the field's own grid instead,
    whatever its size: rectangular and odd grids are padded, and cropped again.

    Attributes:
        config: the architecture.
        native: whether fields of other sizes are left as they are.
        checkpointing: whether blocks are computed again in the backward pass instead of kept.
    """

    def __init__(self, config: ScOTConfig, *, native: bool = False) -> None:
        super().__init__()
        self.config, self.native, self.checkpointing = config, native, False
        self.embeddings = PatchEmbedding(config)
        self.encoder = _Levels(config, _Encoder)
        self.decoder = _Levels(config, _Decoder)
        block = ConvNeXtBlock if config.residual_model == "convnext" else ResNetBlock
        self.residual_blocks = nn.ModuleList(
            nn.ModuleList(block(config, level) for _ in range(config.skips(level)))
            for level in range(len(config.depths))
        )
        self.patch_recovery = PatchRecovery(config)
        self.apply(self._initialize)

    def forward(
        self,
        x: Float[Tensor, "batch channel *space"],
        time: Float[Tensor, "*lead"] | None = None,
    ) -> Float[Tensor, "batch outputs *space"]:
        """
        Args:
            x: the field.
            time: lead times, one or one for each sample; read with ``use_conditioning`` alone.

        Raises:
            ValueError: x has other channels or axes, or the lead time is missing.
        """
        self._check(x, time)
        lead = None if time is None or not self.config.use_conditioning else time.reshape(-1)
        size = tuple(x.shape[2:])
        inner = size if self.native else self.config.size
        if inner != size:
            x = resample(x, inner)
        y = self._transform(x, lead)
        if self.config.adds_input:
            y = y + x[:, : self.config.num_out_channels]
        return y if inner == size else resample(y, size)

    def _transform(self, x: Tensor, time: Tensor | None) -> Tensor:
        size = tuple(x.shape[2:])
        tokens = self.embeddings(x, time)
        finest = tuple(tokens.shape[1:-1])
        skips = []
        for level, stage in enumerate(self.encoder.layers):
            skip, tokens = stage(tokens, time, *self._windows(finest, level), self._run)
            skips.append(skip)
        for level, blocks in enumerate(self.residual_blocks):
            for block in blocks:  # type: ignore[attr-defined]
                skips[level] = self._run(block, skips[level], time)
        tokens = skips.pop()
        for level, stage in zip(reversed(range(len(skips) + 1)), self.decoder.layers):
            tokens = stage(tokens, time, *self._windows(finest, level), self._run, skips[-1] if skips else None)
            if skips:
                tokens = tokens + skips.pop()
        return self.patch_recovery(tokens, size)

    def _windows(self, finest: tuple[int, ...], level: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """A level's window and the shift of its odd blocks: none along an axis that one window spans."""
        grid = tuple(max(n // 2**level, 1) for n in finest)
        window = tuple(min(self.config.window_size, n) for n in grid)
        return window, tuple(0 if n <= w else w // 2 for n, w in zip(grid, window))

    def _run(self, block: nn.Module, *args: Any) -> Tensor:
        if self.checkpointing and torch.is_grad_enabled():
            return checkpoint(block, *args, use_reentrant=False)
        return block(*args)

    def _check(self, x: Tensor, time: Tensor | None) -> None:
        config = self.config
        if x.dim() != config.dim + 2 or x.shape[1] != config.num_channels:
            axes = ", ".join(("depth", "height", "width")[3 - config.dim :])
            raise ValueError(
                f"Expected a field of shape (batch, {config.num_channels}, {axes}), got {tuple(x.shape)}. "
                "For other variables: Poseidon.from_pretrained(..., channels=[...])."
            )
        if config.use_conditioning and time is None:
            raise ValueError("Expected the lead time of each sample, as the norms depend on it, got none.")
        if time is not None and time.numel() not in (1, len(x)):
            raise ValueError(f"Expected one lead time or {len(x)}, one for each sample, got {tuple(time.shape)}.")

    @torch.no_grad()
    def _initialize(self, module: nn.Module) -> None:
        """The reference's first weights; the recovery's projection keeps PyTorch's, as there."""
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd) and not isinstance(
            module, nn.modules.conv._ConvTransposeNd
        ):
            module.weight.normal_(std=self.config.initializer_range)
            if module.bias is not None:
                module.bias.zero_()


class _Levels(nn.Module):
    """The stages of the encoder or of the decoder."""

    def __init__(self, config: ScOTConfig, stage: type[nn.Module]) -> None:
        super().__init__()
        levels, total = range(len(config.depths)), 2 * sum(config.depths)
        rates = torch.linspace(0, config.drop_path_rate, total, device="cpu").tolist()
        if stage is _Decoder:
            levels, rates = levels[::-1], rates[total // 2 :]
        stages = []
        for level in levels:
            stages.append(stage(config, level, rates[: config.depths[level]]))
            rates = rates[config.depths[level] :]
        self.layers = nn.ModuleList(stages)


class _Encoder(nn.Module):
    """Blocks of a level, and the way to the next one."""

    def __init__(self, config: ScOTConfig, level: int, rates: list[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(config, level, rate) for rate in rates)
        if level < len(config.depths) - 1:
            self.downsample = PatchMerging(config, level)

    def forward(
        self, x: Tensor, time: Tensor | None, window: tuple[int, ...], shift: tuple[int, ...], run: Any
    ) -> tuple[Tensor, Tensor]:
        """The level's tokens, and those of the next."""
        y, still = x, (0,) * len(shift)
        for place, block in enumerate(self.blocks):
            y = run(block, y, time, window, shift if place % 2 else still)
        return y, self.downsample(y + x, time) if hasattr(self, "downsample") else y


class _Decoder(nn.Module):
    """Blocks of a level, shifted in the reverse order, and the way to the next finer one."""

    def __init__(self, config: ScOTConfig, level: int, rates: list[float]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(TransformerBlock(config, level, rate) for rate in rates)
        if level > 0:
            self.upsample = PatchUnmerging(config, level)

    def forward(
        self,
        x: Tensor,
        time: Tensor | None,
        window: tuple[int, ...],
        shift: tuple[int, ...],
        run: Any,
        finer: Tensor | None,
    ) -> Tensor:
        """The tokens of the next finer level, of the grid of ``finer``."""
        still = (0,) * len(shift)
        for place, block in enumerate(self.blocks):
            x = run(block, x, time, window, shift if (len(self.blocks) - 1 - place) % 2 else still)
        return x if finer is None else self.upsample(x, time, tuple(finer.shape[1:-1]))
