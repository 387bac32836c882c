"""C++ to a function, with the machine's own compiler."""

from __future__ import annotations

import ctypes
import hashlib
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

from sciml.kernels.native import NativeError, compile_library

from .symbols import NotNative

# Contraction into fused multiply-adds is off: a sum has the same bits wherever it stands, and those of eager mode.
_FLAGS = (
    *("-std=c++17", "-O3", "-shared", "-fPIC", "-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math"),
    *("-fopenmp-simd", "-Wno-psabi"),
)
_TRIES = (  # the first that the compiler takes
    ("-march=native", "-mprefer-vector-width=512", "-lmvec"),
    ("-march=native",),
    (),
)


@cache
def load(source: str) -> Any:
    """The compiled library of a source, made once in a process.

    Raises:
        NotNative: there is no compiler, or it refuses.
    """
    library = _folder() / f"{hashlib.sha256(source.encode()).hexdigest()[:24]}.so"
    try:
        compile_library(source, library, _FLAGS, _TRIES)
    except NativeError as reason:
        raise NotNative(str(reason)) from None
    return ctypes.CDLL(str(library))


@cache
def _folder() -> Path:
    """A folder of this process alone; it goes when the process ends."""
    _keep.append(tempfile.TemporaryDirectory(prefix="sciml-native-"))
    return Path(_keep[-1].name)


_keep: list[tempfile.TemporaryDirectory[str]] = []
