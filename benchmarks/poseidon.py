"""scOT beside the reference's hot path: forward, training step and peak memory of Poseidon-T and -B.

    OMP_NUM_THREADS=1 python benchmarks/poseidon.py [--sizes T B] [--batch 4] [--repeats 7]
    python benchmarks/poseidon.py --device cuda --batch 40 16 --dtype float32 tf32 bf16 --compiled T:bf16

The reference is our network with the modules of Hugging Face's Swin V2 that Poseidon's code is made of in place of our
attention (explicit softmax, the position bias computed in every block of every pass), its conditional norms as it
writes them, and its mask built in each call: same weights, same results, its operations. "Swin V2 blocks" are Hugging
Face's layers alone, at the same widths and grids, without embedding, resampling, skip blocks and recovery; ours beside
them. Needs ``pip install transformers``, 4 or 5. Candidates take turns, their processor time is taken; memory is that
of all tensors alive (tally.py), weights, gradients and input left out. Writes results/poseidon.{json,md}.

On CUDA the wall's time is taken, once the device has finished, and memory is the allocator's; results go to
poseidon_cuda. "float32" is without TF32, "tf32" with it in products and convolutions, "bf16" autocast, of all alike.
"compiled" is ``torch.compile`` of each attention block, whose programs blocks of one shape share, or with ``--whole``
of the whole network, which takes minutes; the first forward pass and training step, which compile, are reported beside.
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import torch
from tally import peak_bytes
from torch import Tensor, nn
from turns import add_arguments, add_device, allow_tf32, claim, clock_of, failure, file_name, save_rows, take_turns

from sciml.operators.poseidon.architecture import ScOTConfig
from sciml.operators.poseidon.attention import regions_apart
from sciml.operators.poseidon.blocks import TransformerBlock
from sciml.operators.poseidon.network import ScOT
from sciml.operators.poseidon.norm import ConditionalLayerNorm


@dataclass(frozen=True)
class Row:
    """A line of the table; milliseconds, and MiB beyond weights, gradients and input; None where not measured."""

    size: str
    candidate: str
    forward_ms: float
    training_ms: float
    forward_mib: float | None
    training_mib: float | None
    first_s: float
    batch: int
    dtype: str


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
        return _first(self.inner(x.flatten(0, 1), attention_mask=mask)).reshape(x.shape)


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

    def __init__(self, config: ScOTConfig, batch: int, device: torch.device) -> None:
        super().__init__()
        self.blocks, self.calls = nn.ModuleList(), []
        for level, depth in enumerate(config.depths):
            grid = tuple(n // config.patch_size // 2**level for n in config.size)
            window = tuple(min(config.window_size, n) for n in grid)
            shift = tuple(0 if n <= w else w // 2 for n, w in zip(grid, window))
            for place in range(2 * depth):
                self.blocks.append(TransformerBlock(config, level, 0.0))
                x, lead = torch.randn(batch, *grid, config.width(level)).to(device), torch.rand(batch).to(device)
                self.calls.append((x, lead, window, shift if place % 2 else (0, 0)))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return torch.stack([block(*call).abs().mean() for block, call in zip(self.blocks, self.calls)])


class TheirBlocks(nn.Module):
    """Hugging Face's Swin V2 layers at the same widths and grids."""

    def __init__(self, config: ScOTConfig, batch: int, device: torch.device) -> None:
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
                self.calls.append((torch.randn(batch, grid[0] * grid[1], config.width(level)).to(device), grid))

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        return torch.stack([_first(block(*call)).abs().mean() for block, call in zip(self.blocks, self.calls)])


def _first(outputs: Tensor | tuple[Tensor, ...]) -> Tensor:
    """The hidden states of what a module of Hugging Face returns, some versions alone and some in a tuple."""
    return outputs if isinstance(outputs, Tensor) else outputs[0]


