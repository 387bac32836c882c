"""Films of a scene's run."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from sciml.datasets.dataset import Dataset
from sciml.datasets.open import open_dataset
from sciml.plots.film import Film
from sciml.plots.splat import View
from sciml.scenes.filling import shift
from sciml.scenes.sampling import Regular, Room
from sciml.scenes.scene import Scene

COLOURS = ("auto", "material", "speed")


def draw(scene: Scene, path: str | Path, *, colour: str = "auto", width: int = 480, every: float = 25.0) -> list[Path]:
    """Write a GIF, a strip of moments (PNG) and, where FFmpeg is there, an MP4 beside a run's file.

    Args:
        scene: that was simulated.
        path: of the run's file.
        colour: "material", "speed", or "auto": by material where there are several.
        width: of the pictures, in pixels.
        every: frames per second.

    Returns:
        The files.

    Raises:
        ValueError: another colour.
    """
    path = Path(path)
    film = film_of(scene, open_dataset(path), colour=colour, width=width)
    found = [
        film.save_gif(path.with_suffix(".gif"), frames_per_second=every),
        film.save_strip(path.with_suffix(".png")),
        film.save_mp4(path.with_suffix(".mp4"), frames_per_second=every),
    ]
    return [file for file in found if file is not None]


def film_of(scene: Scene, dataset: Dataset, *, colour: str = "auto", width: int = 480) -> Film:
    """Pictures of a run."""
    if colour not in COLOURS:
        raise ValueError(f"Expected colour to be one of {', '.join(COLOURS)}, got {colour!r}.")
    grid, times = scene.grid, dataset.times_of(0)
    by_material = colour == "material" or (colour == "auto" and len(scene.materials) > 1)
    velocity = _Fields(dataset, "velocity")
    speeds = None if by_material else _Speeds(velocity)
    shown = np.linspace(0, len(times) - 1, min(len(times), 20)).astype(int)
    fastest = 1.0 if speeds is None else max(float(np.quantile(speeds[frame], 0.99)) for frame in shown)
    upwards = int(np.abs(np.asarray(scene.gravity)).argmax()) if any(scene.gravity) else grid.dim - 1
    spacing = float(scene.cloud.volume.median()) ** (1 / grid.dim)
    return Film(
        _Fields(dataset, "position"),
        times.tolist(),
        View(grid.low, grid.high, up=upwards, width=width),
        radius=0.62 * spacing,
        kinds=scene.cloud.kind.numpy(),
        speeds=speeds,
        fastest=fastest,
        still=_Still(scene, times, spacing) if scene.obstacles else None,
        release=scene.cloud.release.numpy() if scene.emitters else None,
    )


class _Fields:
    """A vector of the points at each frame, read when it is asked for."""

    def __init__(self, dataset: Dataset, field: str) -> None:
        self._dataset = dataset
        self._names = [channel.name for channel in dataset.channels if channel.field == field]

    def __getitem__(self, frame: int) -> np.ndarray:
        return self._dataset.read(0, slice(frame, frame + 1), names=self._names)[0]


class _Speeds:
    """The length of that vector."""

    def __init__(self, velocity: _Fields) -> None:
        self._velocity = velocity

    def __getitem__(self, frame: int) -> np.ndarray:
        return np.linalg.norm(self._velocity[frame], axis=-1)


class _Still:
    """Points of the obstacles, inside the box, at each frame: all of them in 2D, a shell in 3D."""

    def __init__(self, scene: Scene, times: np.ndarray, spacing: float) -> None:
        self._scene, self._times = scene, times
        grid, sides = scene.grid, [b - a for a, b in zip(scene.grid.low, scene.grid.high)]
        room = Room(
            tuple(a - side for a, side in zip(grid.low, sides)), tuple(b + side for b, side in zip(grid.high, sides))
        )
        still = [obstacle.path is None for obstacle in scene.obstacles]
        box = Room(grid.low, grid.high)
        generator = torch.Generator().manual_seed(0)
        self._points = []
        for obstacle, stands in zip(scene.obstacles, still):
            points = Regular().points(obstacle.distance, box if stands else room, spacing, generator)
            if grid.dim == 3 and len(points):
                points = points[obstacle.distance(points).detach() > -1.8 * spacing]
            self._points.append(points)

    def __getitem__(self, frame: int) -> np.ndarray:
        grid = self._scene.grid
        moved = [
            points + shift(obstacle, float(self._times[frame]), grid.dim)
            for points, obstacle in zip(self._points, self._scene.obstacles)
        ]
        points = torch.cat(moved).numpy()
        return points[((points >= grid.low) & (points <= grid.high)).all(axis=1)]
