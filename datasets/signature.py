"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

from pathlib import Path

from .errors import DatasetError

HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_USER_BLOCKS = (0, 512, 1024, 2048, 4096, 8192)
_FIRST_BYTES = (
    (b"CDF\x01", "netcdf3"),
    (b"CDF\x02", "netcdf3"),
    (b"CDF\x05", "netcdf3"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"\x1f\x8b", "gzip"),
    (b"BZh", "bzip2"),
    (b"\xfd7zXZ\x00", "xz"),
    (b"\x28\xb5\x2f\xfd", "zstd"),
    (b"version https://git-lfs", "lfs"),
    (b"MATLAB 5.0 MAT-file", "mat5"),
    (b"\x93NUMPY", "npy"),
)
_REMEDIES = {
    "empty": ("is empty (0 bytes).", "The download or copy did not finish: fetch it again."),
    "netcdf3": ("is a classic NetCDF-3 file, not HDF5.", "Convert it: nccopy -k netCDF-4 old.nc new.nc"),
    "zip": ("is a zip archive, not HDF5.", "Unpack it first."),
    "gzip": ("is gzip-compressed, not HDF5.", "Unpack it first: gunzip, or tar xzf for a .tar.gz."),
    "bzip2": ("is bzip2-compressed, not HDF5.", "Unpack it first: bunzip2."),
    "xz": ("is xz-compressed, not HDF5.", "Unpack it first: unxz."),
    "zstd": ("is zstd-compressed, not HDF5.", "Unpack it first: unzstd."),
    "lfs": ("is a git-LFS pointer, not the data.", "Fetch the data: git lfs pull"),
    "html": ("is an HTML page, not HDF5.", "The download link answered with a web page: fetch the file again."),
    "mat5": ("is a MATLAB 5 file, not HDF5.", "Rename it to .mat, or save it with -v7.3."),
    "npy": ("is a NumPy .npy array, not HDF5.", "Write it with coordinates and times into an HDF5 file."),
}


def signature(path: Path) -> str:
    """ "hdf5", "zip", "netcdf3", "lfs", "html", "mat5", ..., "empty", or "unknown".

    Raises:
        DatasetError: the file does not exist, is not a plain file, or may not be read.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_USER_BLOCKS[-1] + len(HDF5_MAGIC))
    except FileNotFoundError:
        raise DatasetError(path, "does not exist.", remedy="Check the path.") from None
    except OSError as error:
        raise DatasetError(path, f"cannot be read ({error.strerror}).", remedy="Check its permissions.") from None
    return _name(head)


def _name(head: bytes) -> str:
    if not head:
        return "empty"
    if any(head[block : block + 8] == HDF5_MAGIC for block in _USER_BLOCKS):
        return "hdf5"
    for magic, name in _FIRST_BYTES:
        if head.startswith(magic):
            return name
    text = head[:512].lstrip().lower()
    return "html" if text.startswith((b"<!doctype", b"<html", b"<?xml", b"<head")) else "unknown"


def require_hdf5(path: Path) -> None:
    """Raise a ``DatasetError`` that says what the file is, unless it is HDF5."""
    found = signature(path)
    if found == "hdf5":
        return
    problem, remedy = _REMEDIES.get(found, ("is not an HDF5 file (no HDF5 signature).", "Fetch or write it again."))
    raise DatasetError(path, problem, remedy=remedy)
