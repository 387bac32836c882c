"""Randomness as a pure function of where training is.

The global generators are seeded anew for every step, from (seed, epoch, step, rank). So dropout, noise and whatever
else is drawn in a step is the same whether or not the run was interrupted before it, and no generator's state need be
saved.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


def derived_seed(purpose: str, *keys: int) -> int:
    """A 63-bit seed from a purpose and non-negative integers."""
    words = np.random.SeedSequence([zlib.crc32(purpose.encode()), *keys]).generate_state(2, np.uint32)
    return (int(words[0]) << 31) | (int(words[1]) >> 1)


def generator(purpose: str, *keys: int) -> torch.Generator:
    """A CPU generator of its own."""
    return torch.Generator().manual_seed(derived_seed(purpose, *keys))


def seed_step(seed: int, epoch: int, step: int, rank: int) -> None:
    """Seed the global generators of Python, NumPy and torch (all devices) for one step."""
    value = derived_seed("step", seed, epoch, step, rank)
    random.seed(value)
    np.random.seed(value & 0xFFFFFFFF)  # noqa: NPY002 (the global generator is the point)
    torch.manual_seed(value)


@contextmanager
def preserved_randomness() -> Iterator[None]:
    """Give the caller's generators back as they were; of GPUs, that of the current one, if it is in use."""
    # By default every GPU of the machine would be touched, by every process.
    devices = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    python, numpy = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)  # noqa: NPY002
