"""scOT beside the reference's hot path: forward, training step and peak memory of Poseidon-T and -B.

    OMP_NUM_THREADS=1 python benchmarks/poseidon.py [--sizes T B] [--batch 4] [--repeats 7]

The reference is our network with the modules of Hugging Face's Swin V2 that Poseidon's code is made of in place of our
attention (explicit softmax, the position bias computed in every block of every pass), its conditional norms as it
writes them, and its mask built in each call: same weights, same results, its operations. "Swin V2 blocks" are Hugging
Face's layers alone, at the same widths and grids, without embedding, resampling, skip blocks and recovery; ours beside
them. Needs ``pip install transformers``. Candidates take turns, their processor time is taken; memory is that of all
tensors alive (tally.py), weights, gradients and input left out. Writes results/poseidon.{json,md}.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from tally import peak_bytes
from torch import Tensor, nn
from turns import add_arguments, claim_cores, save_rows, take_turns

from sciml.operators.poseidon.architecture import ScOTConfig
from sciml.operators.poseidon.attention import regions_apart
from sciml.operators.poseidon.blocks import TransformerBlock
from sciml.operators.poseidon.network import ScOT
from sciml.operators.poseidon.norm import ConditionalLayerNorm


@dataclass(frozen=True)
class Row:
    """A line of the table; milliseconds, and MiB beyond weights, gradients and input."""

    size: str
    candidate: str
    forward_ms: float
    training_ms: float
    forward_mib: float
    training_mib: float


class ReferenceAttention(nn.Module):
    """Hugging Face's Swin V2 self-attention, called as our projections are."""

    def __init__(self, config: ScOTConfig, level: int, window: tuple[int, ...]) -> None:
        super().__init__()
        from transformers import Swinv2Config
        from transformers.models.swinv2.modeling_swinv2 import Swinv2SelfAttention

        theirs = Swinv2Config(embed_dim=config.embed_dim, qkv_bias=config.qkv_bias, window_size=config.window_size)
        self.inner = Swinv2SelfAttention(theirs, config.width(level), config.num_heads[level], window[0])

    def forward(
        self, x: Tensor, window: tuple[int, ...], grid: tuple[int, ...] | None, shift: tuple[int, ...]
    ) -> Tensor:
        mask = None
        if grid is not None:
            mask = regions_apart(grid, window, shift, x.device).to(x.dtype) * -100.0
        return self.inner(x.flatten(0, 1), attention_mask=mask)[0].reshape(x.shape)


class ReferenceNorm(nn.Module):
    """The conditional norm in the reference's operations."""

    def __init__(self, norm: ConditionalLayerNorm) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        mean = x.mean(dim=-1, keepdim=True)
        variance = (x**2).mean(dim=-1, keepdim=True) - mean**2
        x = (x - mean) / (variance + self.eps).sqrt()
        shape = (-1, *(1,) * (x.dim() - 2), x.shape[-1])
        lead = time.reshape(-1, 1).type_as(x)
        return self.weight(lead).reshape(shape) * x + self.bias(lead).reshape(shape)


