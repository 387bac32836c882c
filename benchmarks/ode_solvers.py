"""Adaptive ODE solvers on batched, neural and chaotic problems, beside torchdiffeq, torchode and diffrax in one run.

    OMP_NUM_THREADS=1 python benchmarks/ode_solvers.py [--only lorenz vdp:1024] [--repeats 5] [--device cuda]

All candidates of a problem solve it from the same states at the same tolerances, interleaved, on the same cores. The
error is the largest one over all outputs against a solution at a tolerance of 1e-12 (1e-10 by SciPy's Radau for the
stiff one); of a training step it is that of the parameters' gradient. Where ours errs less than the peer it is held
against, it is run once more at a looser tolerance of its own, at which it still errs no more: times of equal work are
compared, and times of equal error. The first call, which compiles, is reported beside. Copying results into torch's
tensors is not timed; on CUDA the clock is read once the device has finished, and float32 products are of float32.
Writes results/ode_solvers.{json,md,png}, ode_solvers_cuda on CUDA.
"""

from __future__ import annotations

import argparse
import inspect
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import torch
from ode_peers import Candidate, as_tensor, builders, relative, scipy_radau
from ode_plot import draw
from ode_problems import Problem, lorenz, lotka_volterra, neural, robertson, van_der_pol
from torch import Tensor
from turns import add_arguments, add_device, claim, clock_of, failure, file_name, save_rows, take_turns

from sciml.solvers import PIDController, RungeKutta, solve
from sciml.solvers.tableaus import VERN7

PROBLEMS: dict[str, Callable[..., Problem]] = {
    "vdp": van_der_pol,
    "neural": neural,
    "lorenz": lorenz,
    "lotka": lotka_volterra,
    "robertson": robertson,
}
ON_A_GPU = ("vdp:256", "vdp:65536", "neural:256", "neural:16384")
CHUNK = 4096  # samples whose steps are kept at once for the exact gradient
MATCHED = {"ours vern7": "torchdiffeq", "ours joint": "diffrax joint"}  # ours, and whose error it may come up to


@dataclass(frozen=True)
class Row:
    """A line of the table."""

    task: str
    candidate: str
    best_ms: float | None = None
    median_ms: float | None = None
    error: float | None = None
    first_s: float | None = None
    note: str = ""


class _Ready(NamedTuple):
    """A candidate that has been called once, and has what is known of it by then."""

    row: Row
    run: Callable[[], Any]


def main() -> None:
    args = _arguments()
    claim(args)
    rows: list[Row] = []
    for name in args.only or (PROBLEMS if args.device.type == "cpu" else ON_A_GPU):
        problem = _problem(name).to(args.device)
        rows += run_task(problem, problem.name, lambda c: c.forward, args, _reference(problem))
        if problem.module is not None:
            task = f"{problem.name}, training step"
            rows += run_task(problem, task, lambda c: c.train, args, _reference_gradient(problem))
        text = write(rows, args)  # a run that is stopped leaves what it has
    print(text)
    draw(rows, args.out / f"{file_name('ode_solvers', args.device)}.png")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = f"{', '.join(PROBLEMS)}; with a number of samples of your own: vdp:1024"
    parser.add_argument("--only", nargs="*", type=_checked, help=f"problems, all by default: {names}")
    parser.add_argument("--without", nargs="*", default=[], help="candidates to leave out, such as 'torchode compiled'")
    add_device(parser)
    add_arguments(parser)
    return parser.parse_args()


def _checked(text: str) -> str:
    """The name of a problem.

    Raises:
        argparse.ArgumentTypeError: it is none.
    """
    name, colon, batch = text.partition(":")
    if name not in PROBLEMS:
        raise argparse.ArgumentTypeError(f"Expected one of {', '.join(PROBLEMS)}, got {text}.")
    if colon and not (batch.isdecimal() and inspect.signature(PROBLEMS[name]).parameters):
        raise argparse.ArgumentTypeError(f"Expected a number of samples, of a problem of several, got {text}.")
    return text


def _problem(text: str) -> Problem:
    name, _, batch = text.partition(":")
    return PROBLEMS[name](*([int(batch)] if batch else []))


def run_task(
    problem: Problem,
    task: str,
    choose: Callable[[Candidate], Callable[[], Any] | None],
    args: argparse.Namespace,
    reference: Tensor,
) -> list[Row]:
    """All candidates on one task: a first call each, then the repetitions, one candidate after the other."""
    ready: dict[str, _Ready] = {}
    failed: list[Row] = []
    for name, build in builders(problem).items():
        if name in args.without:
            continue
        try:
            found = _first_call(task, choose(candidate := build()), candidate.name, reference, problem)
        except Exception as reason:  # a peer that fails is a row that says so
            failed.append(Row(task, name, note=failure(reason)))
            continue
        if found is not None:
            ready[name] = found
    for own, peer in MATCHED.items():
        if own in ready and peer in ready:
            ready |= _at_error_of(problem, own, ready[own].row, ready[peer].row, choose, reference)
    clock = clock_of(args.device, time.perf_counter)
    times = take_turns([found.run for found in ready.values()], args.repeats, clock)
    timed = zip(ready.values(), times)
    return failed + [replace(found.row, best_ms=min(ms), median_ms=statistics.median(ms)) for found, ms in timed]


