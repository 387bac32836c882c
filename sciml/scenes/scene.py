"""A scene: bodies in a box, and everything else that their motion depends on."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from sciml.kernels.material_point.contact import SLIP, AxisWalls, Walls
from sciml.scenes.body import Body, Emitter, check_numbers
from sciml.scenes.filling import Cloud, fill
from sciml.scenes.grid import Grid
from sciml.solvers.courant import Courant
from sciml.solvers.material_point.material import Material
from sciml.solvers.material_point.method import MaterialPointMethod
from sciml.solvers.material_point.obstacle import Obstacle
from sciml.solvers.material_point.state import MaterialPoints, material_points

MOST_STEPS = 1e7
"""Between two frames; more are taken for a mistake."""
_TINY = 1e-30


@dataclass(frozen=True, eq=False)
class Scene:
    """What is simulated, and for how long.

    The box is what the points may fill: its walls are at its faces. ``simulate(scene, out="run.h5")`` runs it;
    ``solve(scene.stepper(), scene.state(), ts, FixedStep(dt))`` is what that does.

    Attributes:
        bodies: what is there at the start.
        box: its corners, (low, high); the unit square or cube by default, as gravity has two or three numbers.
        cells: of the grid, along the longest side of the box.
        gravity: (d,), acceleration.
        walls: ``SLIP``, ``NO_SLIP``, ``STICKY``, another ``Contact``, None or a pair (low, high), for all axes or as
            a list of one for each.
        obstacles: rigid bodies that stand or move in the way.
        emitters: what comes in later.
        duration: time simulated.
        frames: how many are kept, evenly spaced, the initial one and the last one included.
        courant: cells that the fastest wave may cross in a step.
        seed: of all that is drawn at random.
        dtype: torch.float32 or torch.float64.
        title: for the file.

    Raises:
        ValueError: numbers that make no sense or do not fit together. Where the bodies lie is looked at when their
            points are first asked for.
    """

    bodies: Sequence[Body] = ()
    box: tuple[Sequence[float], Sequence[float]] | None = None
    cells: int = 64
    gravity: Sequence[float] = (0.0, -9.81)
    walls: AxisWalls | list[AxisWalls] = SLIP
    obstacles: Sequence[Obstacle] = ()
    emitters: Sequence[Emitter] = ()
    duration: float = 1.0
    frames: int = 61
    courant: float = 0.4
    seed: int = 0
    dtype: torch.dtype = torch.float32
    title: str = ""

    def __post_init__(self) -> None:
        _check_parts(self)
        for name in ("duration", "courant"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"Expected {name} > 0, got {getattr(self, name)}.")
        if self.frames < 2:
            raise ValueError(f"Expected frames >= 2, the initial one and the last one, got {self.frames}.")
        if self.seed < 0:
            raise ValueError(f"Expected seed >= 0, got {self.seed}.")
        if self.dtype not in (torch.float32, torch.float64):
            raise ValueError(f"Expected dtype torch.float32 or torch.float64, got {self.dtype}.")
        check_numbers("gravity", self.gravity)
        dim = self.grid.dim
        if len(self.gravity) != dim:
            raise ValueError(f"Expected gravity of {dim} numbers in a box of {dim} axes, got {tuple(self.gravity)}.")
        Walls.of(self.walls, dim, 3)

    @cached_property
    def grid(self) -> Grid:
        """The box in cells."""
        dim = len(self.gravity)
        low, high = ((0.0,) * dim, (1.0,) * dim) if self.box is None else self.box
        return Grid.of(low, high, self.cells)

    @cached_property
    def cloud(self) -> Cloud:
        """All points, those of emitters included, in the order of bodies, then emitters.

        Raises:
            ValueError: a body without points, outside of the box, or where another one or an obstacle is.
        """
        return fill(self)

    @property
    def dt(self) -> float:
        """Time between frames."""
        return self.duration / (self.frames - 1)

    @property
    def times(self) -> np.ndarray:
        """Of the frames, (time,) float64."""
        return np.arange(self.frames) * self.dt

    @property
    def parts(self) -> tuple[Body | Emitter, ...]:
        """Bodies, then emitters: the order of the points."""
        return (*self.bodies, *self.emitters)

    @property
    def materials(self) -> tuple[Material, ...]:
        """Each once, in the order in which they first occur; their numbers here are the types of their particles."""
        return tuple({id(part.material): part.material for part in self.parts}.values())

    def particle_types(self) -> Tensor:
        """Number of each point's material, (node,) int64."""
        return self.cloud.kind

    def state(self) -> MaterialPoints:
        """At the start, a batch of one."""
        cloud = self.cloud
        return material_points(cloud.position[None].to(self.dtype), cloud.velocity[None].to(self.dtype))

    def stepper(self) -> Courant:
        """Any dt, in steps short enough to be stable.

        Raises:
            ValueError: as ``cloud``; or a material so stiff or viscous that the first frame would never be reached.
        """
        _check_effort(self)
        cloud, grid = self.cloud, self.grid
        contacts = Walls.of(self.walls, grid.dim, 3).contacts
        closed = all(contact is not None for pair in contacts for contact in pair)
        materials = self.materials
        method = MaterialPointMethod(
            [(materials[kind], count) for kind, count in cloud.runs()],
            spacing=grid.spacing,
            shape=[count + 4 for count in grid.cells],  # two cells of wall at either end
            origin=[start - 2 * grid.spacing for start in grid.low],
            volume=cloud.volume.to(self.dtype),
            gravity=self.gravity,
            walls=self.walls,
            obstacles=self.obstacles,
            margin=2.0 if closed else None,
            release=cloud.release if self.emitters else None,
        )
        return Courant(method, self.courant)

    def lasting(self, frames: int) -> Scene:
        """The same scene for another number of frames, the time between them as it is."""
        return dataclasses.replace(self, frames=frames, duration=self.dt * (frames - 1))


def _check_effort(scene: Scene) -> None:
    """Refuse materials that ask for steps too short to get anywhere."""
    spacing = scene.grid.spacing
    for kind, material in enumerate(scene.materials):
        sound, spreading = (float(value.max()) for value in (material.sound_speed(), material.diffusivity()))
        longest = scene.courant * min(
            spacing / max(sound, _TINY), spacing**2 / max(2 * scene.grid.dim * spreading, _TINY)
        )
        if not scene.dt / longest <= MOST_STEPS:
            raise ValueError(
                f"Expected materials that can be stepped, got material {kind} with sound of speed {sound:.3g} and "
                f"kinematic viscosity {spreading:.3g}: {scene.dt / longest:.3g} steps to the next frame. Make it "
                "softer or less viscous (check its units), or the grid coarser."
            )


def _check_parts(scene: Scene) -> None:
    """Refuse what is not a body, an emitter or an obstacle."""
    for name, kind in (("bodies", Body), ("emitters", Emitter), ("obstacles", Obstacle)):
        for part in getattr(scene, name):
            if not isinstance(part, kind):
                raise ValueError(f"Expected {name} to be of {kind.__name__}(...), got {part!r}.")
    if not scene.bodies and not scene.emitters:
        raise ValueError("Expected at least one body or emitter, got none: there is nothing to simulate.")
