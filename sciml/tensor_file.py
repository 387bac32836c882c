"""Named tensors and a JSON header in one ``.safetensors`` file: the only thing checkpoints are made of.

One file rather than a folder, so that one rename replaces it whole and its halves cannot be mixed up; the header can be
read without the tensors. Nothing in it is executed on reading, unlike a pickle.
"""

from __future__ import annotations

import copyreg
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

_KEY = "sciml"


class CheckpointError(ValueError):
    """A checkpoint file cannot be used: one line that names the file, what is wrong with it and what to do."""

    def __init__(self, path: str | Path, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = Path(path)

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


@dataclass(frozen=True, eq=False)
class TensorFile:
    """What a file holds: tensors on the CPU, and the JSON object that was stored with them."""

    tensors: dict[str, Tensor]
    header: dict[str, Any]


def write_tensors(path: str | Path, tensors: Mapping[str, Tensor], header: Mapping[str, Any]) -> None:
    """Write a file whole or not at all: a reader, or a process killed at any moment, sees the old file or the new one.

    Args:
        path: the file; its folder is created.
        tensors: of any dtype and device. Complex ones are stored as pairs of reals, which every reader knows.
        header: what JSON can hold.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    complex_names = sorted(name for name, tensor in tensors.items() if tensor.is_complex())
    stored = {name: _storable(tensor) for name, tensor in tensors.items()}
    content = {"header": dict(header), "complex": complex_names, "checksum": _checksum(stored)}
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(b"")
        mode = partial.stat().st_mode
        save_file(stored, partial, metadata={_KEY: json.dumps(content)})
        partial.chmod(mode)  # safetensors makes files that only their owner can read, whatever the umask
        _flush_to_disk(partial)
        os.replace(partial, path)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _flush_to_disk(path.parent)


def read_tensors(path: str | Path) -> TensorFile:
    """Read a file that ``write_tensors`` wrote, and check its checksum.

    Raises:
        CheckpointError: the file is missing, truncated, damaged or something else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            content = _content(path, file.metadata())
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error
    if _checksum(stored) != content["checksum"]:
        raise CheckpointError(path, "the checksum does not match: the file is damaged. Use another copy.")
    for name in content["complex"]:
        if name not in stored or stored[name].dim() == 0 or stored[name].shape[-1] != 2:
            raise CheckpointError(path, f"expected pairs of reals in the complex tensor {name!r}, found none.")
        stored[name] = torch.view_as_complex(stored[name].clone())
    return TensorFile(tensors=stored, header=content["header"])


def read_header(path: str | Path) -> dict[str, Any]:
    """The JSON object of a file, without reading its tensors; raises CheckpointError as ``read_tensors`` does."""
    try:
        with safe_open(path, framework="pt") as file:
            return _content(path, file.metadata())["header"]
    except (SafetensorError, OSError) as error:
        raise _unreadable(path, error) from error


def _content(path: str | Path, metadata: Mapping[str, str] | None) -> dict[str, Any]:
    """The checked JSON object under our key."""
    foreign = "a safetensors file, but not one of sciml: its header has no valid 'sciml' entry."
    try:
        content = json.loads((metadata or {})[_KEY])
        valid = isinstance(content["header"], dict) and isinstance(content["complex"], list) and "checksum" in content
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise CheckpointError(path, foreign) from error
    if not valid:
        raise CheckpointError(path, foreign)
    return content


def _unreadable(path: str | Path, error: Exception) -> CheckpointError:
    if not Path(path).exists():
        return CheckpointError(path, "no such file.")
    return CheckpointError(path, f"not a whole safetensors file ({error}). It was truncated, or is something else.")


def _storable(tensor: Tensor) -> Tensor:
    """A contiguous CPU copy that shares memory with no other tensor, real."""
    tensor = tensor.detach().to("cpu", copy=True).contiguous()
    return torch.view_as_real(tensor.resolve_conj()).contiguous() if tensor.is_complex() else tensor


def _checksum(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _flush_to_disk(path: Path) -> None:
    """fsync a file or a folder, so that the rename is not on disk before the content is."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
