"""What the solver benchmarks share: candidates taking turns on claimed cores, and their rows on disk."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of every such benchmark."""
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")


def claim_cores(threads: int) -> None:
    """Bind this process to as many cores as threads, before XLA sizes its thread pool by them."""
    torch.set_num_threads(threads)
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:threads])


def take_turns(
    runs: Sequence[Callable[[], Any]], repeats: int, clock: Callable[[], float] = time.perf_counter
) -> list[list[float]]:
    """Milliseconds of each repetition of each run, one after the other within each repetition."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(repeats):
        for run, found in zip(runs, times):
            begin = clock()
            run()
            found.append((clock() - begin) * 1e3)
    return times


def save_rows(name: str, rows: Sequence[Any], args: argparse.Namespace) -> dict[str, Any]:
    """Write ``name``.json with the rows and what they were measured on, which is returned."""
    args.out.mkdir(parents=True, exist_ok=True)
    machine = {
        "processor": platform.processor() or platform.machine(),
        "threads": args.threads,
        "torch": torch.__version__,
        "repeats": args.repeats,
    }
    text = json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1)
    (args.out / f"{name}.json").write_text(text + "\n")
    return machine
