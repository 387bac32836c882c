"""Bring your own data: arrays to our HDF5 layout, to xarray, to training windows, through validation, to The Well.

The arrays here are standing shallow-water waves in a square basin, in basins of different depth: a scalar field, a
vector field, units, and a physical parameter for each trajectory.

Run: python examples/own_data.py --out runs/own_data
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import typer
import xarray as xr
from torch.utils.data import DataLoader

from sciml import Trajectories, open_dataset
from sciml.datasets import Axis, Channel, Header, Trajectory, convert, validate, write_dataset
from sciml.plots.trajectory import draw_trajectory

GRAVITY, SIDE = 9.81, 1000.0  # m/s^2, m


def wave(depth: float, times: np.ndarray, points: int) -> np.ndarray:
    """(time, channel, x, y) of surface height and velocity: an exact solution of the linear equations."""
    centres = (np.arange(points) + 0.5) * SIDE / points
    x, y = np.meshgrid(centres, centres, indexing="ij")
    kx, ky = 2 * np.pi / SIDE, 3 * np.pi / SIDE
    frequency = np.sqrt(GRAVITY * depth * (kx**2 + ky**2))
    rise, flow = np.cos(frequency * times), GRAVITY / frequency * np.sin(frequency * times)
    height = np.cos(kx * x) * np.cos(ky * y)
    velocity_x, velocity_y = kx * np.sin(kx * x) * np.cos(ky * y), ky * np.cos(kx * x) * np.sin(ky * y)
    return np.array([[a * height, b * velocity_x, b * velocity_y] for a, b in zip(rise, flow)])


def write(path: Path, depths: np.ndarray, points: int) -> Path:
    """Everything that the arrays alone do not say goes into the header."""
    times = np.arange(21) * 2.0
    centres = (np.arange(points) + 0.5) * SIDE / points
    header = Header(
        channels=(
            Channel("height", units="m"),
            Channel("velocity_x", units="m/s", field="velocity", component="x"),
            Channel("velocity_y", units="m/s", field="velocity", component="y"),
        ),
        axes=tuple(Axis(name, centres, units="m", boundary="wall") for name in "xy"),
        times=times,
        time_units="s",
        parameters={"depth": "m"},
        attributes={"title": "Standing waves in a square basin", "source": "exact linear solution"},
    )
    splits = ["test", "valid"] + ["train"] * (len(depths) - 2)
    trajectories = [
        Trajectory(wave(depth, times, points), parameters={"depth": depth}, split=split)
        for depth, split in zip(depths, splits)
    ]
    return write_dataset(path, header, trajectories)


def main(out: Path = Path("runs/own_data"), small: bool = False) -> None:
    """Write ``waves.h5``, ``waves.png`` and the directory ``waves_well`` to OUT."""
    out.mkdir(parents=True, exist_ok=True)
    path = write(out / "waves.h5", np.linspace(5, 50, 4 if small else 20), 16 if small else 64)

    with xr.open_dataset(path, engine="h5netcdf") as waves:  # any netCDF tool reads it
        print(waves["velocity"].dims, waves["height"].attrs["units"], waves["depth"].values[:3])

    windows = Trajectories(path, split="train", window=5, stride=2, parameters=["depth"])
    t, u = next(iter(DataLoader(windows, batch_size=2, shuffle=True)))
    print([channel.name for channel in windows.channels], tuple(t.shape), tuple(u.shape), "dt =", windows.dt)

    report = validate(path)
    print("valid" if report.ok else "not valid", *(f"{f.severity}: {f.where}: {f.what}" for f in report.findings))

    well = out / "waves_well"
    if not well.exists():
        print(*convert(path, well, layout="the_well").lost, sep="\n")
    print(open_dataset(well).to_xarray())
    draw_trajectory(open_dataset(path), 0, out / "waves.png")


if __name__ == "__main__":
    typer.run(main)
