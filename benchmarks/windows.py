"""Random training windows: samples per second beside the `the-well` package and raw h5py, in one run on the same files.

    OMP_NUM_THREADS=1 python benchmarks/windows.py

Two files of The Well's layout, made here: many small trajectories, and few large frames (315 MB by default). Every
method reads the same windows in the same order, the methods taking turns within each round; the ratios are those of
the medians of the rounds. "raw h5py" keeps one handle and reads one slice per field, in stored order, without putting
the fields into one tensor: the least that anything on top of h5py can do. Every method's values are compared first.
Writes results/windows.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import h5py
import numpy as np
import torch
from torch.utils.data import DataLoader

from sciml.datasets.channel import Axis, Channel
from sciml.datasets.convert import convert
from sciml.datasets.header import Header, Trajectory
from sciml.datasets.open import open_dataset
from sciml.datasets.windows import Trajectories
from sciml.datasets.writer import write_dataset

WINDOW = 5
FIELDS = ("t0_fields/density", "t0_fields/pressure", "t1_fields/velocity")
CHANNELS = (
    Channel("density"),
    Channel("pressure"),
    Channel("velocity_x", field="velocity", component="x"),
    Channel("velocity_y", field="velocity", component="y"),
)


@dataclass(frozen=True)
class Case:
    """A file to read from: trajectories of frames on a square grid."""

    name: str
    trajectories: int
    frames: int
    size: int
    samples: int


@dataclass(frozen=True)
class Row:
    """A line of the table: medians over rounds."""

    case: str
    method: str
    milliseconds: float
    samples_per_second: float
    ratio_to_the_well: float
    ratio_to_h5py: float


def main() -> None:
    args = _arguments()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    rows, openings = [], {}
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        for case in cases(args.scale):
            native, well = write_files(Path(folder), case)
            if case.name == "small":
                openings = {path.name: opening_milliseconds(path) for path in (native, well)}
            rows += measure(case, native, well, args.rounds)
            native.unlink()
    report(rows, openings, args)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=float, default=1.0, help="of the number of trajectories and samples")
    parser.add_argument("--folder", type=Path, default=None, help="where the files are made; the system's by default")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    return parser.parse_args()


def cases(scale: float) -> list[Case]:
    """1000 trajectories of 21 frames of 32 by 32; 10 of 30 frames of 256 by 256."""
    return [
        Case("small", max(8, int(1000 * scale)), 21, 32, max(8, int(400 * scale))),
        Case("large", max(2, int(10 * scale)), 30, 256, max(8, int(48 * scale))),
    ]


def write_files(folder: Path, case: Case) -> tuple[Path, Path]:
    """The case in our layout and in The Well's."""
    grid = np.arange(case.size) / case.size
    axes = (Axis("x", grid, boundary="periodic"), Axis("y", grid, boundary="periodic"))
    header = Header(channels=CHANNELS, axes=axes, times=np.arange(float(case.frames)), parameters={"nu": ""})
    rng = np.random.default_rng(0)
    shape = (case.frames, len(CHANNELS), case.size, case.size)
    trajectories = (
        Trajectory(
            rng.standard_normal(shape, dtype=np.float32), parameters={"nu": i / case.trajectories}, split="train"
        )
        for i in range(case.trajectories)
    )
    native = write_dataset(folder / f"{case.name}.h5", header, trajectories, count=case.trajectories, statistics=False)
    well = folder / case.name / "data" / "train" / f"{case.name}.hdf5"
    convert(native, well, layout="the_well")
    return native, well


def opening_milliseconds(path: Path) -> float:
    """The least time of opening a file as a user would, the first opening of it included."""
    return min(_timed(lambda: open_dataset(path)) for _ in range(5)) * 1e3