def reference(network: ScOT) -> ScOT:
    """The network with the reference's operations and the same weights."""
    config = network.config
    for stages, levels in ((network.encoder, range(4)), (network.decoder, reversed(range(4)))):
        for stage, level in zip(stages.layers, levels):
            window, _ = network._windows(tuple(n // config.patch_size for n in config.size), level)
            for block in stage.blocks:
                theirs = ReferenceAttention(config, level, window)
                theirs.inner.load_state_dict(block.attention.self.state_dict(), strict=False)
                block.attention.self = theirs
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, ConditionalLayerNorm):
                setattr(module, name, ReferenceNorm(child))
    return network


class OurBlocks(nn.Module):
    """The attention blocks of encoder and decoder, each on noise."""

    def __init__(self, config: ScOTConfig, batch: int) -> None:
        super().__init__()
        self.blocks, self.calls = nn.ModuleList(), []
        for level, depth in enumerate(config.depths):
            grid = tuple(n // config.patch_size // 2**level for n in config.size)
            window = tuple(min(config.window_size, n) for n in grid)
            shift = tuple(0 if n <= w else w // 2 for n, w in zip(grid, window))
            for place in range(2 * depth):
                self.blocks.append(TransformerBlock(config, level, 0.0))
                x = torch.randn(batch, *grid, config.width(level))
                self.calls.append((x, torch.rand(batch), window, shift if place % 2 else (0, 0)))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return torch.stack([block(*call).abs().mean() for block, call in zip(self.blocks, self.calls)])


class TheirBlocks(nn.Module):
    """Hugging Face's Swin V2 layers at the same widths and grids."""

    def __init__(self, config: ScOTConfig, batch: int) -> None:
        super().__init__()
        from transformers import Swinv2Config
        from transformers.models.swinv2.modeling_swinv2 import Swinv2Layer

        theirs = Swinv2Config(embed_dim=config.embed_dim, window_size=config.window_size, drop_path_rate=0.0)
        self.blocks, self.calls = nn.ModuleList(), []
        for level, (depth, heads) in enumerate(zip(config.depths, config.num_heads)):
            grid = tuple(n // config.patch_size // 2**level for n in config.size)
            shift = config.window_size // 2 if grid[0] > config.window_size else 0
            for place in range(2 * depth):
                layer = Swinv2Layer(theirs, config.width(level), grid, heads, shift_size=shift if place % 2 else 0)
                self.blocks.append(layer)
                self.calls.append((torch.randn(batch, grid[0] * grid[1], config.width(level)), grid))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        outputs = (block(*call) for block, call in zip(self.blocks, self.calls))
        return torch.stack([(y if isinstance(y, Tensor) else y[0]).abs().mean() for y in outputs])


CANDIDATES: dict[str, Callable[[ScOTConfig, int], nn.Module]] = {
    "sciml": lambda config, batch: ScOT(config),
    "reference": lambda config, batch: reference(ScOT(config)),
    "sciml, attention blocks alone": OurBlocks,
    "Hugging Face Swin V2 blocks alone": TheirBlocks,
}
PEERS = {"sciml": "reference", "sciml, attention blocks alone": "Hugging Face Swin V2 blocks alone"}


def made(name: str, size: str, batch: int) -> tuple[nn.Module, Tensor, Tensor]:
    """A candidate and its input."""
    torch.manual_seed(0)
    config = ScOTConfig.preset(size)
    return CANDIDATES[name](config, batch), torch.randn(batch, 4, *config.size), torch.rand(batch)


@torch.no_grad()
def forward(model: nn.Module, x: Tensor, time: Tensor) -> None:
    model.eval()
    model(x, time)


def train(model: nn.Module, x: Tensor, time: Tensor) -> None:
    model.train()
    model.zero_grad(set_to_none=False)
    model(x, time).abs().mean().backward()


def memory(what: Callable[[nn.Module, Tensor, Tensor], None], model: nn.Module, x: Tensor, time: Tensor) -> float:
    """MiB of tensors alive at most, beyond weights, gradients and input."""
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return peak_bytes(lambda: what(model, x, time), x.device) / 2**20


def run_size(size: str, args: argparse.Namespace) -> list[Row]:
    models = {name: made(name, size, args.batch) for name in CANDIDATES}
    ours, theirs = (models[name][0].eval() for name in ("sciml", "reference"))
    with torch.no_grad():
        apart = (ours(*models["sciml"][1:]) - theirs(*models["sciml"][1:])).abs().max()
    print(f"{size}: the two networks differ by {float(apart):.1e}", flush=True)
    times = {}
    for what in (forward, train):
        runs = [lambda m=m, what=what: what(*m) for m in models.values()]
        for run in runs:
            run()
        times[what] = [statistics.median(found) for found in take_turns(runs, args.repeats, time.process_time)]
    return [
        Row(size, name, times[forward][k], times[train][k], memory(forward, *model), memory(train, *model))
        for k, (name, model) in enumerate(models.items())
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["T", "B"])
    parser.add_argument("--batch", type=int, default=4)
    add_arguments(parser)
    args = parser.parse_args()
    claim_cores(args.threads)
    rows = [row for size in args.sizes for row in run_size(size, args)]
    machine = save_rows("poseidon", rows, args)
    lines = ["# Poseidon", "", f"`python benchmarks/poseidon.py`, {machine}, batch {args.batch}, float32.", ""]
    lines += ["| | | forward ms | training step ms | forward MiB | training MiB |", "|---|---|---|---|---|---|"]
    for row in rows:
        peer = next((r for r in rows if r.size == row.size and r.candidate == PEERS.get(row.candidate)), None)
        cells = []
        for name in ("forward_ms", "training_ms", "forward_mib", "training_mib"):
            value, kind = getattr(row, name), name.endswith("ms")
            beside = "" if peer is None else f" ({_ratio(getattr(peer, name), value, kind)})"
            cells.append(f"{value:.0f}{beside}")
        lines.append(f"| {row.size} | {row.candidate} | {' | '.join(cells)} |")
    (args.out / "poseidon.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))


def _ratio(theirs: float, ours: float, speed: bool) -> str:
    return f"{theirs / ours:.2f}x faster" if speed else f"{ours / theirs:.2f}x"


if __name__ == "__main__":
    main()
