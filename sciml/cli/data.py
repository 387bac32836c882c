"""``sciml data``: look into datasets, check, convert and make them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from sciml.cli.console import counting, errors, name_list, output
from sciml.cli.describe import describe, description_table
from sciml.cli.pdegym import pdegym
from sciml.datasets.convert import convert as convert_dataset
from sciml.datasets.open import open_dataset
from sciml.datasets.validate import validate as validate_dataset
from sciml.datasets.windows import Trajectories
from sciml.generation.catalogue import FAMILIES, family_named
from sciml.generation.make import make as make_dataset
from sciml.generation.recipe import Recipe
from sciml.generation.toml_recipe import read_recipe
from sciml.plots.trajectory import draw_trajectory

data = typer.Typer(
    no_args_is_help=True,
    help="Look into datasets, check, convert and make them. Reads PDEBench, The Well, PDEGym (Poseidon), "
    "LagrangeBench, GNS, GIOROM, NCLaw, neuraloperator and FNO files, and our own NetCDF-4 layout.",
)
data.command()(pdegym)
File = Annotated[Path, typer.Argument(help="A file, or a directory that a layout treats as one dataset.")]


@data.command()
def info(file: File, as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False) -> None:
    """What a file holds: layout, axes, channels, units, times, parameters, splits."""
    found = describe(open_dataset(file))
    output.print_json(json.dumps(found)) if as_json else output.print(description_table(found))


@data.command()
def validate(file: File) -> None:
    """Read every trajectory and report what is wrong.

    The exit code is 1 if there are errors and 2 if the file cannot be read at all.
    """
    with counting(f"reading {file.name}") as progress:
        report = validate_dataset(file, progress=progress)
    for finding in report.findings:
        errors.print(f"{finding.severity}: {finding.where}: {finding.what} {finding.remedy}", markup=False)
    wrong = sum(finding.severity == "error" for finding in report.findings)
    output.print(
        f"{file}: {report.trajectories} trajectories read, {wrong} errors, {len(report.findings) - wrong} other"
    )
    if wrong:
        raise typer.Exit(1 if report.layout else 2)


@data.command()
def stats(
    file: File,
    split: Annotated[str, typer.Option(help="The split to compute over.")] = "train",
    as_json: Annotated[bool, typer.Option("--json", help="For programs.")] = False,
) -> None:
    """Per-channel statistics of a split: mean, std, rms, and those of the differences of consecutive frames."""
    windows = Trajectories(file, split=split)
    found = windows.statistics
    columns = {name: getattr(found, name) for name in ("mean", "std", "rms", "mean_delta", "std_delta", "rms_delta")}
    names = [channel.name for channel in windows.channels]
    if as_json:
        output.print_json(json.dumps({name: dict(zip(names, values.tolist())) for name, values in columns.items()}))
        return
    table = Table("channel", *columns, title=f"{file}, split {split}", title_justify="left")
    for k, channel in enumerate(windows.channels):
        table.add_row(channel.name, *(f"{values[k]:.6g}" for values in columns.values()))
    output.print(table)


@data.command()
def convert(
    source: File,
    target: Annotated[Path, typer.Argument(help="The file, or for some layouts the directory, to write.")],
    to: Annotated[str, typer.Option(help="native, the_well, pdebench or lagrangebench.")] = "native",
    compression: Annotated[int, typer.Option(help="gzip level 0 to 9, of the native layout.")] = 0,
    overwrite: Annotated[bool, typer.Option(help="Replace TARGET if it exists.")] = False,
) -> None:
    """Write a dataset in another layout, trajectory by trajectory; TARGET appears when it is complete."""
    if target.exists() and not overwrite:
        raise ValueError(f"{target} exists. Choose another name, or pass --overwrite.")
    with counting(f"writing {target.name}") as progress:
        done = convert_dataset(source, target, layout=to, compression=compression, progress=progress)
    for sentence in done.lost:
        errors.print(f"note: {sentence}", markup=False)
    output.print(f"{done.path}: {done.trajectories} trajectories, {to} layout", highlight=False)


@data.command()
def make(
    family: Annotated[str, typer.Argument(help="A family (see `sciml data families`), or a TOML recipe.")],
    out: Annotated[Path, typer.Argument(help="The file to write.")],
    trajectories: Annotated[int, typer.Option(help="How many; 0, here and below, for the family's default.")] = 0,
    size: Annotated[int, typer.Option(help="Points along each axis; of particles, how many.")] = 0,
    frames: Annotated[int, typer.Option(help="Of each trajectory, the initial state included.")] = 0,
    dt: Annotated[float, typer.Option(help="Time between frames.")] = 0.0,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A parameter: NAME=VALUE or NAME=LOW:HIGH.")] = None,
    splits: Annotated[str, typer.Option(help="Trajectories in train,valid,test; 80, 10 and 10 % by default.")] = "",
    supersample: Annotated[int, typer.Option(help="How much finer the solver's grid is.")] = 0,
    shard_size: Annotated[int, typer.Option(help="Trajectories stepped as one batch.")] = 0,
    seed: Annotated[int, typer.Option(help="Of all randomness.")] = 0,
    dtype: Annotated[str, typer.Option(help="float32 or float64.")] = "float32",
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    workers: Annotated[int, typer.Option(help="Processes on this machine.")] = 1,
    dask: Annotated[str | None, typer.Option(help="Address of a dask.distributed scheduler to use instead.")] = None,
    overwrite: Annotated[bool, typer.Option(help="Replace a file of another recipe.")] = False,
) -> None:
    """Make a dataset.

    The bytes depend on the recipe alone, not on the workers or on interruptions: run the command again to go on.

        sciml data make navier-stokes-2d ns.h5 --size 128 --trajectories 200 --workers 8 --set viscosity=1e-4:1e-3
    """
    if family.endswith(".toml"):
        recipe = read_recipe(family)
    else:
        recipe = Recipe(
            family_named(family),
            trajectories=trajectories,
            size=size,
            frames=frames,
            dt=dt,
            seed=seed,
            dtype=dtype,
            device=device,
            shard_size=shard_size,
            supersample=supersample,
            parameters=dict(_parameter(text) for text in set_ or []),
            splits=_counts(splits),
        )
    with counting(f"making {out.name}") as progress:
        path = make_dataset(recipe, out, workers=workers, dask_address=dask, overwrite=overwrite, progress=progress)
    output.print(f"{path}: {recipe.trajectories} trajectories of {recipe.family.name}", highlight=False)


@data.command()
def families() -> None:
    """The families of `sciml data make`, with their equations and parameters."""
    table = Table(show_lines=True)
    table.add_column("family", no_wrap=True)
    for heading in ("equation", "points", "frames", "dt", "parameters"):
        table.add_column(heading)
    for family in FAMILIES.values():
        parameters = "\n".join(f"{p.name} = {_range(p.default)}" for p in family.parameters)
        table.add_row(family.name, family.equation, str(family.size), str(family.frames), f"{family.dt:g}", parameters)
    output.print(table)


@data.command()
def plot(
    file: File,
    out: Annotated[Path, typer.Option("--out", "-o", help="PNG, PDF or SVG; a GIF shows all frames.")] = Path(
        "fields.png"
    ),
    trajectory: Annotated[int, typer.Option(help="Which one.")] = 0,
    channels: Annotated[str, typer.Option(help="Names, separated by commas; all by default.")] = "",
) -> None:
    """Draw frames of one trajectory."""
    drawn = draw_trajectory(open_dataset(file), trajectory, out, names=name_list(channels) or None)
    output.print(f"{drawn}", highlight=False)


def _parameter(text: str) -> tuple[str, float | tuple[float, float]]:
    name, _, value = text.partition("=")
    try:
        numbers = [float(part) for part in value.split(":")]
    except ValueError:
        numbers = []
    if len(numbers) not in (1, 2):
        raise ValueError(f"Expected --set NAME=VALUE or NAME=LOW:HIGH, got {text!r}.")
    return name, numbers[0] if len(numbers) == 1 else (numbers[0], numbers[1])


def _counts(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(part) for part in name_list(text))
    except ValueError:
        raise ValueError(f"Expected --splits as three counts such as 64,8,16; got {text!r}.") from None


def _range(value: float | tuple[float, float]) -> str:
    return f"{value[0]:g} to {value[1]:g}" if isinstance(value, tuple) else f"{value:g}"
