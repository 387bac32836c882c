"""``stats.yaml`` of a Well data set as per-channel statistics."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from .channel import Channel
from .errors import DatasetError
from .statistics import Statistics

LARGEST = 1 << 20


def stored_statistics(data: Path, channels: Sequence[Channel]) -> Statistics | None:
    """Statistics beside or above the ``data`` folder; None without a file, or one that lacks a channel.

    Differences of static channels, which the file leaves out, are zero.

    Raises:
        DatasetError: a file that is not YAML, or a field with another number of components.
    """
    file = next((d / "stats.yaml" for d in (data, data.parent) if (d / "stats.yaml").is_file()), None)
    if file is None or file.stat().st_size > LARGEST:
        return None
    try:
        tables = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, UnicodeDecodeError, OSError, RecursionError) as error:
        raise DatasetError(file, f"is not YAML ({type(error).__name__}).", remedy="Fetch it again.") from None
    if not isinstance(tables, dict):
        raise DatasetError(file, "is not a table.", remedy="Fetch it again.")
    values = {
        name: _per_channel(file, tables.get(name), name, channels)
        for name in Statistics.__dataclass_fields__
        if name != "count"
    }
    return None if any(column is None for column in values.values()) else Statistics(**values)  # type: ignore[arg-type]


def _per_channel(file: Path, table: Any, name: str, channels: Sequence[Channel]) -> np.ndarray | None:
    if not isinstance(table, dict):
        return None
    column, fields = [], list(dict.fromkeys(channel.field for channel in channels))
    for field in fields:
        members = [channel for channel in channels if channel.field == field]
        if field not in table and name.endswith("delta") and members[0].static:
            column += [0.0] * len(members)
            continue
        if field not in table:
            return None
        column += _flat(file, name, field, table[field], len(members))
    return np.array(column)


def _flat(file: Path, name: str, field: str, value: Any, count: int) -> list[float]:
    try:
        flat = np.asarray(value, dtype=np.float64).ravel().tolist()
    except (TypeError, ValueError):
        flat = []
    if len(flat) != count:
        raise DatasetError(file, f"has {value!r}, expected {count} numbers.", where=f"{name}/{field}")
    return flat
