"""Pickles, alone or in .npz files, without trusting them: one may build NumPy arrays and nothing else.

A pickle is a program that may call whatever it can name; this unpickler lets it name the six functions of which NumPy
arrays are made. It runs the pure-Python unpickler, whose memory is bounded by the file, not by the numbers in it.
"""

from __future__ import annotations

import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib import format as npy

from .errors import DatasetError
from .hdf5 import SHARE_OF_MEMORY, available_memory

NUMPY_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy.core.numeric", "numpy._core.numeric")
FROM_NUMPY = ("_reconstruct", "scalar", "_frombuffer")


class ArrayUnpickler(pickle._Unpickler):
    """Rebuilds NumPy arrays, numbers, strings, lists, tuples and dicts; refuses every other name."""

    def find_class(self, module: str, name: str) -> Callable[..., Any]:
        if module == "numpy" and name in ("ndarray", "dtype"):
            return getattr(np, name)
        if module in NUMPY_MODULES and name in FROM_NUMPY:
            source = np._core.multiarray if name != "_frombuffer" else np._core.numeric  # type: ignore[attr-defined]
            return getattr(source, name)
        if (module, name) == ("_codecs", "encode"):
            return _latin1  # bytes of pickles written by Python 2 and protocol 2
        raise pickle.UnpicklingError(f"it would call {module}.{name}")


def _latin1(text: str, encoding: str) -> bytes:
    return text.encode("latin1")


def load_npz_member(path: Path, name: str) -> Any:
    """One array of an .npz file; object arrays through ``ArrayUnpickler``.

    Raises:
        DatasetError: a damaged file, a pickle that holds more than arrays, or more than memory can hold.
    """
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as stream:
            _check_size(path, name, archive.getinfo(f"{name}.npy").file_size)
            return _read_array(stream)
    except DatasetError:
        raise
    except pickle.UnpicklingError as error:
        problem = f"holds a pickle that is refused: {error}."
        raise DatasetError(
            path, problem, where=name, remedy="Only arrays are read: re-save it without objects."
        ) from None
    except Exception as error:  # a hostile pickle or zip can raise anything
        raise DatasetError(path, f"is damaged: {error}.", where=name, remedy="Fetch it again.") from None


def load_pickle(path: Path) -> Any:
    """What a pickle file holds, if that is NumPy arrays, numbers, strings, lists, tuples and dicts.

    Raises:
        DatasetError: a damaged file, a pickle that holds more, or more than memory can hold.
    """
    try:
        _check_size(path, "", path.stat().st_size)
        with open(path, "rb") as stream:
            return ArrayUnpickler(stream, encoding="latin1").load()
    except DatasetError:
        raise
    except pickle.UnpicklingError as error:
        remedy = "Only arrays are read: re-save it as a dict of lists of NumPy arrays, or with torch.save as .pt."
        raise DatasetError(path, f"is a pickle that is refused: {error}.", remedy=remedy) from None
    except Exception as error:  # a hostile pickle can raise anything
        raise DatasetError(path, f"is damaged: {error}.", remedy="Fetch it again.") from None


def _read_array(stream: Any) -> Any:
    version = npy.read_magic(stream)
    shape, fortran, dtype = (
        npy.read_array_header_1_0(stream) if version == (1, 0) else npy.read_array_header_2_0(stream)
    )
    if dtype.hasobject:
        return ArrayUnpickler(stream, encoding="latin1").load()
    values = np.frombuffer(stream.read(), dtype=dtype)
    return values.reshape(shape, order="F" if fortran else "C")


def _check_size(path: Path, name: str, size: int) -> None:
    if size > SHARE_OF_MEMORY * available_memory():
        problem = f"unpacks to {size} bytes, more than memory allows."
        raise DatasetError(path, problem, where=name, remedy="Split the file into fewer trajectories.")
