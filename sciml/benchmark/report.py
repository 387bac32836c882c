"""The report: one HTML file that needs nothing beside it."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from sciml.benchmark import figures
from sciml.benchmark.candidates import CANDIDATES
from sciml.benchmark.published import published_rows
from sciml.benchmark.row import Row
from sciml.benchmark.table import COLUMNS, datasets_of, lines
from sciml.metrics import METRICS

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 1180px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.7em; } h2 { margin-top: 2.2em; border-bottom: 1px solid #ccc; } h3 { margin: 1.6em 0 .4em; }
table { border-collapse: collapse; font-size: 13.5px; } .wide { overflow-x: auto; }
th, td { padding: .3em .7em; text-align: right; border-bottom: 1px solid #e4e4e4; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } thead th { border-bottom: 2px solid #999; white-space: normal; }
td.best { font-weight: 650; background: #eef6ee; } tr.published td { color: #666; font-style: italic; }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 1em; align-items: start; }
figure { margin: 0; } img { max-width: 100%; } figcaption, .note { color: #555; font-size: 13px; }
details { margin: .8em 0; } summary { cursor: pointer; }
"""


def write_report(rows: Sequence[Row], folder: str | Path, path: str | Path | None = None) -> Path:
    """Write the report of ``rows``.

    Args:
        rows: what to report; rows of the published baselines of a known dataset are added.
        folder: where the rows' artifacts are; a figure whose artifact is gone is left out.
        path: the file, ``folder/report.html`` by default.

    Returns:
        The path.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError("Expected rows to report, got none. Run: sciml bench")
    folder = Path(folder)
    target = folder / "report.html" if path is None else Path(path)
    partial = target.with_name(target.name + ".partial")
    partial.write_text("\n".join(_page(rows, folder)), encoding="utf-8")
    os.replace(partial, target)
    return target


def _page(rows: Sequence[Row], folder: Path) -> Iterator[str]:
    yield f"<!doctype html><html lang='en'><meta charset='utf-8'><title>sciml benchmark</title><style>{_STYLE}</style>"
    yield "<h1>Operators on datasets</h1>"
    yield f"<p>{_summary(rows)}</p>"
    for dataset in datasets_of(rows):
        yield from _section(dataset, [row for row in rows if row.dataset == dataset], folder)
    yield from _formulas()
    yield from _environment(rows)
    yield "</html>"


def _summary(rows: Sequence[Row]) -> str:
    used = {row.operator for row in rows}
    names = ", ".join(f"{name} ({candidate.title})" for name, candidate in CANDIDATES.items() if name in used)
    return (
        f"{len(rows)} runs. Operators: {html.escape(names)}. Every operator starts from the first frame of each test "
        "trajectory and is rolled out by itself to the last. Errors are in physical units and leave out the initial "
        "state and channels that are inputs only. Best of each column in green; with several seeds the median (range)."
    )


def _section(dataset: str, rows: Sequence[Row], folder: Path) -> Iterator[str]:
    first = rows[0]
    size = " x ".join(map(str, first.shape))
    yield f"<h2>{html.escape(dataset)}</h2>"
    yield (
        f"<p class='note'>{html.escape(first.layout)} layout, {size} points, channels "
        f"{html.escape(', '.join(first.channels))}; {first.trajectories} test trajectories of {first.frames} frames; "
        f"{max(row.steps for row in rows)} optimiser steps.</p>"
    )
    yield from _table(dataset, rows)
    yield "<div class='figures'>"
    yield _figure(figures.error_over_time(rows), "Error after each step of the rollout.")
    yield _figure(figures.accuracy_cost(rows), "Rollout error against the cost of a step.")
    spectra = figures.spectra(rows, folder)
    if spectra is not None:
        yield _figure(spectra, "Energy spectrum of the last frame, mean over test trajectories.")
    yield "</div>"
    yield from _fields(rows, folder)
    yield from _all_metrics(rows)


def _table(dataset: str, rows: Sequence[Row]) -> Iterator[str]:
    yield "<div class='wide'><table><thead><tr><th>operator</th>"
    yield "".join(f"<th>{html.escape(column.heading)}</th>" for column in COLUMNS) + "</tr></thead><tbody>"
    for line in lines(rows):
        cells = (
            f"<td{' class=best' if best else ''}>{html.escape(cell)}</td>" for cell, best in zip(line.cells, line.best)
        )
        yield f"<tr><td>{html.escape(line.operator)}</td>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"
    quoted = published_rows(dataset)
    if quoted:
        headings = "".join(f"<th>{heading}</th>" for heading in ("operator", "metric", "value", "source"))
        yield f"<h3>Published</h3><table><thead><tr>{headings}</tr></thead>"
        for row in quoted:
            for label, value in row.metrics.items():
                texts = (row.operator, label, f"{value:.4g}", row.published)
                yield "<tr class='published'>" + "".join(f"<td>{html.escape(text)}</td>" for text in texts) + "</tr>"
        yield "</table><p class='note'>Quoted, not measured here; their training budgets differ from this one.</p>"


def _fields(rows: Sequence[Row], folder: Path) -> Iterator[str]:
    shown = {row.operator: row for row in reversed(rows)}
    for operator in dict.fromkeys(row.operator for row in rows):
        drawn = figures.fields(shown[operator], folder)
        if drawn is not None:
            # The operators people come for lie open; the baselines unfold.
            state = " open" if CANDIDATES.get(operator) and CANDIDATES[operator].trained else ""
            yield f"<details{state}><summary>{html.escape(operator)}: truth, prediction, error</summary>"
            yield _figure(drawn, "") + "</details>"


def _all_metrics(rows: Sequence[Row]) -> Iterator[str]:
    yield "<details><summary>All metrics</summary><div class='wide'><table><thead><tr><th>metric</th>"
    yield "".join(f"<th>{html.escape(row.operator)}, seed {row.seed}</th>" for row in rows) + "</tr></thead>"
    for label in dict.fromkeys(label for row in rows for label in row.metrics):
        cells = "".join(f"<td>{row.metrics.get(label, float('nan')):.4g}</td>" for row in rows)
        yield f"<tr><td>{html.escape(label)}</td>{cells}</tr>"
    yield "</table></div></details>"


def _formulas() -> Iterator[str]:
    formulas = {name: metric.formula for name, metric in METRICS.items()}
    formulas["one-step nRMSE"] = "rollout/nRMSE of steps that each start from a true frame"
    formulas["correlation time (0.8)"] = "median time at which the rollout's correlation with the truth falls below 0.8"
    yield "<h2>Formulas</h2><p class='note'>e: error, y: truth, p: prediction; b samples, t steps, c channels, "
    yield "x points. The same word is another number in another suite, so each is named with its suite.</p><table>"
    for name, formula in formulas.items():
        yield f"<tr><td>{html.escape(name)}</td><td style='text-align:left'>{html.escape(formula)}</td></tr>"
    yield "</table>"


def _environment(rows: Sequence[Row]) -> Iterator[str]:
    machines = {tuple(sorted(row.environment.items())) for row in rows if row.environment}
    yield "<h2>Machine</h2><ul>"
    for machine in sorted(machines, key=str):
        yield "<li>" + html.escape(", ".join(f"{name} {value}" for name, value in machine)) + "</li>"
    yield "</ul>"


def _figure(figure: Figure, caption: str) -> str:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    data = base64.b64encode(buffer.getvalue()).decode()
    text = f"<figcaption>{html.escape(caption)}</figcaption>" if caption else ""
    return f"<figure><img alt='{html.escape(caption)}' src='data:image/png;base64,{data}'>{text}</figure>"
