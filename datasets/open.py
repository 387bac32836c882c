"""``open_dataset``: which layout a file has, by what it holds."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import h5py

from .concatenate import concatenate
from .dataset import Dataset
from .errors import DatasetError
from .fno_mat import is_fno_mat, open_fno_mat5, open_fno_mat73
from .giorom import is_giorom, is_giorom_directory, open_giorom, open_giorom_directory
from .gns import is_gns_directory, open_gns, open_gns_directory
from .gns_tfrecord import open_gns_tfrecord
from .grids import tail_splits
from .handles import h5_file
from .hdf5 import attribute
from .lagrangebench import (
    is_lagrangebench,
    is_lagrangebench_directory,
    open_lagrangebench,
    open_lagrangebench_directory,
)
from .native import open_native
from .nclaw import is_nclaw_directory, open_nclaw_directory
from .neuraloperator import is_xy, open_neuraloperator, open_xy
from .pdebench import is_pdebench, open_pdebench
from .pdebench_grouped import is_grouped, is_ns_incom, open_grouped, open_ns_incom
from .pdegym import family_of, is_pdegym, open_pdegym
from .pdegym_files import natural_key
from .signature import require_hdf5, signature
from .tfrecord import is_tfrecord
from .the_well import is_the_well, is_the_well_directory, open_the_well, open_the_well_directory

SUFFIXES = (".h5", ".hdf5", ".hdf", ".nc", ".nc4", ".mat", ".pt", ".pth", ".npz")


class Layout(NamedTuple):
    """How a layout is recognised in an open HDF5 file, and opened."""

    name: str
    recognises: Callable[[h5py.File], bool]
    open: Callable[[Path], Dataset]


def _is_native(file: h5py.File) -> bool:
    return attribute(file, "sciml_layout") is not None


# The order matters: the first that recognises a file opens it.
HDF5_LAYOUTS = (
    Layout("native", _is_native, open_native),
    Layout("the_well", is_the_well, open_the_well),
    Layout("fno", is_fno_mat, open_fno_mat73),
    Layout("pdebench", is_ns_incom, open_ns_incom),
    Layout("pdebench", is_pdebench, open_pdebench),
    Layout("pdebench", is_grouped, open_grouped),
    Layout("lagrangebench", is_lagrangebench, open_lagrangebench),
    Layout("pdegym", is_pdegym, open_pdegym),
    Layout("neuraloperator", is_xy, open_xy),
)
DIRECTORY_LAYOUTS = (
    (is_lagrangebench_directory, open_lagrangebench_directory),
    (is_gns_directory, open_gns_directory),
    (is_giorom_directory, open_giorom_directory),
    (is_the_well_directory, open_the_well_directory),
    (is_nclaw_directory, open_nclaw_directory),
)
LAYOUTS = (
    "native",
    "pdebench",
    "the_well",
    "pdegym",
    "lagrangebench",
    "gns",
    "giorom",
    "nclaw",
    "neuraloperator",
    "fno",
)


def open_dataset(path: str | Path, *, layout: str | None = None) -> Dataset:
    """Open a file or directory of any supported layout. Reads what describes the data, not the data.

    A directory may be LagrangeBench's, GNS's or GIOROM's (metadata.json beside the splits), The Well's (train, valid,
    test), NCLaw's (state/0000.pt, ... somewhere below), or hold files of one layout and grid, such as the chunks PDEGym
    is shipped in: their trajectories follow one another.

    Args:
        path: the file or directory.
        layout: one of ``LAYOUTS``, where a file could be read as several; recognised by content otherwise.

    Raises:
        DatasetError: missing, unreadable, damaged, of no known layout, or not what its layout promises. One line that
            names the file, the dataset in it, what was found, what was expected and what to do.
        ValueError: no such layout.
    """
    if layout is not None and layout not in LAYOUTS:
        raise ValueError(f"Expected layout to be one of {', '.join(LAYOUTS)}, got {layout!r}.")
    path = Path(path)
    try:
        return _open_directory(path, layout) if path.is_dir() else _open_file(path, layout)
    except DatasetError:
        raise
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, UnicodeError, MemoryError, OverflowError) as error:
        # HDF5 reports damaged metadata wherever it happens to meet it.
        reason = " ".join(str(error).strip("'\"").split()).rstrip(".")
        raise DatasetError(path, f"is damaged: {reason}.", remedy="Fetch or write it again.") from error


def _open_file(path: Path, layout: str | None) -> Dataset:
    found = signature(path)
    if is_tfrecord(path) or (path.suffix == ".tfrecord" and found in ("empty", "unknown")):
        return open_gns_tfrecord(path)
    match found:
        case "zip" if _is_npz(path):
            return open_gns(path)
        case "zip" | "unknown" if is_giorom(path):
            return open_giorom(path)
        case "zip" | "unknown" if path.suffix in (".pt", ".pth"):
            return open_neuraloperator(path)
        case "mat5":
            return open_fno_mat5(path)
    require_hdf5(path)
    file = h5_file(path)
    for known in HDF5_LAYOUTS:
        if layout in (None, known.name) and known.recognises(file):
            return known.open(path)
    raise _unknown(path, file, layout)


def _unknown(path: Path, file: h5py.File, layout: str | None) -> DatasetError:
    found = list(file)
    listed = ", ".join(found[:8]) + (f" and {len(found) - 8} more" if len(found) > 8 else "")
    wanted = f"the layout {layout}" if layout else f"any of the layouts {', '.join(LAYOUTS)}"
    problem = f"does not look like {wanted}; it holds: {listed or 'nothing'}."
    return DatasetError(path, problem, remedy="Check the file, or convert it to the native layout.")


def _is_npz(path: Path) -> bool:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, ValueError):
        return path.suffix == ".npz"
    return bool(names) and all(name.endswith(".npy") for name in names)


def _open_directory(path: Path, layout: str | None) -> Dataset:
    for recognises, open_it in DIRECTORY_LAYOUTS:
        if recognises(path):
            return open_it(path)
    found = [file for file in path.iterdir() if file.suffix in SUFFIXES and not file.name.startswith(".")]
    files = sorted(found, key=lambda file: natural_key(file.name))
    if not files:
        known = "LagrangeBench, GNS, GIOROM, NCLaw or The Well"
        problem = f"has no data file ({', '.join(SUFFIXES)}), and is no directory of {known}."
        raise DatasetError(path, problem, remedy="Give the directory that holds the files, or a file.")
    joined = concatenate(path, [_open_file(file, layout) for file in files])
    if joined.layout != "pdegym":
        return joined
    family = family_of(path.name)  # chunks of one set: its splits count over all of them
    return replace(joined, splits=tail_splits(len(joined), valid=family.valid, test=family.test))
