"""Gauss-Seidel sweeps a second, beside pyamg's compiled ones.

    OMP_NUM_THREADS=1 python -m benchmarks.linear.sweeps [--repeats 7]

The Laplacian on a square: as a stencil of constant and of variable coefficients, and as sparse rows, as pyamg's is.
Natural order, one thread, candidates taking turns; the least of the repetitions. Writes sweeps.json and sweeps.md to
results/linear.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.turns import take_turns
from sciml.kernels.linear.rows import Rows
from sciml.kernels.linear.stencil import Stencil, nearest_offsets
from sciml.kernels.linear.sweeps import sweep
from sciml.solvers.linear import nodal_laplacian

RESULTS = Path(__file__).parent.parent / "results" / "linear"
SIZES = {100: 200, 1000: 5}
"""Unknowns along a side, and sweeps to a call."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, default=RESULTS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    rows = [row for m in SIZES for dtype in (torch.float64, torch.float32) for row in measure(m, dtype, args.repeats)]
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "sweeps.json").write_text(json.dumps(rows, indent=1) + "\n")
    (args.out / "sweeps.md").write_text(to_table(rows))
    print(to_table(rows))


def measure(m: int, dtype: torch.dtype, repeats: int) -> list[dict[str, Any]]:
    """Microseconds a sweep of each candidate."""
    runs = candidates(m, dtype, SIZES[m])
    for run in runs.values():
        run()
    times = take_turns(list(runs.values()), repeats)
    kind = str(dtype).removeprefix("torch.")
    return [
        {"side": m, "dtype": kind, "candidate": name, "microseconds": 1e3 * min(own) / SIZES[m]}
        for name, own in zip(runs, times)
    ]


def candidates(m: int, dtype: torch.dtype, times: int) -> dict[str, Callable[[], Any]]:
    """Calls of so many sweeps each."""
    import pyamg
    from pyamg.relaxation.relaxation import gauss_seidel

    constant = nodal_laplacian((m, m), dtype=dtype)
    values, diagonal = constant.values.expand(1, 4, m, m).clone(), constant.diagonal.expand(1, m, m).clone()
    variable = Stencil((m, m), nearest_offsets(2), values, diagonal)
    rows = Rows.from_couplings(constant.couplings())
    b, omega = torch.randn(1, m, m, dtype=dtype), torch.ones(1, dtype=torch.float64)
    x = torch.zeros_like(b)
    real = np.float64 if dtype == torch.float64 else np.float32
    csr, right, y = pyamg.gallery.poisson((m, m), format="csr").astype(real), b.flatten().numpy(), np.zeros(m * m, real)
    return {
        "pyamg": lambda: gauss_seidel(csr, y, right, iterations=times),
        "stencil, constant": lambda: sweep(constant, b, x, omega, times=times),
        "stencil, variable": lambda: sweep(variable, b, x, omega, times=times),
        "rows": lambda: sweep(rows, b.flatten(1), x.flatten(1), omega, times=times),
    }


def to_table(rows: list[dict[str, Any]]) -> str:
    """Markdown: microseconds a sweep, and in brackets how many times faster than pyamg."""
    cases = list(dict.fromkeys((row["side"], row["dtype"]) for row in rows))
    found = {(row["side"], row["dtype"], row["candidate"]): row["microseconds"] for row in rows}
    lines = [
        "# Gauss-Seidel sweeps",
        "",
        "`python -m benchmarks.linear.sweeps`: microseconds a sweep, and how many times faster than pyamg.",
        "",
        "| | " + " | ".join(f"{side}^2, {dtype}" for side, dtype in cases) + " |",
        "|---|" + "---|" * len(cases),
    ]
    for name in dict.fromkeys(row["candidate"] for row in rows):
        cells = [f"{found[*case, name]:.3g} ({found[*case, 'pyamg'] / found[*case, name]:.2f}x)" for case in cases]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
