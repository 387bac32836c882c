"""SDE solvers on geometric Brownian motion and a neural SDE, beside torchsde and diffrax in one run.

    OMP_NUM_THREADS=1 python benchmarks/sde_solvers.py [--only gbm neural:65536] [--repeats 5] [--device cuda]

100 fixed steps of each candidate over [0, 1], interleaved, on the same cores; every call draws a new Brownian path.
"torchsde, defaults" is sdeint as called without a Brownian motion of one's own; "tuned" hands it one with ``dt`` and
``cache_size=None``, its fastest. The floor is a hand-written loop with one ``torch.randn`` a step. Errors are left out:
schemes of one name are one scheme, and tests/solvers measures ours. On CUDA the clock is read once the device has
finished, and float32 products are of float32. Writes results/sde_solvers.{json,md}, sde_solvers_cuda on CUDA.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from turns import add_arguments, add_device, claim, clock_of, failure, file_name, jax_on, save_rows, take_turns

from sciml.solvers import FixedStep, solve
from sciml.solvers.stochastic.brownian import BrownianPath
from sciml.solvers.stochastic.schemes.euler_heun import EULER_HEUN
from sciml.solvers.stochastic.schemes.heun import STOCHASTIC_HEUN
from sciml.solvers.stochastic.schemes.sri import SRIW1
from sciml.solvers.stochastic.sde import SDE, Calculus, Noise
from sciml.solvers.stochastic.sde_stepper import SDEStepper

STEPS = 100
DT = 1.0 / STEPS
BATCH = 1024
ON_A_GPU = ("gbm:1024", "gbm:65536", "neural:1024", "neural:16384", "training:16384")


class Geometric(nn.Module):
    """dy = 0.1 y dt + 0.3 y dW, with the names that torchsde looks for."""

    noise_type = "diagonal"

    def __init__(self, sde_type: str) -> None:
        super().__init__()
        self.sde_type = sde_type

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.1 * y

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.3 * y


class Neural(nn.Module):
    """Drift 32-64-32 tanh, diagonal diffusion a sigmoid of a linear layer."""

    noise_type = "diagonal"

    def __init__(self, sde_type: str) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.sde_type = sde_type
        self.drift = nn.Sequential(nn.Linear(32, 64), nn.Tanh(), nn.Linear(64, 32))
        self.scale = nn.Parameter(torch.zeros(32))

    def f(self, t: Tensor, y: Tensor) -> Tensor:
        return self.drift(y)

    def g(self, t: Tensor, y: Tensor) -> Tensor:
        return 0.3 * torch.sigmoid(self.scale * y)


@dataclass(frozen=True)
class Task:
    """A model, its initial states, and whether a backward pass is timed too."""

    name: str
    build: type[nn.Module]
    y0: Tensor
    training: bool = False

    def model(self, sde_type: str) -> nn.Module:
        """The model on the device of the states."""
        return self.build(sde_type).to(self.y0.device)


def gbm(batch: int, device: torch.device) -> Task:
    return Task(f"geometric Brownian motion, {batch} x 8", Geometric, torch.ones(batch, 8, device=device))


def neural(batch: int, device: torch.device) -> Task:
    return Task(f"neural SDE 32-64-32, {batch} samples", Neural, torch.zeros(batch, 32, device=device))


def training(batch: int, device: torch.device) -> Task:
    name = "neural SDE, training step" + (f", {batch} samples" if batch != BATCH else "")
    return Task(name, Neural, torch.zeros(batch, 32, device=device), training=True)


TASKS = {"gbm": gbm, "neural": neural, "training": training}


@dataclass(frozen=True)
class Row:
    """A line of the table; the first call compiles."""

    task: str
    candidate: str
    best_ms: float | None = None
    median_ms: float | None = None
    first_s: float | None = None
    note: str = ""


def ours(task: Task, scheme: Any, compiled: bool = False) -> Callable[[], Tensor]:
    calculus = Calculus.ITO if scheme is SRIW1 else Calculus.STRATONOVICH
    model = task.model(calculus.value.lower())
    sde = SDE(model.f, model.g, Noise.DIAGONAL, calculus)
    device = task.y0.device
    seeds, ts = itertools.count(), torch.tensor([0.0, 1.0], device=device)

    def end() -> Tensor:
        path = BrownianPath(next(seeds), tuple(task.y0.shape), cell=DT, device=device)
        return solve(SDEStepper(sde, path, scheme), task.y0, ts, FixedStep(DT), compiled=compiled).ys[:, -1]

    return _timed(task, model, end)


def floor(task: Task) -> Callable[[], Tensor]:
    model = task.model("stratonovich")

    def end() -> Tensor:
        y, t = task.y0, torch.zeros((), device=task.y0.device)
        for _ in range(STEPS):
            w = torch.randn_like(y) * DT**0.5
            g = model.g(t, y)
            y, t = y + model.f(t, y) * DT + 0.5 * (g + model.g(t, y + g * w)) * w, t + DT
        return y

    return _timed(task, model, end)


def torchsde(task: Task, method: str, tuned: bool) -> Callable[[], Tensor]:
    import torchsde as ts

    model = task.model("ito" if method == "srk" else "stratonovich")
    area = {"levy_area_approximation": "space-time"} if method == "srk" else {}
    device = task.y0.device
    times = torch.tensor([0.0, 1.0], device=device)

    def end() -> Tensor:
        bm = None
        if tuned:
            size = tuple(task.y0.shape)
            bm = ts.BrownianInterval(0.0, 1.0, size=size, device=device, dt=DT, cache_size=None, **area)
        return ts.sdeint(model, task.y0, times, bm=bm, method=method, dt=DT)[-1]

    return _timed(task, model, end)


def diffrax(task: Task, path: str) -> Callable[[], Any]:
    import diffrax as dx
    import jax
    import jax.numpy as jnp

    jax_on(task.y0.device)
    model = task.model("stratonovich")
    weights = [jnp.asarray(p.detach().cpu().numpy()) for p in model.parameters()]
    shape, start = task.y0.shape, jnp.asarray(task.y0.cpu().numpy())

    def fields(parameters: Any) -> tuple[Callable[..., Any], Callable[..., Any]]:
        if not parameters:
            return (lambda t, y, a: 0.1 * y), (lambda t, y, a: 0.3 * y)
        scale, w1, b1, w2, b2 = parameters
        return (
            lambda t, y, a: jnp.tanh(y @ w1.T + b1) @ w2.T + b2,
            lambda t, y, a: 0.3 * jax.nn.sigmoid(scale * y),
        )

    def end(parameters: Any, key: Any) -> Any:
        drift, diffusion = fields(parameters)
        noise: Any = (
            dx.UnsafeBrownianPath(shape=shape, key=key)
            if path == "unsafe"
            else dx.VirtualBrownianTree(0.0, 1.0, tol=DT / 2, shape=shape, key=key)
        )
        if hasattr(dx, "WeaklyDiagonalControlTerm"):  # deprecated since diffrax 0.7
            control = dx.WeaklyDiagonalControlTerm(diffusion, noise)
        else:
            diagonal = importlib.import_module("lineax").DiagonalLinearOperator
            control = dx.ControlTerm(lambda t, y, a: diagonal(diffusion(t, y, a)), noise)
        terms = dx.MultiTerm(dx.ODETerm(drift), control)
        adjoint = dx.DirectAdjoint() if path == "unsafe" else dx.RecursiveCheckpointAdjoint()
        return dx.diffeqsolve(terms, dx.EulerHeun(), 0.0, 1.0, DT, start, adjoint=adjoint).ys[-1]

    forward = jax.jit(end)
    gradient = jax.jit(jax.grad(lambda parameters, key: jnp.mean(end(parameters, key) ** 2)))
    keys = (jax.random.PRNGKey(k) for k in itertools.count())

    def run() -> Any:
        return jax.block_until_ready((gradient if task.training else forward)(weights, next(keys)))

    return run


def _timed(task: Task, model: nn.Module, end: Callable[[], Tensor]) -> Callable[[], Tensor]:
    if not task.training:
        return torch.no_grad()(end)
    return lambda: torch.autograd.grad(end().square().mean(), list(model.parameters()))[0]


def candidates(task: Task) -> Iterator[tuple[str, Callable[[], Callable[[], Any]]]]:
    yield "hand-written Euler-Heun loop", lambda: floor(task)
    for scheme in (EULER_HEUN, STOCHASTIC_HEUN, SRIW1):
        yield f"sciml {scheme.name}", lambda scheme=scheme: ours(task, scheme)
    yield "sciml EULER_HEUN compiled", lambda: ours(task, EULER_HEUN, compiled=True)
    for method in ("euler_heun", "heun", "srk"):
        yield f"torchsde {method}, tuned", lambda method=method: torchsde(task, method, tuned=True)
    yield "torchsde euler_heun, defaults", lambda: torchsde(task, "euler_heun", tuned=False)
    yield "diffrax EulerHeun jit, VirtualBrownianTree", lambda: diffrax(task, "tree")
    yield "diffrax EulerHeun jit, UnsafeBrownianPath", lambda: diffrax(task, "unsafe")


def main() -> None:
    args = _arguments()
    claim(args)
    rows: list[Row] = []
    for text in args.only or (TASKS if args.device.type == "cpu" else ON_A_GPU):
        name, _, batch = text.partition(":")
        rows += run_task(TASKS[name](int(batch or BATCH), args.device), args)
        text = write(rows, args)  # a run that is stopped leaves what it has
    print(text)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = f"{', '.join(TASKS)}; with a number of samples of your own: gbm:65536"
    parser.add_argument("--only", nargs="*", type=_checked, help=f"tasks, all by default: {names}")
    parser.add_argument("--without", nargs="*", default=[], help="candidates to leave out, such as 'sciml SRIW1'")
    add_device(parser)
    add_arguments(parser)
    return parser.parse_args()


def _checked(text: str) -> str:
    """The name of a task.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    name, colon, batch = text.partition(":")
    if name not in TASKS or (colon and not batch.isdecimal()):
        raise argparse.ArgumentTypeError(f"Expected one of {', '.join(TASKS)}, or such as gbm:65536, got {text}.")
    return text


