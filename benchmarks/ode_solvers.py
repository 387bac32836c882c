"""Adaptive ODE solvers on batched, neural and chaotic problems, beside torchdiffeq, torchode and diffrax in one run.

    OMP_NUM_THREADS=1 python benchmarks/ode_solvers.py [--only lorenz] [--repeats 5]

All candidates of a problem solve it from the same states at the same tolerances, interleaved, on the same cores. The
error is the largest one over all outputs against a solution at a tolerance of 1e-12 (1e-10 by SciPy's Radau for the
stiff one); of a training step it is that of the parameters' gradient. Where ours errs less than the peer it is held
against, it is run once more at a looser tolerance of its own, at which it still errs no more: times of equal work are
compared, and times of equal error. The first call, which compiles, is reported beside.
Writes results/ode_solvers.{json,md,png}.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from ode_peers import Candidate, builders, relative, scipy_radau
from ode_plot import draw
from ode_problems import Problem, lorenz, lotka_volterra, neural, robertson, van_der_pol
from torch import Tensor
from turns import add_arguments, claim_cores, save_rows, take_turns

from sciml.solvers import PIDController, RungeKutta, solve
from sciml.solvers.tableaus import VERN7

PROBLEMS: dict[str, Callable[[], Problem]] = {
    "vdp": van_der_pol,
    "neural": neural,
    "lorenz": lorenz,
    "lotka": lotka_volterra,
    "robertson": robertson,
}
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
    run: Callable[[], Tensor]


def main() -> None:
    args = _arguments()
    claim_cores(args.threads)
    rows: list[Row] = []
    for name in args.only or PROBLEMS:
        problem = PROBLEMS[name]()
        rows += run_task(problem, problem.name, lambda c: c.forward, args, _reference(problem))
        if problem.module is not None:
            task = f"{problem.name}, training step"
            rows += run_task(problem, task, lambda c: c.train, args, _reference_gradient(problem))
    write(rows, args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="*", choices=list(PROBLEMS), help="problems, all by default")
    parser.add_argument("--without", nargs="*", default=[], help="candidates to leave out, such as 'torchode compiled'")
    add_arguments(parser)
    return parser.parse_args()


def run_task(
    problem: Problem,
    task: str,
    choose: Callable[[Candidate], Callable[[], Tensor] | None],
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
            note = f"{type(reason).__name__}: {str(reason).splitlines()[0][:100]}"
            failed.append(Row(task, name, note=note))
            continue
        if found is not None:
            ready[name] = found
    for own, peer in MATCHED.items():
        if own in ready and peer in ready:
            ready |= _at_error_of(problem, own, ready[own].row, ready[peer].row, choose, reference)
    times = take_turns([found.run for found in ready.values()], args.repeats)
    timed = zip(ready.values(), times)
    return failed + [replace(found.row, best_ms=min(ms), median_ms=statistics.median(ms)) for found, ms in timed]


def _first_call(
    task: str, run: Callable[[], Tensor] | None, name: str, reference: Tensor, problem: Problem
) -> _Ready | None:
    """Call it, timed, and measure its error; None where the candidate has no such task."""
    if run is None:
        return None
    begin = time.perf_counter()
    result = run()
    row = Row(task, name, first_s=time.perf_counter() - begin, error=_error(result, reference, problem))
    print(f"{task}: {name} ready after {row.first_s:.1f} s", flush=True)
    return _Ready(row, run)


def _at_error_of(
    problem: Problem,
    own: str,
    row: Row,
    peer: Row,
    choose: Callable[[Candidate], Callable[[], Tensor] | None],
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
        kept = problem.ts <= problem.checked
        return relative(result[:, kept], reference[:, kept])
    return float((result.double() - reference).norm() / reference.norm())


def _reference(problem: Problem) -> Tensor:
    if problem.stiff:
        return scipy_radau(problem, rtol=1e-10).forward()
    field = problem.field if problem.module is None else _double(problem)
    controller = PIDController(1e-12, 1e-12)
    with torch.no_grad():
        return solve(RungeKutta(field, VERN7), problem.y0.double(), problem.ts.double(), controller).ys


def _reference_gradient(problem: Problem) -> Tensor:
    module = _double(problem)
    controller = PIDController(1e-11, 1e-11)
    ys = solve(RungeKutta(module, VERN7), problem.y0.double(), problem.ts.double(), controller).ys
    gradients = torch.autograd.grad(ys[:, -1].square().mean(), list(module.parameters()))
    return torch.cat([part.flatten() for part in gradients])


def _double(problem: Problem) -> torch.nn.Module:
    assert problem.module is not None
    copy = type(problem.module)()
    copy.load_state_dict(problem.module.state_dict())
    return copy.double()


def write(rows: list[Row], args: argparse.Namespace) -> None:
    """The rows as JSON and as a table for each task, with each candidate's ratio to torchdiffeq."""
    machine = save_rows("ode_solvers", rows, args)
    lines = ["# Adaptive ODE solvers", "", f"`python benchmarks/ode_solvers.py`, {machine}.", ""]
    for task in dict.fromkeys(row.task for row in rows):
        lines += table([row for row in rows if row.task == task])
    (args.out / "ode_solvers.md").write_text("\n".join(lines))
    draw(rows, args.out / "ode_solvers.png")
    print("\n".join(lines))


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
