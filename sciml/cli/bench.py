"""``sciml bench`` and ``sciml report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sciml.benchmark.candidates import CANDIDATES, Candidate
from sciml.benchmark.default_data import default_data
from sciml.benchmark.report import write_report
from sciml.benchmark.row import Row, read_rows
from sciml.benchmark.run import ROWS, BenchSettings, run
from sciml.benchmark.table import datasets_of, terminal_table
from sciml.cli.console import counting, errors, name_list, output

_NAMES = ", ".join(f"`{name}` ({candidate.title})" for name, candidate in CANDIDATES.items())


def bench(
    data: Annotated[list[Path] | None, typer.Argument(help="HDF5 files in any supported layout.")] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help=f"Operators, separated by commas: {_NAMES}.")
    ] = "persistence,dmd,unet,fno",
    budget: Annotated[int, typer.Option(help="Optimiser steps of each training.")] = 240,
    batch_size: Annotated[int, typer.Option(help="Windows in a step.")] = 8,
    lr: Annotated[
        float | None, typer.Option(help="Highest learning rate; by default each operator has its own.")
    ] = None,
    unroll: Annotated[int, typer.Option(help="Steps that training unrolls from each window's first frame.")] = 1,
    seeds: Annotated[int, typer.Option(help="How many seeds, counted from 0.")] = 1,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1.")] = "auto",
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder of rows, operators and report.")] = Path(
        "runs/bench"
    ),
    from_json: Annotated[Path | None, typer.Option(help="Only render the report of this rows file again.")] = None,
) -> None:
    """Compare operators on datasets: train each on each, roll them out on the test split, write table and report.

    Without DATA, the default dataset is made first (2D Navier-Stokes and 1D Burgers, small). A run that is stopped goes
    on where it was; rows already measured are kept.

        sciml bench

        sciml bench shear_flow.hdf5 2D_rdb_NA_NA.h5 --model unet,fno --budget 20000 --seeds 3
    """
    if from_json is not None:
        rows = read_rows(from_json)
        _show(rows, write_report(rows, from_json.parent, out / "report.html" if out.is_dir() else None))
        return
    settings = BenchSettings(
        steps=budget, batch_size=batch_size, lr=lr, unroll=unroll, seeds=tuple(range(seeds)), device=device
    )
    candidates = _candidates(model)
    paths = data or default_data(out / "data", counting=counting)
    rows = run(paths, candidates, out, settings, announce=_announce)
    _show(rows, write_report(rows, out))
    output.print(f"rows: {out / ROWS}", highlight=False)


def report(
    rows: Annotated[Path, typer.Argument(help="The rows.jsonl of a benchmark, or the folder it is in.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The HTML file, beside the rows by default.")] = None,
) -> None:
    """Write the report of a benchmark's rows again."""
    file = rows / ROWS if rows.is_dir() else rows
    found = read_rows(file)
    _show(found, write_report(found, file.parent, out))


def _candidates(names: str) -> list[Candidate]:
    listed = name_list(names)
    for name in listed:
        if name not in CANDIDATES:
            raise ValueError(f"Expected operators among {', '.join(CANDIDATES)}; got {name!r}.")
    if not listed:
        raise ValueError(f"Expected at least one operator, among {', '.join(CANDIDATES)}.")
    return [CANDIDATES[name] for name in dict.fromkeys(listed)]


def _announce(line: str) -> None:
    errors.print(line, highlight=False)


def _show(rows: list[Row], path: Path) -> None:
    for dataset in datasets_of(rows):
        output.print(terminal_table(dataset, [row for row in rows if row.dataset == dataset]))
    output.print(f"report: {path}", highlight=False)