def measure(case: Case, native: Path, well: Path, rounds: int) -> list[Row]:
    """Every method in every round, in an order that changes from round to round."""
    methods = build_methods(native, well)
    lengths = case.frames - WINDOW + 1
    rng = random.Random(0)
    indices = [rng.randrange(case.trajectories * lengths) for _ in range(case.samples)]
    check(methods, indices[:3])
    times: dict[str, list[float]] = {name: [] for name in methods}
    for number in range(rounds):
        order = list(methods)
        random.Random(number).shuffle(order)
        for name in order:
            times[name].append(_timed(lambda read=methods[name]: read(indices)) / len(indices))
        print(f"{case.name}: round {number + 1} of {rounds}", flush=True)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return [
        Row(
            case.name, name, 1e3 * seconds, 1 / seconds, medians["WellDataset"] / seconds, medians["raw h5py"] / seconds
        )
        for name, seconds in medians.items()
    ]


def build_methods(native: Path, well: Path) -> dict[str, Callable[[Sequence[int]], list[np.ndarray]]]:
    """Name -> reads the windows of some indices and returns them as (time, *space, channel) or what it has."""
    from the_well.data import WellDataset

    theirs = WellDataset(path=str(well.parent), n_steps_input=WINDOW - 1, n_steps_output=1)
    ours = {"Trajectories, Well file": Trajectories(well, window=WINDOW)}
    ours["Trajectories, native file"] = Trajectories(native, window=WINDOW)
    file = h5py.File(well, "r")
    stored = [file[name] for name in FIELDS]
    windows = stored[0].shape[1] - WINDOW + 1

    def raw(indices: Sequence[int]) -> list[object]:
        starts = [(i // windows, slice(i % windows, i % windows + WINDOW)) for i in indices]
        return [[field[start] for field in stored] for start in starts]

    methods: dict[str, Callable] = {"WellDataset": lambda indices: [theirs[i] for i in indices], "raw h5py": raw}
    for name, dataset in ours.items():
        methods[name] = lambda indices, dataset=dataset: [dataset[i] for i in indices]
    methods["WellDataset in DataLoader"] = lambda indices: _loaded(theirs, indices)
    methods["Trajectories in DataLoader, Well file"] = lambda indices: _loaded(ours["Trajectories, Well file"], indices)
    return methods


def _loaded(dataset: torch.utils.data.Dataset, indices: Sequence[int]) -> list[object]:
    return list(DataLoader(dataset, batch_size=4, sampler=list(indices)))


def check(methods: dict[str, Callable], indices: Sequence[int]) -> None:
    """Everyone must have read the same numbers."""
    expected = [np.concatenate([d[..., None], p[..., None], v], axis=-1) for d, p, v in methods["raw h5py"](indices)]
    for name in ("Trajectories, Well file", "Trajectories, native file"):
        for item, truth in zip(methods[name](indices), expected, strict=True):
            np.testing.assert_array_equal(np.moveaxis(item.u.numpy(), 1, -1), truth, err_msg=name)
    for item, truth in zip(methods["WellDataset"](indices), expected, strict=True):
        both = np.concatenate([item["input_fields"], item["output_fields"]])
        np.testing.assert_array_equal(both, truth, err_msg="WellDataset")


def _timed(run: Callable[[], object]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def report(rows: Sequence[Row], openings: dict[str, float], args: argparse.Namespace) -> None:
    """Print the table and write it as JSON and Markdown."""
    machine = {"python": platform.python_version(), "torch": torch.__version__, "h5py": h5py.__version__}
    machine |= {"cores": str(os.cpu_count()), "load": f"{os.getloadavg()[0]:.1f}"}
    lines = ["| file | method | ms / sample | samples / s | x WellDataset | x raw h5py |", "|---|---|---|---|---|---|"]
    lines += [
        f"| {r.case} | {r.method} | {r.milliseconds:.3f} | {r.samples_per_second:.0f} "
        f"| {r.ratio_to_the_well:.2f} | {r.ratio_to_h5py:.2f} |"
        for r in rows
    ]
    opened = ", ".join(f"{name} {milliseconds:.1f} ms" for name, milliseconds in openings.items())
    text = "\n".join([*lines, "", f"Opening the file of many trajectories: {opened}.", "", f"{machine}", ""])
    print(text)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "windows.md").write_text(text)
    record = {"machine": machine, "opening_ms": openings, "rows": [asdict(row) for row in rows]}
    (args.out / "windows.json").write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
