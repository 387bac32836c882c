"""C++ kernels of this package: compiled on first use with the machine's own compiler, then kept.

A kernel has a readable twin in torch, which serves where there is no compiler, where a gradient is asked for, and off
the CPU. Its threads are those of torch: the OpenMP library is the one that torch has loaded.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shlex
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from torch import Tensor

_FLAGS = ("-std=c++17", "-O3", "-shared", "-fPIC", "-fno-math-errno", "-fno-trapping-math", "-ffp-contract=fast")
_QUIET = ("-Wno-psabi", "-Wno-unknown-pragmas")
_TRIES = (  # the first that the compiler takes
    ("-fopenmp", "-march=native", "-mprefer-vector-width=512"),
    ("-fopenmp", "-march=native"),
    ("-march=native",),
    (),
)


class NativeError(RuntimeError):
    """There is no C++ compiler, or it refuses."""


@cache
def load(*sources: Path) -> ctypes.CDLL | None:
    """The compiled library of source files, taken as one, or None where it cannot be had."""
    if os.environ.get("SCIML_NATIVE") == "0":
        return None
    try:
        return ctypes.CDLL(str(_built("".join(source.read_text() for source in sources))))
    except (NativeError, OSError) as reason:
        if find_compiler():
            warnings.warn(f"{sources[0].parent.name}: no C++ kernels, torch takes their place: {reason}", stacklevel=2)
        return None


def find_compiler() -> str | None:
    """The command that compiles C++, None where there is none."""
    return os.environ.get("CXX") or shutil.which("g++") or shutil.which("clang++")


def compile_library(text: str, library: Path, flags: Sequence[str], tries: Sequence[Sequence[str]]) -> None:
    """Compile C++ to a shared library, with the first of ``tries`` of further flags that works.

    Raises:
        NativeError: there is no compiler, or it refuses.
    """
    compiler = find_compiler()
    if not compiler:
        raise NativeError("no C++ compiler")
    source = library.with_suffix(".cpp")
    source.write_text(text)
    message = ""
    for extra in tries:
        command = [*shlex.split(compiler), *flags, str(source), "-o", str(library), *extra, "-lm"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode == 0:
            return
        message = next(iter(result.stderr.strip().splitlines()), "")
    raise NativeError(f"the C++ compiler: {message}")


def pointer(tensor: Tensor) -> ctypes.c_void_p:
    """The address of a tensor's data."""
    return ctypes.c_void_p(tensor.data_ptr())


def integers(*values: int) -> ctypes.Array[ctypes.c_int64]:
    """A C array of 64-bit integers."""
    return (ctypes.c_int64 * len(values))(*values)


def numbers(*values: float) -> ctypes.Array[ctypes.c_double]:
    """A C array of doubles."""
    return (ctypes.c_double * len(values))(*values)


def _built(text: str) -> Path:
    """The library of a source, from the cache or newly made."""
    name = hashlib.sha256(f"{text}{_FLAGS}{_TRIES}{_machine()}".encode()).hexdigest()[:24]
    folder = _cache_folder()
    library = folder / f"{name}.so"
    if not library.is_file():
        with tempfile.TemporaryDirectory(dir=folder) as own:
            fresh = Path(own) / "kernel.so"
            compile_library(text, fresh, (*_FLAGS, *_QUIET), _TRIES)
            fresh.replace(library)
    return library


def _machine() -> str:
    """What -march=native depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line for line in lines if line.startswith("flags")), "")


@cache
def _cache_folder() -> Path:
    """Of this user alone, since what lies there is executed; a temporary one if there can be none."""
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sciml" / "native"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        state = folder.stat()
        if state.st_uid == os.getuid() and not state.st_mode & 0o022 and os.access(folder, os.W_OK):
            return folder
    except (OSError, RuntimeError, AttributeError):  # no place, no home, no users
        pass
    _keep.append(tempfile.TemporaryDirectory(prefix="sciml-native-"))
    return Path(_keep[-1].name)


_keep: list[tempfile.TemporaryDirectory[str]] = []