def run_task(task: Task, args: argparse.Namespace) -> list[Row]:
    """All candidates on one task: a first call each, then the repetitions, one candidate after the other."""
    rows, ready = [], []
    clock = clock_of(args.device, time.perf_counter)
    for name, build in candidates(task):
        if name in args.without:
            continue
        try:
            run = build()
            begin = clock()
            run()
            first_s = clock() - begin
        except Exception as reason:  # a peer that fails is a row that says so
            rows.append(Row(task.name, name, note=failure(reason)))
            continue
        ready.append((Row(task.name, name, first_s=first_s), run))
        print(f"{task.name}: {name} ready after {first_s:.1f} s", flush=True)
    times = take_turns([run for _, run in ready], args.repeats, clock)
    measured = zip(ready, times)
    return rows + [replace(row, best_ms=min(t), median_ms=statistics.median(t)) for (row, _), t in measured]


def write(rows: list[Row], args: argparse.Namespace) -> str:
    """The rows as JSON and as a table for each task; the tables."""
    machine = save_rows("sde_solvers", rows, args)
    lines = ["# SDE solvers", "", f"`python benchmarks/sde_solvers.py`, {machine}.", ""]
    for task in dict.fromkeys(row.task for row in rows):
        mine = sorted((row for row in rows if row.task == task), key=lambda row: row.best_ms or float("inf"))
        base = next((row.best_ms for row in mine if row.candidate == "torchsde euler_heun, tuned"), None)
        lines += [
            f"## {task}",
            "",
            "| | best ms | median ms | torchsde tuned / this | first call s |",
            "|---|---|---|---|---|",
        ]
        for row in mine:
            if row.best_ms is None:
                lines.append(f"| {row.candidate} | | | | {row.note} |")
                continue
            ratio = "" if base is None else f"{base / row.best_ms:.2f}"
            cells = f"{row.best_ms:.1f} | {row.median_ms:.1f} | {ratio} | {row.first_s:.1f}"
            lines.append(f"| {row.candidate} | {cells} |")
        lines.append("")
    (args.out / f"{file_name('sde_solvers', args.device)}.md").write_text("\n".join(lines))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
