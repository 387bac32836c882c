"""C++ to a function, with the machine's own compiler."""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

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
    compiler = os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")
    if not compiler:
        raise NotNative("no C++ compiler")
    stem = _folder() / hashlib.sha256(source.encode()).hexdigest()[:24]
    text, library = stem.with_suffix(".cpp"), stem.with_suffix(".so")
    text.write_text(source)
    for extra in _TRIES:
        command = [*shlex.split(compiler), *_FLAGS, str(text), "-o", str(library), *extra, "-lm"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return ctypes.CDLL(str(library))
    raise NotNative(f"the C++ compiler: {result.stderr.strip().splitlines()[:1]}")


@cache
def _folder() -> Path:
    """A folder of this process alone; it goes when the process ends."""
    _keep.append(tempfile.TemporaryDirectory(prefix="sciml-native-"))
    return Path(_keep[-1].name)


_keep: list[tempfile.TemporaryDirectory[str]] = []