def _first_call(
    task: str, run: Callable[[], Any] | None, name: str, reference: Tensor, problem: Problem
) -> _Ready | None:
    """Call it, timed, and measure its error; None where the candidate has no such task."""
    if run is None:
        return None
    clock = clock_of(problem.y0.device, time.perf_counter)
    begin = clock()
    result = run()
    row = Row(task, name, first_s=clock() - begin, error=_error(as_tensor(result), reference, problem))
    print(f"{task}: {name} ready after {row.first_s:.1f} s", flush=True)
    return _Ready(row, run)


def _at_error_of(
    problem: Problem,
    own: str,
    row: Row,
    peer: Row,
    choose: Callable[[Candidate], Callable[[], Any] | None],
    reference: Tensor,
) -> dict[str, _Ready]:
    """Our candidate at the loosest of some tolerances at which it errs no more than the peer."""
    assert row.error is not None and peer.error is not None
    factors = [factor for factor in (100, 30, 10, 3) if factor <= 2 * peer.error / row.error]
    for factor in factors:
        looser = replace(problem, rtol=factor * problem.rtol, atol=factor * problem.atol)
        candidate = builders(looser)[own]()
        name = f"{candidate.name}, tolerance {looser.rtol:.0e}"
        found = _first_call(row.task, choose(candidate), name, reference, problem)
        if found is not None and found.row.error is not None and found.row.error <= peer.error:
            return {name: found}
    return {}


def _error(result: Tensor, reference: Tensor, problem: Problem) -> float:
    if result.dim() == 3:
        kept = problem.ts.cpu() <= problem.checked
        return relative(result[:, kept], reference[:, kept])
    return float((result.double() - reference).norm() / reference.norm())


def _reference(problem: Problem) -> Tensor:
    if problem.stiff:
        return scipy_radau(problem, rtol=1e-10).forward()
    field = problem.field if problem.module is None else _double(problem)
    controller = PIDController(1e-12, 1e-12)
    with torch.no_grad():
        return solve(RungeKutta(field, VERN7), problem.y0.double(), problem.ts.double(), controller).ys.cpu()


def _reference_gradient(problem: Problem) -> Tensor:
    """The sum of those of some samples at a time, which have steps of their own."""
    module = _double(problem)
    controller = PIDController(1e-11, 1e-11)
    for y0 in problem.y0.double().split(CHUNK):
        ys = solve(RungeKutta(module, VERN7), y0, problem.ts.double(), controller).ys
        (ys[:, -1].square().sum() / problem.y0.numel()).backward()
    return torch.cat([parameter.grad.flatten() for parameter in module.parameters()]).cpu()


def _double(problem: Problem) -> torch.nn.Module:
    assert problem.module is not None
    copy = type(problem.module)()
    copy.load_state_dict(problem.module.state_dict())
    return copy.to(problem.y0.device).double()


def write(rows: list[Row], args: argparse.Namespace) -> str:
    """The rows as JSON and as a table for each task, with each candidate's ratio to torchdiffeq; the tables."""
    machine = save_rows("ode_solvers", rows, args)
    lines = ["# Adaptive ODE solvers", "", f"`python benchmarks/ode_solvers.py`, {machine}.", ""]
    for task in dict.fromkeys(row.task for row in rows):
        lines += table([row for row in rows if row.task == task])
    (args.out / f"{file_name('ode_solvers', args.device)}.md").write_text("\n".join(lines))
    return "\n".join(lines)


def table(rows: list[Row]) -> list[str]:
    """A task's lines of Markdown."""
    base = next((row.best_ms for row in rows if row.candidate == "torchdiffeq dopri5"), None)
    lines = [f"## {rows[0].task}", "", "| | best ms | median ms | torchdiffeq / this | error | first call s |"]
    lines.append("|---|---|---|---|---|---|")
    for row in sorted(rows, key=lambda row: row.best_ms or float("inf")):
        if row.best_ms is None:
            lines.append(f"| {row.candidate} | | | | | {row.note} |")
            continue
        ratio = "" if base is None else f"{base / row.best_ms:.2f}"
        cells = f"{row.best_ms:.1f} | {row.median_ms:.1f} | {ratio} | {row.error:.1e} | {row.first_s:.1f}"
        lines.append(f"| {row.candidate} | {cells} |")
    return [*lines, ""]


if __name__ == "__main__":
    main()
