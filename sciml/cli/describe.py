"""What ``sciml data info`` says of a dataset."""

from __future__ import annotations

from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from sciml.datasets.dataset import Dataset


def describe(dataset: Dataset) -> dict[str, Any]:
    """A dataset in JSON values."""
    lengths = dataset.lengths
    times = dataset.times_of(0) if len(dataset) else np.zeros(0)
    return {
        "path": str(dataset.path),
        "layout": dataset.layout,
        "kind": dataset.kind,
        "trajectories": len(dataset),
        "frames": _spread(lengths),
        "times": {"first": _edge(times, 0), "last": _edge(times, -1), "dt": dataset.dt, "units": dataset.time_units},
        "axes": [
            {
                "name": axis.name,
                "points": len(axis.coordinates),
                "from": float(axis.coordinates[0]),
                "to": float(axis.coordinates[-1]),
                "units": axis.units,
                "boundary": axis.boundary,
            }
            for axis in dataset.axes
        ],
        "nodes": None if dataset.nodes is None else _spread(dataset.nodes),
        "channels": [{"name": c.name, "units": c.units, "static": c.static} for c in dataset.channels],
        "parameters": {name: _spread(np.asarray(values)) for name, values in dataset.parameters.items()},
        "splits": {name: len(members) for name, members in dataset.splits.items()},
        "statistics": dataset.statistics is not None,
        "mask": dataset.mask is not None,
        "notes": list(dataset.notes),
    }


def description_table(found: dict[str, Any]) -> Table:
    """The description for people."""
    table = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    clock = found["times"]
    rows = {
        "file": found["path"],
        "layout": f"{found['layout']}, {found['kind']}",
        "trajectories": f"{found['trajectories']} of {_text(found['frames'])} frames",
        "times": f"{_number(clock['first'])} to {_number(clock['last'])} {clock['units']}, "
        + ("uneven" if clock["dt"] is None else f"dt = {_number(clock['dt'])}"),
        "axes": "\n".join(_axis(axis) for axis in found["axes"]),
        "nodes": "" if found["nodes"] is None else _text(found["nodes"]),
        "channels": "\n".join(_channel(channel) for channel in found["channels"]),
        "parameters": "\n".join(f"{name} = {_text(values)}" for name, values in found["parameters"].items()),
        "splits": ", ".join(f"{name} {count}" for name, count in found["splits"].items()) or "none in the file",
        "statistics": "stored" if found["statistics"] else "not stored",
        "mask": "yes" if found["mask"] else "",
        "notes": "\n".join(found["notes"]),
    }
    for name, text in rows.items():
        if text:
            table.add_row(name, escape(text))
    return table


def _spread(values: np.ndarray) -> dict[str, float | int] | float | int | None:
    """One number where all are equal, else the least and the largest."""
    if not values.size:
        return None
    if values.dtype.kind not in "iuf":
        return None
    low, high = values.min().item(), values.max().item()
    return low if low == high else {"min": low, "max": high}


def _edge(times: np.ndarray, position: int) -> float | None:
    return float(times[position]) if times.size else None


def _axis(axis: dict[str, Any]) -> str:
    units = f" {axis['units']}" if axis["units"] else ""
    boundary = f", {axis['boundary']}" if axis["boundary"] else ""
    return f"{axis['name']}: {axis['points']} points, {axis['from']:.5g} to {axis['to']:.5g}{units}{boundary}"


def _channel(channel: dict[str, Any]) -> str:
    units = f" [{channel['units']}]" if channel["units"] else ""
    return f"{channel['name']}{units}" + (", static" if channel["static"] else "")


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return f"{_number(value['min'])} to {_number(value['max'])}"
    return _number(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.6g}"
