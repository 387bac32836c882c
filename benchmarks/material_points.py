"""MLS-MPM: points stepped per second, beside Taichi and Warp in one run.

    OMP_NUM_THREADS=1 python benchmarks/material_points.py [--points 20000 100000] [--device cuda]

A cube of an elastic material falls in the unit box, in 2D (4 points a cell) and 3D (8), float32. All simulate the same
scene step by step, in turns on the same cores; ours goes through ``solve`` with ``FixedStep``, as a user's does. A peer
whose points are not where ours are after the timed steps is left out. Writes results/material_points.{json,md},
material_points_cuda on CUDA.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from material_point_peers import Scene, Simulation, taichi_simulation
from turns import add_arguments, add_device, claim, clock_of, failure, file_name, save_rows, take_turns

from sciml.solvers.controller import FixedStep
from sciml.solvers.material_point import FixedCorotated, MaterialPointMethod, NeoHookean, Solid, material_points
from sciml.solvers.solve import solve

YOUNG, POISSON, DENSITY = 1e5, 0.3, 1000.0
STEPS = 50


@dataclass(frozen=True)
class Row:
    """A line of the table; ``rate`` is millions of points stepped per second, None for one that did not run."""

    dim: int
    points: int
    law: str
    name: str
    rate: float | None = None
    median_rate: float | None = None
    difference: float | None = None
    note: str = ""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    add_device(parser)
    parser.add_argument("--points", type=int, nargs="+", default=[20_000, 100_000])
    parser.add_argument("--dims", type=int, nargs="+", choices=(2, 3), default=[2, 3])
    args = parser.parse_args()
    claim(args)
    rows: list[Row] = []
    for dim, points, law in itertools.product(args.dims, args.points, ("corotated", "neo-hookean")):
        rows += compare(falling_cube(dim, points, law), args)
        table = to_table(rows, save_rows("material_points", rows, args))
        (args.out / f"{file_name('material_points', args.device)}.md").write_text(table)
    print(table)


def falling_cube(dim: int, points: int, law: str) -> Scene:
    """A cube of side 0.4 in the middle of the box."""
    along = round(points ** (1 / dim))
    spacing = 0.4 / along
    axes = [0.3 + spacing * (np.arange(along) + 0.5)] * dim
    position = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, dim).astype(np.float32)
    mu, la = YOUNG / (2 * (1 + POISSON)), YOUNG * POISSON / ((1 + POISSON) * (1 - 2 * POISSON))
    cells = round(1 / (2 * spacing))
    sound = ((la + 2 * mu) / DENSITY) ** 0.5
    return Scene(position, cells, spacing**dim, DENSITY, mu, la, law, dt=0.3 / cells / sound)


def our_simulation(scene: Scene, device: torch.device) -> Simulation:
    """Through ``solve``."""
    elasticity = (FixedCorotated if scene.law == "corotated" else NeoHookean)(YOUNG, POISSON)
    method = MaterialPointMethod(
        Solid(elasticity, density=scene.density),
        spacing=1 / scene.cells,
        shape=(scene.cells,) * scene.dim,
        volume=scene.volume,
        gravity=[0.0, -9.8, 0.0][: scene.dim],
    ).to(device)
    if device.type == "cuda":
        method.compile()
    state = [material_points(torch.tensor(scene.position, device=device)[None])]

    @torch.no_grad()
    def step(steps: int) -> None:
        ts = torch.tensor([0.0, steps * scene.dt], dtype=torch.float64)
        state[0] = solve(method, state[0], ts, FixedStep(scene.dt)).y_end

    return Simulation(step, lambda: state[0]["position"][0].cpu().numpy())


def compare(scene: Scene, args: argparse.Namespace) -> list[Row]:
    """All candidates on one scene."""
    simulations, rows = {}, []
    for name, build in _candidates(args).items():
        try:
            simulation = build(scene)
            simulation.step(STEPS)  # compiles
            simulations[name] = simulation
        except Exception as reason:
            rows.append(Row(scene.dim, len(scene.position), scene.law, name, note=failure(reason)))
    runs: list[Callable[[], None]] = [lambda one=one: one.step(STEPS) for one in simulations.values()]
    times = take_turns(runs, args.repeats, clock_of(args.device, time.perf_counter))
    ours = simulations["sciml"].position()
    for (name, simulation), found in zip(simulations.items(), times):
        difference = float(np.abs(simulation.position() - ours).max())
        if difference > 1e-4:
            rows.append(
                Row(scene.dim, len(ours), scene.law, name, difference=difference, note="computes something else")
            )
            continue
        work = STEPS * len(ours) / 1e3
        rows.append(
            Row(scene.dim, len(ours), scene.law, name, work / min(found), work / statistics.median(found), difference)
        )
    return rows


def _candidates(args: argparse.Namespace) -> dict[str, Callable[[Scene], Simulation]]:
    def warp(scene: Scene) -> Simulation:
        from material_point_warp import warp_simulation

        return warp_simulation(scene, args.device.type)

    return {
        "sciml": lambda scene: our_simulation(scene, args.device),
        "taichi": lambda scene: taichi_simulation(scene, args.threads, args.device.type),
        "warp": warp,
    }


def to_table(rows: list[Row], machine: dict[str, object]) -> str:
    """Markdown."""
    lines = [
        "# MLS-MPM beside Taichi and Warp",
        "",
        f"`python benchmarks/material_points.py --threads {machine['threads']}`, torch {machine['torch']}, float32, "
        f"{machine.get('device', 'CPU')}, "
        f"best of {machine['repeats']} turns of {STEPS} steps. Millions of points stepped per second, how much faster "
        "sciml is.",
        "",
        "| scene | points | " + " | ".join(("sciml", "taichi", "warp", "over taichi", "over warp")) + " |",
        "|---|---|" + "---|" * 5,
    ]
    scenes = list(dict.fromkeys((row.dim, row.points, row.law) for row in rows))
    for dim, points, law in scenes:
        rates = {row.name: row.rate for row in rows if (row.dim, row.points, row.law) == (dim, points, law)}
        ours = rates.get("sciml")
        cells = [f"{rates[name]:.1f}" if rates.get(name) else "-" for name in ("sciml", "taichi", "warp")]
        cells += [f"{ours / rates[name]:.2f}x" if ours and rates.get(name) else "-" for name in ("taichi", "warp")]  # type: ignore[operator]
        lines.append(f"| {dim}D {law} | {points:,} | " + " | ".join(cells) + " |")
    notes = {f"{row.name}: {row.note}" for row in rows if row.note}
    return "\n".join([*lines, "", *sorted(notes), ""]) if notes else "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
