"""A run on disk: frames as they come, the full state of the last one, and the dataset made of them.

While it runs there are ``RUN.h5.frames``, the numbers of the frames one after the other, and ``RUN.state.safetensors``,
which is replaced whole after each frame and says how many of them count. So a process killed at any moment loses the
frame it was at. When the run ends, well or not, the frames become ``RUN.h5`` and the raw ones go; the state stays, for
who wants to go on.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from torch import Tensor, nn

from sciml.datasets.atomic import replacing
from sciml.datasets.channel import Axis, Channel
from sciml.datasets.header import Header, Trajectory
from sciml.datasets.open import open_dataset
from sciml.datasets.writer import write_dataset
from sciml.kernels.material_point.contact import Walls
from sciml.scenes.filling import shift
from sciml.scenes.materials import parameters_of
from sciml.scenes.scene import Scene
from sciml.solvers.material_point.state import MaterialPoints
from sciml.tensor_file import read_tensors, write_tensors


@dataclass(frozen=True, eq=False)
class Reached:
    """How far a run has come.

    Attributes:
        state: at its last frame, on the CPU.
        frames: how many there are.
        steps: of the method, so far.
    """

    state: MaterialPoints
    frames: int
    steps: int


class Record:
    """The files of one run of a scene.

    Args:
        scene: that is simulated.
        path: of the dataset to be.
    """

    def __init__(self, scene: Scene, path: str | Path) -> None:
        self.scene, self.path = scene, Path(path)
        self.frames = self.path.with_name(self.path.name + ".frames")
        self.state = self.path.with_name(self.path.stem + ".state.safetensors")
        self._fingerprint = fingerprint(scene)
        self._shape = (len(scene.cloud.kind), 2 * scene.grid.dim)
        self._dtype = np.dtype("<f4" if scene.dtype == torch.float32 else "<f8")

    @property
    def started(self) -> bool:
        """Whether anything of a run is there."""
        return self.state.is_file() or self.path.exists()

    def begin(self) -> None:
        """Forget an earlier run; its dataset stays until the new one takes its place."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.state.unlink(missing_ok=True)
        self.frames.write_bytes(b"")

    def add(self, reached: Reached) -> None:
        """Write the frame, then the state that makes it count."""
        values = torch.cat([reached.state["position"], reached.state["velocity"]], dim=-1)[0]
        with open(self.frames, "r+b") as file:
            file.seek(self._bytes * (reached.frames - 1))
            file.write(values.numpy().astype(self._dtype).tobytes())
            file.flush()
            os.fsync(file.fileno())
        header = {"frames": reached.frames, "steps": reached.steps, "scene": self._fingerprint}
        write_tensors(self.state, _tensors(reached.state), header)

    def resume(self) -> Reached:
        """Where the run stopped, its frames laid ready for more.

        Raises:
            ValueError: the files are of another scene, or one of them is missing or damaged.
        """
        found = read_tensors(self.state)
        if found.header.get("scene") != self._fingerprint:
            raise ValueError(
                f"{self.state} is the state of another scene. Only duration and frames may differ, with the same time "
                "between frames. Restore the scene, choose another file, or start again with overwrite."
            )
        reached = Reached(
            MaterialPoints(**{name: found.tensors[name] for name in MaterialPoints.__annotations__}),  # type: ignore[typeddict-item]
            int(found.header["frames"]),
            int(found.header["steps"]),
        )
        if not self.frames.is_file() or self.frames.stat().st_size < reached.frames * self._bytes:
            self._unpack(reached.frames)
        os.truncate(self.frames, reached.frames * self._bytes)
        return reached

    def finish(self, count: int) -> Path:
        """Make the dataset of the first ``count`` frames, put it in its place and remove the raw ones."""
        shape = (count, *self._shape)
        u = np.memmap(self.frames, self._dtype, mode="r", shape=shape)
        header = _header(self.scene, count)
        trajectory = Trajectory(u=u, static=static_values(self.scene), parameters=material_parameters(self.scene))
        beside = self.path.with_name(self.path.name + ".whole")
        try:
            write_dataset(beside, header, [trajectory], statistics=False)
            with h5py.File(beside, "r+") as file:
                _add_invariants(file, self.scene, u)
            os.replace(beside, self.path)
        finally:
            beside.unlink(missing_ok=True)
        del u
        self.frames.unlink()
        return self.path

    @property
    def _bytes(self) -> int:
        """Of a frame."""
        return int(np.prod(self._shape)) * self._dtype.itemsize

    def _unpack(self, count: int) -> None:
        """Raw frames out of the dataset that an earlier run ended with."""
        if not self.path.is_file():
            raise ValueError(f"{self.path} is missing, the frames that {self.state} goes on from. Start again.")
        dataset = open_dataset(self.path)
        names = [channel.name for channel in channels_of(self.scene.grid.dim) if not channel.static]
        there = int(dataset.lengths[0])
        if there < count:
            raise ValueError(f"Expected {count} frames in {self.path}, as its state has, got {there}. Start again.")
        with replacing(self.frames) as partial, open(partial, "wb") as file:
            for frame in range(count):
                file.write(dataset.read(0, slice(frame, frame + 1), names=names).astype(self._dtype).tobytes())


def material_parameters(scene: Scene) -> dict[str, float]:
    """Parameters of all materials, by the name of the first body that is of each: ``jelly_young``."""
    found: dict[str, float] = {}
    for kind, name in enumerate(material_names(scene)):
        values = parameters_of(scene.materials[kind])
        found |= {f"{name}_{parameter}": value for parameter, value in values.items()}
    return found


