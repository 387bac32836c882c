"""Results that survive interruption: one JSON object a line, each time written whole and then moved into place."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """The rows written so far."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def write_rows(path: Path, rows: list[Row]) -> None:
    """Replace the file, or leave the old one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".partial")
    beside.write_text("".join(json.dumps(row, sort_keys=True) + "\n" for row in rows))
    os.replace(beside, path)


def find(rows: list[Row], **asked: Any) -> Row | None:
    """The row with these entries."""
    return next((row for row in rows if all(row.get(name) == value for name, value in asked.items())), None)
