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


def add_device(parser: argparse.ArgumentParser) -> None:
    """The option of the benchmarks that run on a GPU too."""
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"), help="cpu (default) or cuda")


def claim(args: argparse.Namespace) -> None:
    """Make torch, and jax where it is imported later, use the device that was asked for, at full float32 precision.

    On a GPU processor cores are left alone: they compile and launch, and whoever has more of them is no faster.

    Raises:
        SystemExit: there is no such device.
    """
    if args.device.type == "cpu":
        os.environ.setdefault("JAX_PLATFORMS", "cpu")  # or jax takes the GPU of a machine that has one
        claim_cores(args.threads)
        return
    if not torch.cuda.is_available():
        raise SystemExit(f"--device {args.device}: torch {torch.__version__} finds no GPU.")
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # jax would take most of the memory at once
    torch.set_num_threads(args.threads)
    allow_tf32(False)


def allow_tf32(allowed: bool) -> None:
    """Whether float32 products and convolutions on a GPU may round their factors to ten bits of mantissa."""
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


def jax_on(device: torch.device) -> None:
    """Make jax compute as torch does: on that device, float32 products in float32.

    Raises:
        RuntimeError: it has no GPU where torch has one.
    """
    import jax

    if device.type == "cuda":
        if jax.default_backend() != "gpu":
            raise RuntimeError(f"jax computes on {jax.default_backend()} here")
        jax.config.update("jax_default_matmul_precision", "highest")


def clock_of(device: torch.device, otherwise: Callable[[], float]) -> Callable[[], float]:
    """Seconds: on CUDA the wall's, once the device has finished."""
    if device.type != "cuda":
        return otherwise

    def now() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    return now


def file_name(name: str, device: torch.device) -> str:
    """What the results of a benchmark are called, without an ending."""
    return name if device.type == "cpu" else f"{name}_{device.type}"


def failure(reason: Exception) -> str:
    """The note of a candidate that raised, also printed: what kind of error, and its first line."""
    note = f"{type(reason).__name__}: {(str(reason).splitlines() or [''])[0][:100]}"
    print(f"left out: {note}", flush=True)
    return note


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
    machine: dict[str, Any] = {
        "processor": platform.processor() or platform.machine(),
        "threads": args.threads,
        "torch": torch.__version__,
        "repeats": args.repeats,
    }
    if args.device.type == "cuda":
        machine["device"] = torch.cuda.get_device_name(args.device)
    text = json.dumps({"machine": machine, "rows": [asdict(row) for row in rows]}, indent=1)
    (args.out / f"{file_name(name, args.device)}.json").write_text(text + "\n")
    return machine
