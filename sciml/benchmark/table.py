"""The benchmark's table, for the terminal and the report: one line per dataset and operator, over its seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table

from sciml.benchmark.row import Row


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, where the number comes from, how it is written, and whether a terminal has room for it."""

    heading: str
    value: Callable[[Row], float]
    write: Callable[[float], str]
    lower_is_better: bool = True
    competed: bool = True
    terminal: bool = True


def _significant(value: float) -> str:
    return "diverged" if not math.isfinite(value) or value > 1e6 else f"{value:.3g}"


def _count(value: float) -> str:
    for unit, size in (("M", 1e6), ("k", 1e3)):
        if value >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.0f}"


def _duration(value: float) -> str:
    if math.isnan(value):
        return ""
    if value >= 90:
        return f"{value / 60:.1f} min"
    return f"{value:.1f} s" if value >= 0.1 else (f"{value * 1e3:.2f} ms" if value >= 1e-3 else f"{value * 1e6:.0f} µs")


def _rate(seconds: float) -> float:
    return 1 / seconds if seconds else math.nan


def _metric(label: str) -> Callable[[Row], float]:
    return lambda row: row.metrics.get(label, math.nan)


COLUMNS = (
    Column("nRMSE, one step", _metric("one-step nRMSE"), _significant),
    Column("nRMSE, rollout", _metric("rollout/nRMSE"), _significant),
    Column("VRMSE (The Well)", _metric("the_well/VRMSE"), _significant),
    Column("rel-L1 % (Poseidon)", _metric("poseidon/rel-L1"), _significant, terminal=False),
    Column("spectrum error", _metric("spectra/error"), _significant, terminal=False),
    Column("correlated until", _metric("correlation time (0.8)"), lambda v: f"{v:.3g}", lower_is_better=False),
    Column("parameters", lambda row: float(row.parameters), _count, competed=False),
    Column("training", lambda row: row.train_seconds, _duration, competed=False),
    Column("step", lambda row: row.step_seconds, _duration, competed=False),
    Column("steps/s", lambda row: _rate(row.step_seconds), _count, competed=False, terminal=False),
    Column("memory", lambda row: row.peak_memory / 1e6, lambda v: f"{v:.0f} MB", competed=False, terminal=False),
)


@dataclass(frozen=True, slots=True)
class Line:
    """One operator's cells, medians over seeds; ``best`` marks the columns that it wins."""

    operator: str
    seeds: int
    cells: tuple[str, ...]
    best: tuple[bool, ...]


def lines(rows: Sequence[Row]) -> list[Line]:
    """The lines of one dataset, operators in the order in which they first appear."""
    groups = {operator: [row for row in rows if row.operator == operator] for operator in _in_order(rows)}
    values = {operator: [_medians(column, group) for column in COLUMNS] for operator, group in groups.items()}
    best = [_best(column, [cells[k] for cells in values.values()]) for k, column in enumerate(COLUMNS)]
    return [
        Line(
            operator=operator,
            seeds=len(group),
            cells=tuple(_cell(column, group, values[operator][k]) for k, column in enumerate(COLUMNS)),
            best=tuple(values[operator][k] == best[k] for k in range(len(COLUMNS))),
        )
        for operator, group in groups.items()
    ]


def terminal_table(dataset: str, rows: Sequence[Row]) -> Table:
    """The table of one dataset, narrow enough for a terminal; the best of each error is bold."""
    title = f"{dataset}: {rows[0].trajectories} test trajectories, {rows[0].frames} frames, {list(rows[0].shape)}"
    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("operator")
    for column in COLUMNS:
        if column.terminal:
            table.add_column(column.heading, justify="right")
    for line in lines(rows):
        shown = [(cell, best) for cell, best, column in zip(line.cells, line.best, COLUMNS) if column.terminal]
        table.add_row(line.operator, *(f"[bold]{cell}[/bold]" if best else cell for cell, best in shown))
    return table


def datasets_of(rows: Iterable[Row]) -> list[str]:
    """The datasets, in the order in which they first appear."""
    return list(dict.fromkeys(row.dataset for row in rows))


def _in_order(rows: Iterable[Row]) -> list[str]:
    return list(dict.fromkeys(row.operator for row in rows))


def _medians(column: Column, rows: Sequence[Row]) -> float:
    return statistics.median(column.value(row) for row in rows)


def _cell(column: Column, rows: Sequence[Row], median: float) -> str:
    text = column.write(median)
    if len(rows) < 2 or not column.competed:
        return text
    values = [column.value(row) for row in rows]
    return f"{text} ({column.write(min(values))} to {column.write(max(values))})"


def _best(column: Column, values: Sequence[float]) -> float | None:
    finite = [value for value in values if math.isfinite(value) or not column.lower_is_better]
    if not column.competed or not finite:
        return None
    return min(finite) if column.lower_is_better else max(finite)
