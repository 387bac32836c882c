"""The C++ twin: calls of cheb_cb.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int64, c_void_p
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from ..native import integers, load

_SOURCE = Path(__file__).with_name("cheb_cb.cpp")


def serves() -> bool:
    """Whether there is a compiled library."""
    return _library() is not None


def form(shape: tuple[int, ...], arrays: Sequence[np.ndarray]) -> Any:
    """``Known`` of cheb_cb.cpp: the numbers of arms and features, and where the arrays of a ``Regression`` are."""
    return integers(*shape, *(array.ctypes.data for array in arrays))


def pull(known: Any, features: int, contexts: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """``Regression.pull``."""
    count = len(contexts)
    chosen, pulled = np.empty(count, dtype=np.int64), np.empty((count, features + 1))
    _call("cheb_cb_pull", known, contexts, uniform, pulled, chosen)
    return chosen, pulled


def update(known: Any, chosen: np.ndarray, pulled: np.ndarray, costs: np.ndarray) -> None:
    """``Regression.update``."""
    _call("cheb_cb_update", known, costs, chosen, pulled)


class Single:
    """Rounds of one instance at a time, for which all but the numbers is prepared: beside a solve of half a millisecond
    every line of Python counts.

    Attributes:
        pending: of the last pull the arm and what ``Regression.update`` calls ``pulled``; written over by the next.
    """

    def __init__(self, known: Any, features: int) -> None:
        self._numbers, self._arm, row = np.zeros(3), np.zeros(1, dtype=np.int64), np.zeros((1, features + 1))
        self.pending = {"arm": self._arm, "features": row}
        context, arm, pulled = (array.ctypes.data for array in (self._numbers, self._arm, row))
        uniform, cost = (c_void_p(context + k * self._numbers.itemsize) for k in (1, 2))
        one, library = c_int64(1), _library()
        self._pull = partial(
            library.cheb_cb_pull, known, one, c_void_p(context), uniform, c_void_p(pulled), c_void_p(arm)
        )
        self._update = partial(library.cheb_cb_update, known, one, cost, c_void_p(arm), c_void_p(pulled))

    def pull(self, context: float, uniform: float) -> int:
        """The arm."""
        self._numbers[0], self._numbers[1] = context, uniform
        self._pull()
        return int(self._arm[0])

    def update(self, cost: float) -> None:
        """Learn what it cost."""
        self._numbers[2] = cost
        self._update()


def _call(name: str, known: Any, *arrays: np.ndarray) -> None:
    """With arrays of one row for each instance."""
    whole = [np.ascontiguousarray(array) for array in arrays]
    getattr(_library(), name)(known, c_int64(len(whole[0])), *(c_void_p(array.ctypes.data) for array in whole))


@cache
def _library() -> Any:
    return load(_SOURCE)
