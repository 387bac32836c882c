"""``sciml data pdegym``: which sets of PDEGym are there, and how to get the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from sciml.cli.console import errors, output
from sciml.datasets.pdegym_inventory import Holding, inventory


def pdegym(
    folder: Annotated[Path, typer.Argument(help="Where the files, or folders of shards, were downloaded to.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """The data sets of Poseidon: what is in a folder, what is missing, what for and how large each is."""
    found = inventory(folder)
    if as_json:
        output.print_json(json.dumps([_described(holding) for holding in found]))
        return
    output.print(_table(folder, found))
    for holding in found:
        if holding.paths:
            for problem in holding.problems:
                errors.print(f"{holding.entry.name}: {problem}", markup=False)
    missing = sum(holding.entry.gigabytes for holding in _files(found) if not holding.paths)
    output.print(
        f"To get a set, download camlab-ethz/NAME from the Hugging Face Hub into {folder}: one file, or shards in the "
        f"folder NAME, which are read as they are. Not here: {missing:.0f} GB. Licence: {found[0].entry.licence}.",
        highlight=False,
        markup=False,
    )


def _files(found: list[Holding]) -> list[Holding]:
    """Each file once."""
    return list({holding.entry.repository: holding for holding in reversed(found)}.values())


def _table(folder: Path, found: list[Holding]) -> Table:
    table = Table(title=f"PDEGym in {folder}", title_justify="left")
    table.add_column("set", no_wrap=True)
    for heading in ("here", "shape", "published shape", "GB", "for", "scored", "camlab-ethz/..."):
        table.add_column(heading, justify="right" if heading == "GB" else "left")
    for holding in found:
        entry, here = holding.entry, holding.files
        state = holding.state if holding.state != "whole" else ""
        table.add_row(
            entry.name,
            f"{here} {state}".strip(),
            _times(holding.shape),
            _times(entry.shape),
            f"{entry.gigabytes:g}",
            "pretraining" if entry.pretraining else "downstream",
            ", ".join(group.name for group in entry.groups if group.name in entry.interest),
            entry.repository,
        )
    return table


def _times(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def _described(holding: Holding) -> dict[str, Any]:
    entry = holding.entry
    return {
        "name": entry.name,
        "id": entry.id,
        "repository": f"camlab-ethz/{entry.repository}",
        "state": holding.state,
        "files": [str(path) for path in holding.paths],
        "variable": entry.variable,
        "shape": list(holding.shape),
        "published_shape": list(entry.shape),
        "bytes": holding.size,
        "gigabytes": entry.gigabytes,
        "purpose": "pretraining" if entry.pretraining else "downstream",
        "problems": list(holding.problems),
    }
