"""Memory and time of a gradient against the number of steps: every adjoint of `solve`, torchdiffeq and diffrax.

    OMP_NUM_THREADS=1 python benchmarks/adjoint_memory.py [--steps 16 64 256] [--repeats 3] [--device cuda]

The gradient of the parameters of a neural ODE 64-128-64, batch 256, float32, over equal steps of the midpoint rule,
which all packages have: the same evaluations in the forward pass of each. `ReversibleAdjoint` needs a scheme that can
be undone, here Reversible(midpoint) of twice the evaluations.

Memory is the most that one forward and backward pass holds at a time beyond what is there before. The process's own
size is no measure of that: allocators keep what they have got, and small passes drown in it. On the CPU the bytes of
all tensors alive are counted at each operation (tally.py), which is exact and repeats to the byte; on CUDA the
allocator counts. diffrax runs as one compiled program, whose buffers the compiler lays out beforehand: its number is
that of temporaries and outputs in XLA's own analysis; it is left out on CUDA.

Time is the processor's (on CUDA the clock's), least of the repetitions, all candidates taking turns. The error is that
of the float32 gradient against the one of `Direct` in float64 over the same steps of the same scheme: exact adjoints
show rounding, the others the discretisation too. Writes results/adjoint_memory.{json,md,png}, adjoint_memory_cuda on
CUDA.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from adjoint_memory_plot import draw
from tally import peak_bytes
from torch import Tensor, nn
from turns import add_arguments, add_device, claim, clock_of, file_name, save_rows, take_turns

from sciml.solvers import FixedStep, RungeKutta, solve
from sciml.solvers.adjoint.backsolve import Backsolve
from sciml.solvers.adjoint.checkpoint import RecursiveCheckpoint
from sciml.solvers.adjoint.direct import Direct
from sciml.solvers.adjoint.interpolated import Interpolated
from sciml.solvers.adjoint.reversible import ReversibleAdjoint
from sciml.solvers.reversible import Reversible
from sciml.solvers.tableaus import MIDPOINT

DIMENSION, WIDTH, BATCH = 64, 128, 256
SETTING = f"neural ODE {DIMENSION}-{WIDTH}-{DIMENSION}, batch {BATCH}, float32, midpoint rule"
END = 1.0
STEPS = (16, 32, 64, 128, 256, 512, 1024)
ADJOINTS = {
    "Direct": Direct,
    "RecursiveCheckpoint()": RecursiveCheckpoint,
    "RecursiveCheckpoint(16)": lambda: RecursiveCheckpoint(16),
    "RecursiveCheckpoint(4)": lambda: RecursiveCheckpoint(4),
    "ReversibleAdjoint": ReversibleAdjoint,
    "Backsolve": Backsolve,
    "Interpolated": Interpolated,
}


@dataclass(frozen=True)
class Row:
    """A point of a line: one candidate at one number of steps."""

    candidate: str
    steps: int
    peak_bytes: int
    milliseconds: float
    error: float


@dataclass(frozen=True)
class Candidate:
    """Something that computes the gradient.

    Attributes:
        name: as the table shows it.
        gradient: of the parameters, flat.
        scheme: whose float64 gradient it is measured against.
        memory: bytes that its compiled program needs, None where they are to be counted.
    """

    name: str
    gradient: Callable[[], Tensor]
    scheme: str = "midpoint"
    memory: int | None = None


class Field(nn.Module):
    """An autonomous vector field of one hidden layer, of a size that states turn over a few times."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Linear(DIMENSION, WIDTH), nn.Linear(WIDTH, DIMENSION)
        generator = torch.Generator().manual_seed(0)
        for layer in (self.into, self.out):
            nn.init.normal_(layer.weight, std=1.5 / layer.in_features**0.5, generator=generator)
            nn.init.normal_(layer.bias, std=0.1, generator=generator)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.out(torch.tanh(self.into(y)))


def main() -> None:
    args = _arguments()
    claim(args)
    rows: list[Row] = []
    for steps in args.steps:
        rows += measured(steps, args)
        text = report(rows, args)  # a run that is stopped leaves what it has
    print(text)
    draw(rows, args.out / f"{file_name('adjoint_memory', args.device)}.png", SETTING)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, nargs="*", default=STEPS)
    add_device(parser)
    add_arguments(parser)
    parser.set_defaults(repeats=2)
    return parser.parse_args()


def measured(steps: int, args: argparse.Namespace) -> list[Row]:
    """All candidates at one number of steps."""
    exact = {scheme: ours(Direct(), steps, args.device, scheme, torch.float64)() for scheme in ("midpoint", "undone")}
    ready, errors, peaks = [], [], []
    for candidate in candidates(steps, args.device):
        errors.append(_relative(candidate.gradient(), exact[candidate.scheme]))  # a first call, which warms up
        peaks.append(candidate.memory or peak_bytes(candidate.gradient, args.device))
        ready.append(candidate)
    clock = clock_of(args.device, time.process_time)
    times = take_turns([candidate.gradient for candidate in ready], args.repeats, clock)
    print(f"{steps} steps: done", flush=True)
    found = zip(ready, peaks, times, errors)
    return [Row(candidate.name, steps, peak, min(t), error) for candidate, peak, t, error in found]


