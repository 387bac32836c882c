"""PDEBench, one group per seed (diffusion-sorption, diffusion-reaction, radial dam break), and ns_incom.

``<seed>/data`` is (time, *space, channel), ``<seed>/grid/{x,y,t}`` its coordinates, the group's attribute ``config``
a YAML text. Seeds are sorted as strings. The reference loader tests on the last 10 % and trains on the rest; here the
10 % before those are "valid". Groups are checked as they are read; ``validate`` checks them all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path

import h5py
import numpy as np
import yaml

from .channel import Axis, Channel
from .dataset import Dataset
from .errors import DatasetError
from .grids import coordinates, tail_splits, times, unit_grid
from .handles import h5_file
from .hdf5 import H5Array, attribute, dataset, has, read, resolve
from .variable import Variable

# What the configurations hold beside physical parameters.
NOT_PHYSICAL = re.compile(
    r"seed|[txy]?dim|t|[xyt]_?\w*(left|right|top|bottom|min|max|start|end)\w*|n_?[txy]|dt|n_\w*batch"
)


def is_grouped(file: h5py.File) -> bool:
    """Whether the file has one group per seed."""
    first = next(iter(file), "")
    if not first.isdigit():
        return False
    group = resolve(file, first)
    return has(group, "data") or has(group, "grid")


def open_grouped(path: Path) -> Dataset:
    """Open a file of one group per seed.

    Raises:
        DatasetError: a seed without ``data``, or a first seed whose grid disagrees with it.
    """
    file = h5_file(path)
    seeds = tuple(sorted(name for name in file if name.isdigit()))
    configs = [_config(file, seed) for seed in seeds]
    first, where = seeds[0], f"{seeds[0]}/data"
    shape = dataset(file, where).shape
    if len(shape) not in (3, 4, 5):
        raise DatasetError(path, f"has shape {shape}, expected (time, x[, y[, z]], channel).", where=where)
    kind = f"{path.stem} {configs[0].get('name', '')}".lower()
    order, notes = _order(file, first, shape[1:-1], kind)
    points = dict(zip(order, shape[1:-1]))
    axes = tuple(Axis(n, coordinates(file, f"{first}/grid/{n}", points[n], where)) for n in sorted(order))
    source = H5Array(path, "data", seeds, shape)
    return Dataset(
        path=path,
        layout="pdebench",
        variables=(Variable(_channels(kind, shape[-1]), ("time", *order, "channel"), source),),
        axes=axes,
        times=times(file, f"{first}/grid/t", shape[0], where),
        lengths=np.full(len(seeds), shape[0]),
        parameters=_parameters(configs),
        splits=tail_splits(len(seeds), valid=max(1, len(seeds) // 10), test=max(1, len(seeds) // 10)),
        attributes={"config": configs[0], "seeds": list(seeds)},
        notes=tuple(notes),
    )


def _order(file: h5py.File, seed: str, points: tuple[int, ...], kind: str) -> tuple[tuple[str, ...], list[str]]:
    """Names of the stored spatial axes."""
    order = ("x", "y", "z")[: len(points)]
    if len(points) != 2:
        return order, []
    size = {name: dataset(file, f"{seed}/grid/{name}").size for name in order}
    if size["x"] != size["y"]:
        swapped = points == (size["y"], size["x"])
        return (("y", "x"), ["Axes are stored as (time, y, x)."]) if swapped else (order, [])
    if "diff-react" in kind:
        note = (
            "Axes are taken as (time, y, x): the generator of diff-react reshapes so, although its documentation says "
            "(time, x, y); the grid is square, so the file itself cannot tell."
        )
        return ("y", "x"), [note]
    return order, []


def _channels(kind: str, count: int) -> tuple[Channel, ...]:
    if count == 1:
        return (Channel("h" if "rdb" in kind or "swe" in kind else "u"),)
    names = ("u", "v", "w")[:count] if count <= 3 else tuple(f"u{i}" for i in range(count))
    return tuple(Channel(name) for name in names)


def _config(file: h5py.File, seed: str) -> Mapping:
    group = resolve(file, seed)
    if not has(group, "data"):
        there = ", ".join(group) if isinstance(group, h5py.Group) else "a dataset"
        problem = f"is missing; found: {there or 'nothing'}."
        remedy = "Remove the group, or write the seed again."
        raise DatasetError(file.filename, problem, where=f"{seed}/data", remedy=remedy)
    return parse_config(str(attribute(group, "config", "")))


def parse_config(text: str) -> Mapping:
    """A YAML configuration as nested mappings; {} where it is none."""
    return _parsed(re.sub(r"(?m)^(\s*)seed:.*$", r"\1seed: 0", text))  # seeds apart, texts repeat: parse each once


@lru_cache(maxsize=256)
def _parsed(text: str) -> Mapping:
    try:
        config = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _parameters(configs: list[Mapping]) -> dict[str, np.ndarray]:
    found = [_physical(config) for config in configs]
    names = dict.fromkeys(name for one in found for name in one)
    return {name: np.array([one.get(name, np.nan) for one in found]) for name in names}


def _physical(config: Mapping) -> dict[str, float]:
    entries = config.get("sim", config)
    entries = entries if isinstance(entries, dict) else {}
    return {
        str(name): float(value)
        for name, value in entries.items()
        if type(value) in (int, float) and not NOT_PHYSICAL.fullmatch(str(name))
    }


def is_ns_incom(file: h5py.File) -> bool:
    """Whether the file is one of the incompressible Navier-Stokes set."""
    return has(file, "velocity") and has(file, "particles")


def open_ns_incom(path: Path) -> Dataset:
    """Open a file of the incompressible Navier-Stokes set.

    ``velocity`` and ``particles`` (the density of the advected scalar) are (sample, time, x, y, channel), ``force`` is
    static, ``t`` is each sample's clock.

    Raises:
        DatasetError: shapes that disagree.
    """
    file = h5_file(path)
    shape = dataset(file, "velocity").shape
    if len(shape) != 5:
        raise DatasetError(path, f"has shape {shape}, expected (sample, time, x, y, 2).", where="velocity")
    expected = {"particles": (*shape[:4], 1), "force": (shape[0], *shape[2:4], 2), "t": shape[:2]}
    for name, want in expected.items():
        if has(file, name) and dataset(file, name).shape != want:
            problem = f"has shape {dataset(file, name).shape}, expected {want} beside velocity of shape {shape}."
            raise DatasetError(path, problem, where=name)
    frame = ("x", "y", "channel")
    variables = [
        Variable(_vector("velocity"), ("sample", "time", *frame), H5Array(path, "velocity")),
        Variable((Channel("tracer"),), ("sample", "time", *frame), H5Array(path, "particles")),
    ]
    if has(file, "force"):
        variables.append(Variable(_vector("force", static=True), ("sample", *frame), H5Array(path, "force")))
    config = parse_config(str(attribute(file, "config", "")))
    return Dataset(
        path=path,
        layout="pdebench",
        variables=tuple(variables),
        axes=tuple(Axis(name, unit_grid(n)) for name, n in zip("xy", shape[2:4])),
        times=read(dataset(file, "t")).astype(np.float64) if has(file, "t") else np.arange(float(shape[1])),
        lengths=np.full(shape[0], shape[1]),
        parameters={name: np.full(shape[0], value) for name, value in _physical(config).items()},
        splits=tail_splits(shape[0], valid=max(1, shape[0] // 10), test=max(1, shape[0] // 10)),
        attributes={name: attribute(file, name) for name in file.attrs},
        notes=(
            "No coordinates in the file: assumed the unit square.",
            "The tracer is stored as `particles`: the density of the advected scalar.",
        ),
    )


def _vector(field: str, *, static: bool = False) -> tuple[Channel, ...]:
    return tuple(Channel(f"{field}_{c}", field=field, component=c, static=static) for c in "xy")