CANDIDATES: dict[str, Callable[[ScOTConfig, int, torch.device], nn.Module]] = {
    "sciml": lambda config, batch, device: ScOT(config),
    "reference": lambda config, batch, device: reference(ScOT(config)),
    "sciml, attention blocks alone": OurBlocks,
    "Hugging Face Swin V2 blocks alone": TheirBlocks,
}
COMPILED = ("sciml", "reference")
PEERS = {
    "sciml": "reference",
    "sciml, compiled": "reference, compiled",
    "sciml, attention blocks alone": "Hugging Face Swin V2 blocks alone",
}


@dataclass(frozen=True)
class Case:
    """What all candidates of a part of the table share."""

    size: str
    batch: int
    dtype: str
    device: torch.device


@dataclass(frozen=True)
class Candidate:
    """A model and its input."""

    name: str
    model: nn.Module
    x: Tensor
    time: Tensor
    case: Case

    def precision(self) -> contextlib.AbstractContextManager[None]:
        return torch.autocast(self.case.device.type, torch.bfloat16, enabled=self.case.dtype == "bf16")

    @torch.no_grad()
    def forward(self) -> Tensor:
        if self.model.training:
            self.model.eval()
        with self.precision():
            return self.model(self.x, self.time)

    def train(self) -> None:
        if not self.model.training:
            self.model.train()
        self.model.zero_grad(set_to_none=False)
        with self.precision():
            loss = self.model(self.x, self.time).abs().mean()
        loss.backward()


def made(name: str, case: Case) -> Candidate:
    """A candidate, always of the same weights and input."""
    torch.manual_seed(0)
    config = ScOTConfig.preset(case.size)
    model = CANDIDATES[name](config, case.batch, case.device).to(case.device)
    torch.manual_seed(1)
    x, lead = torch.randn(case.batch, 4, *config.size), torch.rand(case.batch)
    return Candidate(name, model, x.to(case.device), lead.to(case.device), case)


def compiled(candidate: Candidate, whole: bool) -> Candidate:
    """The candidate, compiled by its first calls."""
    if whole:
        candidate.model.compile(dynamic=False)
    for module in [] if whole else candidate.model.modules():
        if isinstance(module, TransformerBlock):
            module.compile(dynamic=False)
    return replace(candidate, name=f"{candidate.name}, compiled")


def memory(what: Callable[[Candidate], object], candidate: Candidate) -> float | None:
    """MiB at most, beyond weights, gradients and input; None for compiled programs on a CPU, which are not counted."""
    if candidate.case.device.type == "cpu" and candidate.name.endswith("compiled"):
        return None
    for parameter in candidate.model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    return peak_bytes(lambda: what(candidate), candidate.case.device) / 2**20


def run_case(case: Case, args: argparse.Namespace) -> Iterator[Row]:
    """All candidates of one size and precision."""
    allow_tf32(case.dtype == "tf32")
    candidates = [made(name, case) for name in CANDIDATES]
    if {case.size, f"{case.size}:{case.dtype}"} & set(args.compiled):
        torch.compiler.reset()
        torch._dynamo.config.recompile_limit = 256  # one program for each shape, mode and mask of a block
        candidates += [compiled(made(name, case), args.whole) for name in COMPILED]
    ours, theirs = (candidate.forward().float() for candidate in candidates[:2])
    title = f"{case.size}, batch {case.batch}, {case.dtype}"
    print(f"{title}: the two networks differ by {float((ours - theirs).abs().max()):.1e}", flush=True)
    first_s = _first_calls(candidates, title)
    ready = [candidate for candidate in candidates if candidate.name in first_s]
    times = []
    for what in (Candidate.forward, Candidate.train):
        runs = [lambda c=candidate, what=what: what(c) for candidate in ready]
        for run in runs:
            run()  # into the right mode
        found = take_turns(runs, args.repeats, clock_of(case.device, time.process_time))
        times.append([statistics.median(ms) for ms in found])
    for candidate, forward_ms, training_ms in zip(ready, *times):
        mib = memory(Candidate.forward, candidate), memory(Candidate.train, candidate)
        first = first_s[candidate.name]
        yield Row(case.size, candidate.name, forward_ms, training_ms, *mib, first, case.batch, case.dtype)


