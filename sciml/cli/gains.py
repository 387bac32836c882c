"""``sciml gains``: efficiency and accuracy gains from scaling curves."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from sciml.benchmark.gains import all_gains, gains_table
from sciml.benchmark.published_gains import published_gains
from sciml.benchmark.scaling import curves_table, load_curves
from sciml.benchmark.scaling_figure import scaling_figure
from sciml.cli.console import name_list, output


def gains(
    curves: Annotated[Path, typer.Argument(help="JSON of scaling curves, as `save_curves` writes it.")],
    baseline: Annotated[str, typer.Option(help="The model that gains are over.")] = "FNO",
    published: Annotated[
        str, typer.Option(help="Models of Poseidon's paper to print beside, by commas: Poseidon-T, CNO, ...")
    ] = "",
    plot: Annotated[Path | None, typer.Option(help="Folder of a figure TASK.png for each task.")] = None,
) -> None:
    """Print the errors, and the table of Poseidon's paper: what each model gains over a baseline on each task.

    EG is how many times fewer training samples do, AG how many times smaller the error is.
    """
    found = load_curves(curves)
    tasks = list(dict.fromkeys(curve.task for curve in found))
    quoted = published_gains(*name_list(published)) if published else []
    lines = [*all_gains(found, baseline), *(entry for entry in quoted if entry.task in tasks)]
    output.print(curves_table(found), markup=False, highlight=False, soft_wrap=True)
    output.print(gains_table(lines), markup=False, highlight=False, soft_wrap=True)
    if plot is None:
        return
    plot.mkdir(parents=True, exist_ok=True)
    for task in tasks:
        figure = scaling_figure([curve for curve in found if curve.task == task], baseline=baseline)
        figure.savefig(plot / f"{task}.png")
        output.print(f"{plot / f'{task}.png'}", highlight=False)
