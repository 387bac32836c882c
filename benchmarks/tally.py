"""How many bytes of tensors a call holds at most."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode


class Tally(TorchDispatchMode):
    """Counts the storages that operations make, from when they are made until nothing refers to them.

    Every operation passes here, those of the backward pass too. A storage is counted once, whatever views there are of
    it; one that was there before is not. Scratch memory inside a kernel is not seen, on any side.

    Attributes:
        held, peak: bytes held now, and at most so far.
    """

    def __init__(self) -> None:
        super().__init__()
        self.held = self.peak = 0
        self._known: dict[int, weakref.ref[Any]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        for leaf in pytree.tree_leaves((args, kwargs)):
            self._meet(leaf, new=False)
        result = func(*args, **kwargs)
        for leaf in pytree.tree_leaves(result):
            self._meet(leaf, new=True)
        return result

    def _meet(self, leaf: Any, *, new: bool) -> None:
        if not isinstance(leaf, torch.Tensor):
            return
        storage = leaf.untyped_storage()
        key = storage._cdata
        if key in self._known:
            return
        size = storage.nbytes() if new else 0

        def forget(_: Any) -> None:
            self._known.pop(key, None)
            self.held -= size

        self._known[key] = weakref.ref(storage, forget)
        self.held += size
        self.peak = max(self.peak, self.held)


def peak_bytes(run: Callable[[], Any], device: torch.device) -> int:
    """The most bytes of tensors that a call holds at a time, beyond those that are there before it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        run()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    with Tally() as tally:
        run()
    return tally.peak