def _first_calls(candidates: list[Candidate], title: str) -> dict[str, float]:
    """Seconds of the first forward pass and training step of each; one that fails says so, and is left out."""
    first_s = {}
    for candidate in candidates:
        clock = clock_of(candidate.case.device, time.perf_counter)
        begin = clock()
        try:
            candidate.forward()
            candidate.train()
        except Exception as reason:  # of a compiler, or out of memory
            failure(reason)
            continue
        first_s[candidate.name] = clock() - begin
        print(f"{title}: {candidate.name} ready after {first_s[candidate.name]:.1f} s", flush=True)
    return first_s


def main() -> None:
    args = _arguments()
    claim(args)
    batches = args.batch * len(args.sizes) if len(args.batch) == 1 else args.batch
    rows: list[Row] = []
    for size, batch in zip(args.sizes, batches):
        for dtype in args.dtype:
            rows += run_case(Case(size, batch, dtype, args.device), args)
            text = write(rows, args)  # a run that is stopped leaves what it has
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", default=["T", "B"])
    parser.add_argument("--batch", type=int, nargs="+", default=[4], help="one for all sizes, or one for each")
    parser.add_argument("--dtype", nargs="+", choices=("float32", "tf32", "bf16"), default=["float32"])
    parser.add_argument("--compiled", nargs="*", default=[], help="sizes to compile too, T, or T:bf16 in one dtype")
    parser.add_argument("--whole", action="store_true", help="compile networks as one program, not block by block")
    add_device(parser)
    add_arguments(parser)
    args = parser.parse_args()
    if len(args.batch) not in (1, len(args.sizes)):
        parser.error(f"Expected one --batch, or one for each of {len(args.sizes)} sizes, got {len(args.batch)}.")
    return args


def write(rows: list[Row], args: argparse.Namespace) -> str:
    """The rows as JSON and as a table, which is returned, with the ratios of each pair."""
    machine = save_rows("poseidon", rows, args)
    digits = 0 if args.device.type == "cpu" else 1
    columns = ("forward_ms", "training_ms", "forward_mib", "training_mib")
    lines = ["# Poseidon", "", f"`python benchmarks/poseidon.py`, {machine}.", ""]
    lines += ["| size, batch, dtype | | forward ms | training step ms | forward MiB | training MiB | first calls s |"]
    lines += ["|---" * 7 + "|"]
    for row in rows:
        group = (row.size, row.batch, row.dtype)
        peers = (r for r in rows if (r.size, r.batch, r.dtype) == group and r.candidate == PEERS.get(row.candidate))
        peer = next(peers, None)
        cells = [_cell(row, peer, name, digits) for name in columns]
        lines.append(f"| {', '.join(map(str, group))} | {row.candidate} | {' | '.join(cells)} | {row.first_s:.1f} |")
    (args.out / f"{file_name('poseidon', args.device)}.md").write_text("\n".join(lines) + "\n")
    return "\n".join(lines)


def _cell(row: Row, peer: Row | None, name: str, digits: int) -> str:
    """A number, and beside it how it compares with the peer's."""
    value, speed = getattr(row, name), name.endswith("ms")
    if value is None:
        return ""
    text = f"{value:.{digits if speed else 0}f}"
    theirs = None if peer is None else getattr(peer, name)
    return text if theirs is None else f"{text} ({_ratio(theirs, value, speed)})"


def _ratio(theirs: float, ours: float, speed: bool) -> str:
    return f"{theirs / ours:.2f}x faster" if speed else f"{ours / theirs:.2f}x"


if __name__ == "__main__":
    main()
