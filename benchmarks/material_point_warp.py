"""MLS-MPM by Warp, in float32: the same step as in material_point_peers.py; its CPU backend has one thread.

Warp reads kernels from their source and their annotations as values, hence a file of its own, two sets of kernels, and
no deferred annotations.
"""

import numpy as np
import warp as wp
from material_point_peers import Scene, Simulation

wp.config.quiet = True


@wp.func
def splines(f: float):
    return wp.vec3(0.5 * (1.5 - f) * (1.5 - f), 0.75 - (f - 1.0) * (f - 1.0), 0.5 * (f - 0.5) * (f - 0.5))


@wp.func
def stress2(F: wp.mat22, mu: float, la: float, corotated: int):
    J = wp.determinant(F)
    identity = wp.identity(n=2, dtype=float)
    if corotated == 1:
        turn = wp.normalize(wp.vec2(F[0, 0] + F[1, 1], F[1, 0] - F[0, 1]))
        R = wp.mat22(turn[0], -turn[1], turn[1], turn[0])
        return 2.0 * mu * (F - R) * wp.transpose(F) + la * J * (J - 1.0) * identity
    return mu * (F * wp.transpose(F) - identity) + la * wp.log(J) * identity


@wp.func
def stress3(F: wp.mat33, mu: float, la: float, corotated: int):
    J = wp.determinant(F)
    identity = wp.identity(n=3, dtype=float)
    if corotated == 1:
        U, _s, V = wp.svd3(F)
        return 2.0 * mu * (F - U * wp.transpose(V)) * wp.transpose(F) + la * J * (J - 1.0) * identity
    return mu * (F * wp.transpose(F) - identity) + la * wp.log(J) * identity


@wp.kernel
def scatter2(
    x: wp.array(dtype=wp.vec2), v: wp.array(dtype=wp.vec2), C: wp.array(dtype=wp.mat22), F: wp.array(dtype=wp.mat22),
    grid_v: wp.array2d(dtype=wp.vec2), grid_m: wp.array2d(dtype=float), dx: float, mass: float, push: float, mu: float,
    la: float, corotated: int,
):  # fmt: skip
    p = wp.tid()
    scaled = x[p] / dx
    i = int(wp.floor(scaled[0] - 0.5))
    j = int(wp.floor(scaled[1] - 0.5))
    f = scaled - wp.vec2(float(i), float(j))
    w0 = splines(f[0])
    w1 = splines(f[1])
    affine = mass * C[p] - push * stress2(F[p], mu, la, corotated)
    for a in range(3):
        for b in range(3):
            away = (wp.vec2(float(a), float(b)) - f) * dx
            weight = w0[a] * w1[b]
            wp.atomic_add(grid_v, i + a, j + b, weight * (mass * v[p] + affine * away))
            wp.atomic_add(grid_m, i + a, j + b, weight * mass)


@wp.kernel
def scatter3(
    x: wp.array(dtype=wp.vec3), v: wp.array(dtype=wp.vec3), C: wp.array(dtype=wp.mat33), F: wp.array(dtype=wp.mat33),
    grid_v: wp.array3d(dtype=wp.vec3), grid_m: wp.array3d(dtype=float), dx: float, mass: float, push: float, mu: float,
    la: float, corotated: int,
):  # fmt: skip
    p = wp.tid()
    scaled = x[p] / dx
    i = int(wp.floor(scaled[0] - 0.5))
    j = int(wp.floor(scaled[1] - 0.5))
    k = int(wp.floor(scaled[2] - 0.5))
    f = scaled - wp.vec3(float(i), float(j), float(k))
    w0 = splines(f[0])
    w1 = splines(f[1])
    w2 = splines(f[2])
    affine = mass * C[p] - push * stress3(F[p], mu, la, corotated)
    for a in range(3):
        for b in range(3):
            for c in range(3):
                away = (wp.vec3(float(a), float(b), float(c)) - f) * dx
                weight = w0[a] * w1[b] * w2[c]
                wp.atomic_add(grid_v, i + a, j + b, k + c, weight * (mass * v[p] + affine * away))
                wp.atomic_add(grid_m, i + a, j + b, k + c, weight * mass)


@wp.func
def walled(velocity: float, index: int, n: int):
    if (index < 3 and velocity < 0.0) or (index > n - 3 and velocity > 0.0):
        return 0.0
    return velocity


@wp.kernel
def grid2(grid_v: wp.array2d(dtype=wp.vec2), grid_m: wp.array2d(dtype=float), n: int, dt: float):
    i, j = wp.tid()
    if grid_m[i, j] > 0.0:
        v = grid_v[i, j] / grid_m[i, j] + dt * wp.vec2(0.0, -9.8)
        grid_v[i, j] = wp.vec2(walled(v[0], i, n), walled(v[1], j, n))