def material_names(scene: Scene) -> list[str]:
    """A name for each material: that of its first body as far as it can be part of a file's, else ``material_0``."""
    names: list[str] = []
    for kind, material in enumerate(scene.materials):
        first = next(part for part in scene.parts if part.material is material)
        name = "".join(c if c.isalnum() and c.isascii() else "_" for c in first.name)
        names.append(name if name[:1].isalpha() and name not in names else f"material_{kind}")
    return names


def fingerprint(scene: Scene) -> str:
    """Stands for all that a step depends on: points, materials, grid, walls, obstacles, time between frames."""
    digest = hashlib.blake2b(digest_size=16)
    grid, cloud = scene.grid, scene.cloud
    walls = Walls.of(scene.walls, grid.dim, 3)
    said = (grid, scene.gravity, walls, scene.courant, str(scene.dtype), f"{scene.dt:.12g}")
    digest.update(repr(said).encode())
    tensors = [cloud.position, cloud.velocity, cloud.volume, cloud.release, cloud.kind]
    for material in scene.materials:
        digest.update(f"{type(material).__name__} {material.density}".encode())
        if isinstance(material, nn.Module):
            own = [vars(part) for part in material.modules()]
            plain = [{k: v for k, v in values.items() if isinstance(v, (int, float, str))} for values in own]
            digest.update(f"{material!r} {plain}".encode())
            tensors += [value.detach().cpu() for value in (*material.parameters(), *material.buffers())]
    for obstacle in scene.obstacles:
        digest.update(repr(obstacle.contact).encode())
        moves = [shift(obstacle, t, grid.dim) for t in (0.0, scene.dt, 7 * scene.dt)]
        tensors += [obstacle.distance(cloud.position[:: max(1, len(cloud.position) // 1000)]).detach(), *moves]
    for tensor in tensors:
        digest.update(tensor.double().contiguous().numpy().tobytes())
    return digest.hexdigest()


def channels_of(dim: int, *, release: bool = False) -> tuple[Channel, ...]:
    """Positions and velocities, then what does not change; with when points come in where they come in later."""
    axes = "xyz"[:dim]
    names = ("particle_type", "mass", "volume", *(("release",) if release else ()))
    moving = [Channel(f"{field}_{c}", field=field, component=c) for field in ("position", "velocity") for c in axes]
    return (*moving, *(Channel(name, static=True) for name in names))


def static_values(scene: Scene) -> np.ndarray:
    """(node, channel) of the static channels, float64."""
    cloud = scene.cloud
    values = [cloud.kind.double(), cloud.mass, cloud.volume, *([cloud.release] if scene.emitters else [])]
    return torch.stack(values, dim=1).numpy()


def _header(scene: Scene, count: int) -> Header:
    grid = scene.grid
    walls = Walls.of(scene.walls, grid.dim, 3).contacts
    axes = tuple(
        Axis("xyz"[k], np.array([grid.low[k], grid.high[k]]), boundary="wall" if all(walls[k]) else "open")
        for k in range(grid.dim)
    )
    return Header(
        channels=channels_of(grid.dim, release=bool(scene.emitters)),
        axes=axes,
        times=scene.times[:count] if count <= scene.frames else np.arange(count) * scene.dt,
        parameters=dict.fromkeys(material_parameters(scene), ""),
        kind="particles",
        nodes=len(scene.cloud.kind),
        dtype="float32" if scene.dtype == torch.float32 else "float64",
        attributes=_attributes(scene),
    )


def _attributes(scene: Scene) -> dict[str, Any]:
    return {
        "title": scene.title or "Simulation of material points",
        "source": "MLS-MPM, sciml",
        "materials": material_names(scene),
        "gravity": list(scene.gravity),
        "grid_spacing": scene.grid.spacing,
        "g_ext_magnitude": float(np.linalg.norm(np.asarray(scene.gravity, dtype=np.float64))),
        "solver": "MLS-MPM",
        "seed": scene.seed,
    }


def _add_invariants(file: h5py.File, scene: Scene, u: np.ndarray) -> None:
    """Mass, momentum and kinetic energy of the points that are in, at each frame."""
    cloud, dim = scene.cloud, scene.grid.dim
    mass, release = cloud.mass.numpy(), cloud.release.numpy()
    group = file.create_group("invariants")
    names = {"mass": (), "momentum": (dim,), "kinetic_energy": ()}
    series = {name: np.empty((len(u), *shape)) for name, shape in names.items()}
    for frame, values in enumerate(u):
        velocity = values[:, dim:].astype(np.float64)
        present = mass * (release <= frame * scene.dt)
        series["mass"][frame] = present.sum()
        series["momentum"][frame] = present @ velocity
        series["kinetic_energy"][frame] = 0.5 * present @ np.square(velocity).sum(1)
    for name, values in series.items():
        group.create_dataset(name, data=values).dims[0].attach_scale(file["time"])


def to_cpu(state: MaterialPoints) -> MaterialPoints:
    """A state there."""
    return MaterialPoints(**{name: leaf.detach().cpu() for name, leaf in _tensors(state).items()})  # type: ignore[typeddict-item]


def _tensors(state: MaterialPoints) -> dict[str, Tensor]:
    return dict(state)  # type: ignore[arg-type]
