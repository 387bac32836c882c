"""Decaying two-dimensional turbulence: milliseconds per step and error, beside exponax and torch-cfd in one run.

    OMP_NUM_THREADS=2 python benchmarks/navier_stokes.py

All candidates step the same batch from the same state over the same times, interleaved, on the same cores. The error is
relative to a float64 solution of twice the points and a quarter of the step, so that no candidate is its own reference.
exponax and torch-cfd hand spectral coefficients or fields from step to step as they like best; ours returns the field
of every step. Writes results/navier_stokes.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from turns import add_arguments, claim_cores, take_turns

from sciml.solvers.equations.navier_stokes import NavierStokes
from sciml.solvers.exponential import ETDRK2, ETDRK4, IFRK4, ExponentialRungeKutta, ExponentialTableau
from sciml.solvers.initial import gaussian_random_field

VISCOSITY = 1e-3


@dataclass(frozen=True)
class Candidate:
    """A solver: ``run(steps)`` steps the batch from its initial state and returns the final vorticity."""

    name: str
    evaluations: int
    run: Callable[[int], Tensor]


@dataclass(frozen=True)
class Row:
    """A line of the table; times are None for a peer that is not installed."""

    name: str
    evaluations: int | None = None
    best_ms: float | None = None
    median_ms: float | None = None
    error: float | None = None
    note: str = ""


def main() -> None:
    args = _arguments()
    claim_cores(args.threads)
    _keep_xla_to_one_thread(args.threads)
    y0 = initial_vorticity(args.batch, args.size).to(getattr(torch, args.dtype))
    candidates, missing = build_candidates(y0, args.dt)
    reference = reference_solution(y0[: args.checked], args.dt, args.steps)
    times, finals = measure(candidates, args.steps, args.repeats)
    rows = [
        Row(
            c.name,
            c.evaluations,
            min(times[c.name]),
            statistics.median(times[c.name]),
            error(finals[c.name], reference),
        )
        for c in candidates
    ]
    write(rows + missing, args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="points of each axis")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--dt", type=float, default=2.5e-3)
    add_arguments(parser)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--checked", type=int, default=2, help="samples whose error is measured")
    parser.set_defaults(threads=2)
    return parser.parse_args()


def _keep_xla_to_one_thread(count: int) -> None:
    if count == 1:
        single = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {single}".strip()


def initial_vorticity(batch: int, size: int) -> Tensor:
    """Random vortices of a few per side, so smooth that all masks of the candidates resolve them."""
    generator = torch.Generator().manual_seed(0)
    return 5 * gaussian_random_field(
        batch, (size, size), spectrum=lambda k: torch.exp(-((k / 20) ** 2)), generator=generator, dtype=torch.float64
    )


def build_candidates(y0: Tensor, dt: float) -> tuple[list[Candidate], list[Row]]:
    """What can be run here, and a row for each peer that cannot."""
    found, missing = [ours(y0, dt, tableau) for tableau in (ETDRK2, ETDRK4, IFRK4)], []
    peers: list[tuple[str, Callable[[], Candidate]]] = [
        ("exponax ETDRK2", lambda: exponax_candidate(y0, dt, 2)),
        ("exponax ETDRK4", lambda: exponax_candidate(y0, dt, 4)),
        ("torch-cfd RK4-CN", lambda: torch_cfd_candidate(y0, dt)),
    ]
    for name, build in peers:
        try:
            found.append(build())
        except ImportError as reason:
            missing.append(Row(name, note=f"not installed: {reason}"))
    return found, missing


def ours(y0: Tensor, dt: float, tableau: ExponentialTableau) -> Candidate:
    stepper = ExponentialRungeKutta(NavierStokes(VISCOSITY), tableau)
    t, length = torch.zeros(len(y0), dtype=torch.float64), torch.full((len(y0),), dt, dtype=torch.float64)

    @torch.no_grad()
    def run(steps: int) -> Tensor:
        y, reuse = y0, stepper.start(t, y0)
        for index in range(steps):
            step = stepper(t + index * dt, length, y, reuse)
            y, reuse = step.y, step.reuse
        return y

    return Candidate(f"sciml {tableau.name}", len(tableau.nodes), run)


def exponax_candidate(y0: Tensor, dt: float, order: int) -> Candidate:
    import exponax
    import jax

    jax.config.update("jax_enable_x64", y0.dtype == torch.float64)
    # exponax derives the velocity of the opposite rotation; the scale of -1 turns it.
    stepper = exponax.stepper.NavierStokesVorticity(
        2, 1.0, y0.shape[-1], dt, diffusivity=VISCOSITY, order=order, vorticity_convection_scale=-1.0
    )
    advance = jax.jit(jax.vmap(stepper))
    start = jax.numpy.asarray(y0.numpy())

    def run(steps: int) -> Tensor:
        y = start
        for _ in range(steps):
            y = advance(y)
        return torch.tensor(jax.device_get(y))

    return Candidate(f"exponax ETDRK{order}", order, run)


def torch_cfd_candidate(y0: Tensor, dt: float) -> Candidate:
    from torch_cfd.grids import Grid
    from torch_cfd.spectral import NavierStokes2DSpectral, RK4CrankNicolsonStepper

    # torch-cfd takes the precision of its wave numbers and weights from the default.
    torch.set_default_dtype(y0.dtype)
    try:
        scheme = RK4CrankNicolsonStepper()
        grid = Grid(shape=tuple(y0.shape[-2:]), domain=((0.0, 1.0), (0.0, 1.0)))
        equation = NavierStokes2DSpectral(viscosity=VISCOSITY, grid=grid, step_fn=scheme)
    finally:
        torch.set_default_dtype(torch.float32)

    @torch.no_grad()
    def run(steps: int) -> Tensor:
        coefficients = torch.fft.rfft2(y0[:, 0])
        for _ in range(steps):
            coefficients = scheme(coefficients, dt, equation)
        return torch.fft.irfft2(coefficients)[:, None]

    return Candidate("torch-cfd RK4-CN", 5, run)


def reference_solution(y0: Tensor, dt: float, steps: int) -> Tensor:
    """The float64 solution at twice the points and a quarter of the step, at the points of ``y0``."""
    size = y0.shape[-1]
    spectrum = torch.fft.fftshift(torch.fft.fft2(y0.double(), norm="forward"), dim=(-2, -1))
    padded = torch.nn.functional.pad(spectrum, (size // 2, size - size // 2) * 2)
    fine = torch.fft.ifft2(torch.fft.ifftshift(padded, dim=(-2, -1)), norm="forward").real
    return ours(fine, dt / 4, ETDRK4).run(4 * steps)[..., ::2, ::2]


def measure(candidates: list[Candidate], steps: int, repeats: int) -> tuple[dict[str, list[float]], dict[str, Tensor]]:
    """Milliseconds per step of each repetition, one candidate after the other within each, and the final states."""
    finals = {candidate.name: candidate.run(steps) for candidate in candidates}  # compiles and warms up
    runs = [partial(candidate.run, steps) for candidate in candidates]
    times = zip(candidates, take_turns(runs, repeats))
    return {candidate.name: [found / steps for found in each] for candidate, each in times}, finals


def error(final: Tensor, reference: Tensor) -> float:
    return float((final[: len(reference)].double() - reference).norm() / reference.norm())


def write(rows: list[Row], args: argparse.Namespace) -> None:
    """Print the table and write it with the machine it was measured on."""
    base = next(row.median_ms for row in rows if row.name == "sciml ETDRK4")
    assert base is not None
    lines = [
        f"{args.size}^2, {args.dtype}, batch {args.batch}, {args.threads} threads, dt {args.dt}, {args.steps} steps, "
        f"{args.repeats} interleaved repetitions; ratio of medians to sciml ETDRK4.",
        "",
        "| solver | evaluations | best ms/step | median ms/step | ratio | rel. error |",
        "|---|---|---|---|---|---|",
    ]
    lines += [_line(row, base) for row in rows]
    print("\n".join(lines))
    args.out.mkdir(parents=True, exist_ok=True)
    settings = {
        key: str(value) if isinstance(value, Path) else value for key, value in vars(args).items() if key != "out"
    }
    record = {
        "settings": settings | {"viscosity": VISCOSITY},
        "machine": {"processor": platform.processor(), "cores": os.cpu_count(), "torch": torch.__version__},
        "environment": {key: value for key, value in os.environ.items() if key.startswith(("OMP_", "MALLOC_", "XLA_"))},
        "rows": [asdict(row) for row in rows],
    }
    (args.out / "navier_stokes.json").write_text(json.dumps(record, indent=2) + "\n")
    (args.out / "navier_stokes.md").write_text("\n".join(lines) + "\n")


def _line(row: Row, base: float) -> str:
    if row.median_ms is None:
        return f"| {row.name} | | | | | {row.note} |"
    return (
        f"| {row.name} | {row.evaluations} | {row.best_ms:.2f} | {row.median_ms:.2f} | {row.median_ms / base:.2f} "
        f"| {row.error:.1e} |"
    )


if __name__ == "__main__":
    main()
