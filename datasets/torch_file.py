"""Files of ``torch.save`` without trusting them: tensors and NumPy arrays in lists and dicts, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from .errors import DatasetError

# What NumPy arrays are made of, under the names that NumPy 1 and 2 give it; none of it does more than make an array.
_ARRAYS: list[Any] = [
    np.ndarray,
    np.dtype,
    *(type(np.dtype(code)) for code in ("f2", "f4", "f8", "i1", "i2", "i4", "i8", "u1", "?")),
    *(
        (np._core.multiarray._reconstruct, f"numpy.{core}.multiarray._reconstruct")  # type: ignore[attr-defined]
        for core in ("core", "_core")
    ),
]


def load_torch(path: Path, *, remedy: str) -> Any:
    """What a file holds, its tensors mapped into memory where the file allows it.

    Args:
        remedy: what to do about a file that is refused.

    Raises:
        DatasetError: not a file of ``torch.save``, or one that holds more than tensors and arrays.
    """
    with torch.serialization.safe_globals(_ARRAYS):
        try:
            return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except Exception:
            pass  # files of torch < 1.6 cannot be mapped
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a damaged or hostile pickle can raise anything
            reason = str(error).split("\n")[0][:160]
            raise DatasetError(path, f"cannot be loaded: {reason}.", remedy=remedy) from None


def as_array(value: Any) -> np.ndarray | None:
    """A tensor or array of plain real numbers, not copied where it need not be; None for anything else."""
    if isinstance(value, torch.Tensor):
        if value.layout is not torch.strided or value.is_meta or value.dtype.is_complex or value.is_quantized:
            return None
        value = value.detach()
        return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    return value if isinstance(value, np.ndarray) and value.dtype.kind in "fiub" else None