def candidates(steps: int, device: torch.device) -> Iterator[Candidate]:
    """Every adjoint and every peer that is installed."""
    for name, build in ADJOINTS.items():
        scheme = "undone" if build is ReversibleAdjoint else "midpoint"
        yield Candidate(name, ours(build(), steps, device, scheme), scheme)
    for build in (torchdiffeq, diffrax):
        try:
            yield from build(steps, device)
        except ImportError as reason:
            print(f"left out: {reason}")


def start(device: torch.device, dtype: torch.dtype = torch.float32) -> tuple[Field, Tensor]:
    """The field and the initial states, the same for everyone."""
    y0 = torch.randn(BATCH, DIMENSION, generator=torch.Generator().manual_seed(1))
    return Field().to(device, dtype), y0.to(device, dtype)


def ours(
    adjoint: Any, steps: int, device: torch.device, scheme: str = "midpoint", dtype: torch.dtype = torch.float32
) -> Callable[[], Tensor]:
    field, y0 = start(device, dtype)
    stepper: Any = RungeKutta(field, MIDPOINT)
    stepper = Reversible(stepper) if scheme == "undone" else stepper
    ts = torch.tensor([0.0, END], dtype=torch.float64, device=device)
    return _gradient(field, lambda: solve(stepper, y0, ts, FixedStep(END / steps), adjoint=adjoint).ys[:, -1])


def torchdiffeq(steps: int, device: torch.device) -> Iterator[Candidate]:
    from torchdiffeq import odeint, odeint_adjoint

    field, y0 = start(device)
    ts, options = torch.tensor([0.0, END], device=device), {"step_size": END / steps}
    for integrate in (odeint, odeint_adjoint):

        def end(integrate: Any = integrate) -> Tensor:
            return integrate(field, y0, ts, method="midpoint", options=options)[-1]

        yield Candidate(f"torchdiffeq {integrate.__name__}", _gradient(field, end))


def diffrax(steps: int, device: torch.device) -> Iterator[Candidate]:
    """``RecursiveCheckpointAdjoint`` with as many checkpoints as it chooses by itself for so many steps."""
    if device.type != "cpu":
        return
    import diffrax as dx
    import jax
    import jax.numpy as jnp

    field, y0 = start(device)
    weights = tuple(jnp.asarray(parameter.detach().numpy()) for parameter in field.parameters())
    begin = jnp.asarray(y0.numpy())

    def slope(t: Any, y: Any, args: Any) -> Any:
        w1, b1, w2, b2 = args
        return jnp.tanh(y @ w1.T + b1) @ w2.T + b2

    def loss(args: Any) -> Any:
        term, adjoint = dx.ODETerm(slope), dx.RecursiveCheckpointAdjoint()
        found = dx.diffeqsolve(
            term, dx.Midpoint(), 0.0, END, END / steps, begin, args, adjoint=adjoint, max_steps=steps
        )
        return jnp.mean(found.ys[-1] ** 2)

    program = jax.jit(jax.grad(loss)).lower(weights).compile()
    needs = program.memory_analysis()

    def gradient() -> Tensor:
        return torch.cat([torch.tensor(jax.device_get(part)).flatten() for part in program(weights)])

    memory = needs.temp_size_in_bytes + needs.output_size_in_bytes
    yield Candidate("diffrax RecursiveCheckpointAdjoint, jit", gradient, memory=memory)


def _gradient(field: nn.Module, end: Callable[[], Tensor]) -> Callable[[], Tensor]:
    """The gradient of the mean square of the end states."""

    def run() -> Tensor:
        gradients = torch.autograd.grad(end().square().mean(), list(field.parameters()))
        return torch.cat([part.flatten() for part in gradients])

    return run


def _relative(found: Tensor, exact: Tensor) -> float:
    return float((found.double() - exact).norm() / exact.norm())


def report(rows: list[Row], args: argparse.Namespace) -> str:
    """The rows as JSON and as three tables, which are returned."""
    name = file_name("adjoint_memory", args.device)
    machine = save_rows("adjoint_memory", rows, args)
    device = machine.get("device", args.device.type)
    where = f"{device}, {machine['threads']} thread, torch {machine['torch']}, least of {args.repeats}"
    lines = ["# Memory and time of adjoints", "", f"`python benchmarks/adjoint_memory.py`: {where}.", ""]
    lines += [f"A {SETTING}; see the script.", "", f"![]({name}.png)", ""]
    lines += table("Peak memory, MiB", rows, lambda row: f"{row.peak_bytes / 2**20:.2f}")
    lines += table("Time, ms", rows, lambda row: f"{row.milliseconds:.0f}")
    lines += table("Relative error of the gradient", rows, lambda row: f"{row.error:.0e}")
    (args.out / f"{name}.md").write_text("\n".join(lines))
    return "\n".join(lines)


def table(title: str, rows: Sequence[Row], cell: Callable[[Row], str]) -> list[str]:
    """One line for each candidate, one column for each number of steps."""
    steps = sorted({row.steps for row in rows})
    lines = [f"## {title}", "", "| steps | " + " | ".join(map(str, steps)) + " |", "|---" * (len(steps) + 1) + "|"]
    for name in dict.fromkeys(row.candidate for row in rows):
        cells = [cell(row) for row in sorted(rows, key=lambda row: row.steps) if row.candidate == name]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
