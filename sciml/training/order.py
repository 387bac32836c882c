"""Which windows every step of an epoch sees: a pure function of (seed, epoch), the same for any number of processes."""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from .randomness import generator


@dataclass(frozen=True, slots=True)
class Share:
    """What one process computes at once: the mean loss over ``windows``, times ``weight``.

    The weights make the mean over processes of the sum over a step's shares the mean over the whole batch, even where
    the batch does not divide evenly. A process that a small last batch leaves nothing takes a window with weight 0.
    """

    windows: tuple[int, ...]
    weight: float


@dataclass(frozen=True, slots=True)
class Place:
    """This process among all."""

    rank: int = 0
    processes: int = 1


@runtime_checkable
class Drawing(Protocol):
    """Data that choose the windows of an epoch themselves, such as a ``Mixture``."""

    def drawn(self, seed: int, epoch: int) -> Sequence[int]:
        """As many windows as there are, some possibly twice, as a pure function of the arguments."""
        ...


def training_order(
    count: int, *, batch_size: int, seed: int, epoch: int, data: Drawing | None = None
) -> list[list[int]]:
    """The batches of an epoch, the last one possibly smaller: every one of ``count`` windows once, or those drawn."""
    order = torch.randperm(count, generator=generator("order", seed, epoch)).tolist()
    if data is not None:
        chosen = data.drawn(seed, epoch)
        order = [chosen[place] for place in order]
    return [order[start : start + batch_size] for start in range(0, count, batch_size)]


def shares(batch: Sequence[int], place: Place, accumulate: int = 1, *, even: bool = False) -> list[Share]:
    """This process's part of a batch, in up to ``accumulate`` micro-batches of nearly equal size.

    With ``even`` all processes have as many micro-batches, some perhaps of weight 0.
    """
    mine = batch[place.rank :: place.processes]
    parts = [mine[k::accumulate] for k in range(min(accumulate, len(mine)))]
    found = [Share(tuple(part), len(part) * place.processes / len(batch)) for part in parts]
    most = min(accumulate, -(-len(batch) // place.processes)) if even else 1
    return found + [Share((batch[0],), 0.0) for _ in range(most - len(found))]


class WindowLoader:
    """Loads given windows in a given order, with the same worker processes for the whole training.

    Args:
        data: a torch dataset of (t, u) windows.
        num_workers: processes that load ahead; 0 loads in this one.
        pin: into memory from which a GPU can copy by itself.
    """

    def __init__(self, data: Any, *, num_workers: int = 0, pin: bool = False) -> None:
        self._batches: list[Sequence[int]] = []
        self._loader: DataLoader = DataLoader(
            data,
            batch_sampler=_Batches(self._batches),
            num_workers=num_workers,
            collate_fn=stack_windows,
            pin_memory=pin,
            persistent_workers=num_workers > 0,
            worker_init_fn=_leave_signals_to_parent if num_workers > 0 else None,
            generator=torch.Generator(),  # its own: an epoch must not draw from the global random numbers
        )

    def load(self, batches: Sequence[Sequence[int]]) -> Iterator[tuple[Tensor, Tensor]]:
        """The windows of each batch: t (batch, time) float64 and u (batch, time, channel, *space)."""
        self._batches[:] = list(batches)
        return iter(self._loader)


class _Batches:
    """A batch sampler over a list that is refilled for each epoch; the loader keeps the sampler it was born with."""

    def __init__(self, batches: list[Sequence[int]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[list[int]]:
        return iter([list(batch) for batch in self.batches])

    def __len__(self) -> int:
        return len(self.batches)


def stack_windows(windows: Sequence[tuple[Any, Any]]) -> tuple[Tensor, Tensor]:
    """Windows (t, u) as a batch.

    Raises:
        ValueError: they differ in shape.
    """
    frames = [torch.as_tensor(u) for _, u in windows]
    if any(u.shape != frames[0].shape for u in frames):
        found = ", ".join(sorted({str(tuple(u.shape)) for u in frames}))
        raise ValueError(f"Expected windows of one shape, got {found}. Make the data with window=..., or names=[...].")
    return torch.stack([torch.as_tensor(t, dtype=torch.float64) for t, _ in windows]), torch.stack(frames)


def _leave_signals_to_parent(worker: int) -> None:
    """A worker outlives Ctrl-C: the parent finishes its step, saves, and ends it with SIGTERM."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
