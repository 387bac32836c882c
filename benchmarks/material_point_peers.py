"""MLS-MPM by Taichi: the scheme of ``MaterialPointMethod`` as its own examples write it, float32.

A falling cube of an elastic material in the unit box, without plasticity. Every point's stress is computed in the
scatter, from its deformation gradient; everything stays on its side from step to step.
(For Warp: material_point_warp.py.)
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Scene:
    """Equal points at rest in the unit box of n cells, which fall.

    Attributes:
        position: (node, d), float32.
        cells: n.
        volume, density: of each point.
        mu, la: Lame's constants.
        law: "corotated" or "neo-hookean".
        dt: of a step.
    """

    position: np.ndarray
    cells: int
    volume: float
    density: float
    mu: float
    la: float
    law: str
    dt: float

    @property
    def dim(self) -> int:
        """2 or 3."""
        return self.position.shape[1]


@dataclass(frozen=True)
class Simulation:
    """A peer's run: ``step(n)`` takes n steps, ``position()`` tells where the points are."""

    step: Callable[[int], None]
    position: Callable[[], np.ndarray]


def taichi_simulation(scene: Scene, threads: int, device: str = "cpu") -> Simulation:
    """Taichi's kernels over struct-of-array fields, with its own singular value decomposition."""
    import taichi as ti

    arch = ti.cuda if device == "cuda" else ti.cpu
    ti.init(arch=arch, cpu_max_num_threads=threads, default_fp=ti.f32, log_level=ti.ERROR, device_memory_GB=4)
    dim, n, count = scene.dim, scene.cells, len(scene.position)
    dx, dt, mass = 1.0 / n, scene.dt, scene.volume * scene.density
    push = dt * scene.volume * 4.0 / dx**2
    mu, la, corotated = scene.mu, scene.la, scene.law == "corotated"
    x, v = ti.Vector.field(dim, ti.f32, count), ti.Vector.field(dim, ti.f32, count)
    C, F = ti.Matrix.field(dim, dim, ti.f32, count), ti.Matrix.field(dim, dim, ti.f32, count)
    grid_v, grid_m = ti.Vector.field(dim, ti.f32, (n,) * dim), ti.field(ti.f32, (n,) * dim)
    gravity = ti.Vector([0.0, -9.8] + [0.0] * (dim - 2))

    @ti.kernel
    def start():
        for p in x:
            F[p] = ti.Matrix.identity(ti.f32, dim)

    @ti.kernel
    def substep():
        for node in ti.grouped(grid_m):
            grid_v[node] = ti.zero(grid_v[node])
            grid_m[node] = 0.0
        for p in x:
            base = ti.cast(x[p] / dx - 0.5, ti.i32)
            fx = x[p] / dx - ti.cast(base, ti.f32)
            w = [0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1.0) ** 2, 0.5 * (fx - 0.5) ** 2]
            identity = ti.Matrix.identity(ti.f32, dim)
            tau = identity
            J = F[p].determinant()
            if ti.static(corotated):
                U, _, V = ti.svd(F[p])
                tau = 2 * mu * (F[p] - U @ V.transpose()) @ F[p].transpose() + identity * la * J * (J - 1)
            else:
                tau = mu * (F[p] @ F[p].transpose() - identity) + identity * la * ti.log(J)
            affine = mass * C[p] - push * tau
            for offset in ti.static(ti.grouped(ti.ndrange(*((3,) * dim)))):
                away = (offset.cast(ti.f32) - fx) * dx
                weight = 1.0
                for a in ti.static(range(dim)):
                    weight *= w[offset[a]][a]
                grid_v[base + offset] += weight * (mass * v[p] + affine @ away)
                grid_m[base + offset] += weight * mass
        for node in ti.grouped(grid_m):
            if grid_m[node] > 0:
                velocity = grid_v[node] / grid_m[node] + dt * gravity
                for a in ti.static(range(dim)):
                    if node[a] < 3 and velocity[a] < 0:
                        velocity[a] = 0
                    if node[a] > n - 3 and velocity[a] > 0:
                        velocity[a] = 0
                grid_v[node] = velocity
        for p in x:
            base = ti.cast(x[p] / dx - 0.5, ti.i32)
            fx = x[p] / dx - ti.cast(base, ti.f32)
            w = [0.5 * (1.5 - fx) ** 2, 0.75 - (fx - 1.0) ** 2, 0.5 * (fx - 0.5) ** 2]
            new_v, new_C = ti.zero(v[p]), ti.zero(C[p])
            for offset in ti.static(ti.grouped(ti.ndrange(*((3,) * dim)))):
                away = offset.cast(ti.f32) - fx
                weight = 1.0
                for a in ti.static(range(dim)):
                    weight *= w[offset[a]][a]
                at_node = grid_v[base + offset]
                new_v += weight * at_node
                new_C += 4 / dx * weight * at_node.outer_product(away)
            v[p], C[p] = new_v, new_C
            F[p] = (ti.Matrix.identity(ti.f32, dim) + dt * new_C) @ F[p]
            x[p] += dt * new_v

    x.from_numpy(scene.position)
    start()

    def step(steps: int) -> None:
        for _ in range(steps):
            substep()
        ti.sync()

    return Simulation(step, x.to_numpy)