@wp.kernel
def grid3(grid_v: wp.array3d(dtype=wp.vec3), grid_m: wp.array3d(dtype=float), n: int, dt: float):
    i, j, k = wp.tid()
    if grid_m[i, j, k] > 0.0:
        v = grid_v[i, j, k] / grid_m[i, j, k] + dt * wp.vec3(0.0, -9.8, 0.0)
        grid_v[i, j, k] = wp.vec3(walled(v[0], i, n), walled(v[1], j, n), walled(v[2], k, n))


@wp.kernel
def gather2(
    x: wp.array(dtype=wp.vec2), v: wp.array(dtype=wp.vec2), C: wp.array(dtype=wp.mat22), F: wp.array(dtype=wp.mat22),
    grid_v: wp.array2d(dtype=wp.vec2), dx: float, dt: float,
):  # fmt: skip
    p = wp.tid()
    scaled = x[p] / dx
    i = int(wp.floor(scaled[0] - 0.5))
    j = int(wp.floor(scaled[1] - 0.5))
    f = scaled - wp.vec2(float(i), float(j))
    w0 = splines(f[0])
    w1 = splines(f[1])
    new_v = wp.vec2()
    new_C = wp.mat22()
    for a in range(3):
        for b in range(3):
            weighted = w0[a] * w1[b] * grid_v[i + a, j + b]
            new_v += weighted
            new_C += wp.outer(weighted, wp.vec2(float(a), float(b)) - f)
    new_C = new_C * (4.0 / dx)
    v[p] = new_v
    C[p] = new_C
    F[p] = F[p] + dt * new_C * F[p]
    x[p] = x[p] + dt * new_v


@wp.kernel
def gather3(
    x: wp.array(dtype=wp.vec3), v: wp.array(dtype=wp.vec3), C: wp.array(dtype=wp.mat33), F: wp.array(dtype=wp.mat33),
    grid_v: wp.array3d(dtype=wp.vec3), dx: float, dt: float,
):  # fmt: skip
    p = wp.tid()
    scaled = x[p] / dx
    i = int(wp.floor(scaled[0] - 0.5))
    j = int(wp.floor(scaled[1] - 0.5))
    k = int(wp.floor(scaled[2] - 0.5))
    f = scaled - wp.vec3(float(i), float(j), float(k))
    w0 = splines(f[0])
    w1 = splines(f[1])
    w2 = splines(f[2])
    new_v = wp.vec3()
    new_C = wp.mat33()
    for a in range(3):
        for b in range(3):
            for c in range(3):
                weighted = w0[a] * w1[b] * w2[c] * grid_v[i + a, j + b, k + c]
                new_v += weighted
                new_C += wp.outer(weighted, wp.vec3(float(a), float(b), float(c)) - f)
    new_C = new_C * (4.0 / dx)
    v[p] = new_v
    C[p] = new_C
    F[p] = F[p] + dt * new_C * F[p]
    x[p] = x[p] + dt * new_v


def warp_simulation(scene: Scene, device: str = "cpu") -> Simulation:
    """Warp's run; on the CPU in one thread."""
    dim, n, count = scene.dim, scene.cells, len(scene.position)
    scatter, grid, gather = (scatter2, grid2, gather2) if dim == 2 else (scatter3, grid3, gather3)
    vec, mat = (wp.vec2, wp.mat22) if dim == 2 else (wp.vec3, wp.mat33)
    x = wp.array(scene.position, dtype=vec, device=device)
    v, C = wp.zeros(count, dtype=vec, device=device), wp.zeros(count, dtype=mat, device=device)
    F = wp.array(np.tile(np.eye(dim, dtype=np.float32), (count, 1, 1)), dtype=mat, device=device)
    grid_v, grid_m = wp.zeros((n,) * dim, dtype=vec, device=device), wp.zeros((n,) * dim, dtype=float, device=device)
    dx, dt, mass = 1.0 / n, scene.dt, scene.volume * scene.density
    law = [mass, dt * scene.volume * 4.0 / dx**2, scene.mu, scene.la, int(scene.law == "corotated")]

    def step(steps: int) -> None:
        for _ in range(steps):
            grid_v.zero_()
            grid_m.zero_()
            wp.launch(scatter, dim=count, inputs=[x, v, C, F, grid_v, grid_m, dx, *law], device=device)
            wp.launch(grid, dim=(n,) * dim, inputs=[grid_v, grid_m, n, dt], device=device)
            wp.launch(gather, dim=count, inputs=[x, v, C, F, grid_v, dx, dt], device=device)
        wp.synchronize()

    return Simulation(step, x.numpy)
