"""The C++ twin: calls of cheb_cb.cpp."""

from __future__ import annotations

from collections.abc import Sequence
from ctypes import c_int64, c_void_p
from functools import cache
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


def _call(name: str, known: Any, *arrays: np.ndarray) -> None:
    """With arrays of one row for each instance."""
    whole = [np.ascontiguousarray(array) for array in arrays]
    getattr(_library(), name)(known, c_int64(len(whole[0])), *(c_void_p(array.ctypes.data) for array in whole))


@cache
def _library() -> Any:
    return load(_SOURCE)
