"""MLS-MPM: solids, sand and fluids that deform without limit, as points that move through a grid."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias, TypedDict

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from sciml.kernels.material_point.contact import SLIP, AxisWalls, Walls
from sciml.kernels.material_point.lattice import Lattice, as_numbers
from sciml.kernels.material_point.nodes import node_velocity
from sciml.kernels.material_point.transfer import Cloud, Moved, Transfer

from ..compiled.program import compiled
from ..equations.parameter import register, select_samples
from ..state import leaves, where
from ..stepper import Step
from .failure import explain_position, explain_step, explain_stress, explain_value
from .material import Material
from .obstacle import Obstacle
from .state import MaterialPoints, check_state

Bodies: TypeAlias = Material | Sequence[tuple[Material, int]]
"""One material for all points, or materials with the number of points each, in the order of the points."""


class Carried(TypedDict):
    """What a step leaves to the next.

    Keys:
        stress: Kirchhoff stress of every point, (batch, node, d, d).
        fastest: the largest speed of each sample, (batch,).
        sound: the speed of sound in each sample, (batch,).
    """

    stress: Tensor
    fastest: Tensor
    sound: Tensor


LARGEST_COURANT = 1.5
"""Cells that sound may cross in a step: no material was seen stable beyond."""


class MaterialPointMethod(nn.Module):
    """One explicit step of MLS-MPM with affine velocities and quadratic B-splines, batched, in 2D or 3D.

    The stress of each point goes to the grid with its momentum; nodes get gravity, walls and obstacles; the points take
    their velocity and its gradient C back, move with it, and deform by F <- (1 + dt C) F before their material maps F
    back to yield. Momentum is conserved exactly, and so is angular momentum with the affine part. (Hu et al., "A Moving
    Least Squares Material Point Method", SIGGRAPH 2018; Jiang et al., APIC, SIGGRAPH 2015.)

    The state is that of ``material_points``; all samples share the grid and the bodies. Steps beyond the CFL limit are
    refused: ``Courant(stepper)`` covers any dt by steps that are short enough. Differentiable with respect to the
    state, the materials' parameters and gravity; a long rollout keeps few states with
    ``solve(..., adjoint=RecursiveCheckpoint())``. On the CPU, without gradients, compiled kernels do the work.

    Args:
        bodies: the material, or ``[(material, points), ...]``.
        spacing: of the grid.
        shape: nodes along each axis. The unit box with n cells has n: node n would have no use.
        volume: of each point, undeformed: a number, (node,) or (batch, node).
        origin: position of the first node, zero by default.
        gravity: acceleration, a vector (d,) or (batch, d); None for none.
        walls: ``SLIP``, ``NO_SLIP``, ``STICKY``, another ``Contact``, None or a pair (low, high), for all axes or as
            a list of one for each.
        wall_thickness: nodes, see ``Walls``.
        obstacles: what else stands in the way.
        margin: points are kept this many cells inside the box [origin, origin + shape spacing]; None leaves them alone.
        mass_floor: is added to the mass that momentum is divided by; NCLaw has 1e-7.
        release: times (node,) before which a point is held where it is, without mass; None for none.

    Raises:
        ValueError: sizes that make no sense.
    """

    volume: Tensor
    gravity: Tensor
    release: Tensor | None

    def __init__(
        self,
        bodies: Bodies,
        *,
        spacing: float,
        shape: Sequence[int],
        volume: float | Tensor,
        origin: Sequence[float] | None = None,
        gravity: Sequence[float] | Tensor | None = None,
        walls: AxisWalls | list[AxisWalls] = SLIP,
        wall_thickness: int = 3,
        obstacles: Sequence[Obstacle] = (),
        margin: float | None = None,
        mass_floor: float = 0.0,
        release: Tensor | None = None,
    ) -> None:
        super().__init__()
        self.lattice = _lattice(spacing, shape, origin)
        parts = bodies if isinstance(bodies, Sequence) else [(bodies, None)]
        self.materials = nn.ModuleList([material for material, _ in parts])  # type: ignore[misc]
        self.counts = tuple(int(count) for _, count in parts if count is not None)  # none where one body has all
        self.walls = Walls.of(walls, self.lattice.dim, wall_thickness)
        self.obstacles, self.margin, self.mass_floor = tuple(obstacles), margin, mass_floor
        if not bool((torch.as_tensor(volume) > 0).all()):
            raise ValueError(f"Expected volume > 0 of each point, got {volume}.")
        register(self, volume=volume, gravity=_gravity(gravity, self.lattice.dim))
        self.register_buffer("release", release, persistent=False)
        self._backend: str | None = None

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: MaterialPoints, reuse: Carried | None = None
    ) -> Step:
        """The state at t + dt; a sample with dt = 0 is returned as it is.

        Raises:
            ValueError: ``y`` is no state of these bodies, or dt is negative or beyond the CFL limit.
            SimulationError: a point left the grid, was inverted where its material has no stress, or is not finite.
        """
        self._check_input(y)
        before = self.start(t, y) if reuse is None else reuse
        self._check_step(dt, before)
        held = None if self.release is None else (t[:, None] < self.release.to(t))
        step = dt.to(y["position"].dtype)
        moved, deformation, stress = self._arithmetic(t, step, y, before["stress"], held)
        self._check_result(t, y, moved, deformation, stress)
        new = MaterialPoints(
            position=moved.position, velocity=moved.velocity, gradient=moved.gradient, deformation=deformation
        )
        if held is not None:
            new, stress = _hold(held, y, new), torch.where(held[..., None, None], before["stress"], stress)
        after = Carried(stress=stress, fastest=moved.fastest, sound=before["sound"])
        if not bool((dt != 0).all()):
            new, after = where(dt != 0, (new, after), (y, before))
        return Step(y=new, reuse=after)

    def start(self, t: Float[Tensor, " batch"], y: MaterialPoints) -> Carried:
        """What every step leaves to the next.

        Raises:
            SimulationError: the state is not finite, or is inverted where its material has no stress.
        """
        _check_finite(t, y)
        parts = self._split(y["deformation"], y["gradient"])
        stress = [material.stress(*part) for material, part in zip(self.materials, parts)]  # type: ignore[operator]
        if not bool(torch.isfinite(_joined(stress)).all()):
            raise explain_stress(y["deformation"], _joined(stress), t)
        fastest = torch.linalg.vector_norm(y["velocity"].detach(), dim=-1).amax(dim=1)
        sound = _per_sample([material.sound_speed() for material in self.materials], y)  # type: ignore[operator]
        return Carried(stress=_joined(stress), fastest=fastest, sound=sound)

    def longest_step(
        self, t: Float[Tensor, " batch"], y: MaterialPoints, reuse: Carried | None = None
    ) -> Float[Tensor, " batch"]:
        """In which sound or the fastest point of each sample just crosses one cell, or momentum diffuses across it."""
        known, spacing = self.start(t, y) if reuse is None else reuse, self.lattice.spacing
        speed = known["fastest"] + known["sound"]
        longest = spacing / speed.clamp_min(torch.finfo(speed.dtype).tiny)
        spreading = _per_sample([material.diffusivity() for material in self.materials], y)  # type: ignore[operator]
        return longest.minimum(spacing**2 / (2 * self.lattice.dim * spreading))

    def compile(self, backend: str | None = "inductor") -> None:
        """Have the arithmetic of a step done by one program of ``torch.compile``, without gradients a CUDA graph.

        For a GPU, where a step of few points is hundreds of launches. The program is made in the first step, in ten
        seconds to a minute, and anew for other sizes. On the CPU the kernels in C++ are faster. Checks and errors stay.

        Args:
            backend: of ``torch.compile``; None to do without from now on.
        """
        self._backend = backend

    def select(self, rows: Tensor) -> nn.Module:
        """The method for these samples alone."""
        return select_samples(self, rows)

    def mass(self, y: MaterialPoints) -> Float[Tensor, "batch node"]:
        """Of each point."""
        if len(self.materials) == 1:
            mass = self.volume * float(self.materials[0].density)  # type: ignore[arg-type]
            return mass.to(y["position"].dtype).expand(y["position"].shape[:2])
        parts = zip(self.materials, self._split(self._volume(y)))
        return _joined([part * float(material.density) for material, (part,) in parts])  # type: ignore[arg-type]

    def _arithmetic(
        self, t: Tensor, dt: Tensor, y: MaterialPoints, stress: Tensor, held: Tensor | None
    ) -> tuple[Moved, Tensor, Tensor]:
        """``_advance``, by the program where one is asked for."""
        if self._backend is None or torch.compiler.is_compiling():
            return self._advance(t, dt, y, stress, held)
        device, learnt = stress.device.type, [*self.parameters(), *leaves(y), stress, dt]
        learns = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in learnt)
        if device != "cuda" or learns or self._backend != "inductor":
            return compiled(MaterialPointMethod._advance, self._backend, device)(self, t, dt, y, stress, held)
        torch.compiler.cudagraph_mark_step_begin()
        graph = compiled(MaterialPointMethod._advance, self._backend, device, "reduce-overhead")
        return pytree.tree_map(torch.clone, graph(self, t, dt, y, stress, held))  # the next replay writes over them

    def _advance(
        self, t: Tensor, dt: Tensor, y: MaterialPoints, stress: Tensor, held: Tensor | None
    ) -> tuple[Moved, Tensor, Tensor]:
        """The points after dt, their deformation gradients and stresses."""
        moved = self._move(t, dt, y, stress, held)
        return moved, *self._deform(dt, y["deformation"], moved.gradient)

    def _move(self, t: Tensor, dt: Tensor, y: MaterialPoints, stress: Tensor, held: Tensor | None) -> Moved:
        """The points by way of the grid."""
        mass, volume = self.mass(y), self._volume(y)
        if held is not None:
            mass, volume = mass.masked_fill(held, 0.0), volume.masked_fill(held, 0.0)
        transfer = Transfer(y["position"], self.lattice)
        nodes = transfer.to_grid(Cloud(y["velocity"], y["gradient"], stress, mass, volume), dt)
        kick = (dt[:, None] * self.gravity.to(dt)).expand(len(dt), self.lattice.dim)
        nodes = node_velocity(nodes, kick, self.walls, self.lattice, self.mass_floor)
        for obstacle in self.obstacles:
            velocity = obstacle(t, nodes[..., :-1], self.lattice)
            nodes = torch.cat([velocity, nodes[..., -1:]], dim=-1)
        return transfer.to_points(nodes, dt, self.margin)

    def _deform(self, dt: Tensor, deformation: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
        parts = zip(self.materials, self._split(deformation, gradient))
        deformed = [material.deform(*part, dt) for material, part in parts]  # type: ignore[operator]
        return _joined([new.deformation for new in deformed]), _joined([new.stress for new in deformed])

    def _volume(self, y: MaterialPoints) -> Tensor:
        return self.volume.to(y["position"].dtype).expand(y["position"].shape[:2])

    def _split(self, *tensors: Tensor) -> list[tuple[Tensor, ...]]:
        """The points of each body."""
        if len(self.materials) == 1:
            return [tensors]
        return list(zip(*(tensor.split(self.counts, dim=1) for tensor in tensors)))

    def _check_input(self, y: MaterialPoints) -> None:
        check_state(y, self.lattice.dim)
        points = y["position"].shape[1]
        if self.counts and sum(self.counts) != points:
            raise ValueError(f"Expected {sum(self.counts)} points, as many as the bodies have, got {points}.")

    def _check_step(self, dt: Tensor, known: Carried) -> None:
        if not bool((dt >= 0).all()):
            raise ValueError(f"Expected dt >= 0, got {dt.tolist()}. Plastic flow cannot be stepped backwards in time.")
        speed, sound = known["fastest"], known["sound"]
        crossed = torch.maximum(speed, sound / LARGEST_COURANT) * dt
        if bool((crossed > self.lattice.spacing).any()):
            raise explain_step(dt, speed, sound, self.lattice.spacing)

    def _check_result(self, t: Tensor, y: MaterialPoints, moved: Moved, deformation: Tensor, stress: Tensor) -> None:
        finite = torch.isfinite(stress.detach().sum())
        if bool(finite & ~moved.lost):
            return
        if bool(moved.lost):
            raise explain_position(moved.position, y["position"], t, self.lattice)
        if not bool(torch.isfinite(stress).all()):  # finite numbers may have an infinite sum
            raise explain_stress(deformation, stress, t)


def _check_finite(t: Tensor, y: MaterialPoints) -> None:
    for name, leaf in y.items():
        assert isinstance(leaf, Tensor)
        if not bool(torch.isfinite(leaf).all()):
            raise explain_value(name, leaf, t)


def _joined(parts: list[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def _hold(held: Bool[Tensor, "batch node"], old: MaterialPoints, new: MaterialPoints) -> MaterialPoints:
    """The old values of the points that are held."""
    shaped = {name: held.reshape(*held.shape, *(1,) * (leaf.dim() - 2)) for name, leaf in old.items()}  # type: ignore[attr-defined]
    return MaterialPoints(**{name: torch.where(shaped[name], old[name], new[name]) for name in old})  # type: ignore[literal-required,typeddict-item]


def _per_sample(values: list[Tensor], y: MaterialPoints) -> Tensor:
    """The largest of all bodies in each sample, (batch,)."""
    batch = len(y["position"])
    like = y["position"].detach()
    largest = [value.detach().to(like) for value in values]
    rows = [value.reshape(1, 1) if value.dim() == 0 else value for value in largest]
    return torch.stack([row.expand(batch, row.shape[-1]).amax(dim=1) for row in rows]).amax(dim=0)


def _lattice(spacing: float, shape: Sequence[int], origin: Sequence[float] | None) -> Lattice:
    """Raises ValueError for another number of axes than 2 or 3, or too few nodes."""
    nodes = tuple(int(count) for count in shape)
    if len(nodes) not in (2, 3) or min(nodes) < 7:
        raise ValueError(f"Expected shape with 2 or 3 axes of 7 nodes or more (3 for each wall), got {nodes}.")
    if not (spacing > 0 and math.isfinite(spacing)):
        raise ValueError(f"Expected spacing > 0, got {spacing}.")
    return Lattice(nodes, float(spacing), as_numbers(origin or (0.0,) * len(nodes), len(nodes), "origin"))


def _gravity(gravity: Sequence[float] | Tensor | None, dim: int) -> Tensor:
    given = torch.zeros(dim) if gravity is None else gravity
    vector = given if isinstance(given, Tensor) else torch.tensor(list(given), dtype=torch.float64)
    if vector.dim() not in (1, 2) or vector.shape[-1] != dim:
        raise ValueError(f"Expected gravity of shape ({dim},) or (batch, {dim}), got {tuple(vector.shape)}.")
    return vector
