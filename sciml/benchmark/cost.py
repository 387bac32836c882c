"""What a run costs: memory and time."""

from __future__ import annotations

import platform
import statistics
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

import sciml


class PeakMemory:
    """Context manager that measures the most memory in use, in bytes: on the GPU the device's, on a CPU the process's.

    The process's resident size is sampled 20 times a second (Linux; 0 elsewhere), because the system's own high-water
    mark cannot be reset between runs.
    """

    def __init__(self, device: torch.device) -> None:
        self.device, self.bytes = device, 0
        self._done = threading.Event()
        self._sampler = threading.Thread(target=self._sample, daemon=True)

    def __enter__(self) -> PeakMemory:
        if self.device.type == "cuda":
            torch.cuda.init()  # which resetting does not do by itself for a device with a number
            torch.cuda.reset_peak_memory_stats(self.device)
        else:
            self._sampler.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.device.type == "cuda":
            self.bytes = torch.cuda.max_memory_allocated(self.device)
            return
        self._done.set()
        self._sampler.join()

    def _sample(self) -> None:
        while True:
            self.bytes = max(self.bytes, _resident_bytes())
            if self._done.wait(0.05):
                return


@torch.no_grad()
def seconds_per_step(operator: nn.Module, u: Tensor, dt: float, *, budget: float = 1.0) -> float:
    """Median wall clock of one step of one sample: after a warm-up, at least 3 times and for ``budget`` seconds."""
    t, lengths = torch.zeros(len(u), device=u.device), torch.full((len(u),), dt, device=u.device)
    samples: list[float] = []
    end = time.perf_counter() + budget
    operator(t, lengths, u)
    while len(samples) < 3 or (time.perf_counter() < end and len(samples) < 200):
        _synchronise(u.device)
        start = time.perf_counter()
        operator(t, lengths, u)
        _synchronise(u.device)
        samples.append(time.perf_counter() - start)
    return statistics.median(samples) / len(u)


def environment(device: torch.device) -> dict[str, Any]:
    """Machine, threads and versions, as a row keeps them."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "device": name,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "sciml": sciml.__version__,
    }


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _resident_bytes() -> int:
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * 4096
    except OSError:
        return 0
