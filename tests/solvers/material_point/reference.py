"""The scheme once more, point by point in NumPy with LAPACK's decompositions: slow, plain, and sharing no code."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Law = Callable[[np.ndarray, np.ndarray], np.ndarray]  # (F, C) -> tau
Map = Callable[[np.ndarray, np.ndarray, float], np.ndarray]  # (F, C, dt) -> F


@dataclass
class Reference:
    """The simulation of equal points in the unit box of n cells."""

    x: np.ndarray
    v: np.ndarray
    law: Law
    map: Map
    n: int
    volume: float
    mass: float
    gravity: np.ndarray
    noslip: bool = False
    bound: int = 3

    def __post_init__(self) -> None:
        count, dim = self.x.shape
        self.C = np.zeros((count, dim, dim))
        self.F = np.tile(np.eye(dim), (count, 1, 1))

    def step(self, dt: float) -> None:
        """Advance everything by dt."""
        count, dim = self.x.shape
        dx = 1 / self.n
        momentum = np.zeros((*(self.n,) * dim, dim))
        mass = np.zeros((self.n,) * dim)
        for p in range(count):
            affine = self.mass * self.C[p] - dt * self.volume * 4 / dx**2 * self.law(self.F[p], self.C[p])
            for node, weight in self._around(self.x[p]):
                away = np.array(node) * dx - self.x[p]
                mass[node] += weight * self.mass
                momentum[node] += weight * (self.mass * self.v[p] + affine @ away)
        velocity = np.zeros_like(momentum)
        for node in zip(*np.nonzero(mass)):
            velocity[node] = self._bounded(momentum[node] / mass[node] + dt * self.gravity, node)
        for p in range(count):
            v, C = np.zeros(dim), np.zeros((dim, dim))
            for node, weight in self._around(self.x[p]):
                v += weight * velocity[node]
                C += 4 / dx**2 * weight * np.outer(velocity[node], np.array(node) * dx - self.x[p])
            self.v[p], self.C[p] = v, C
            self.x[p] = self.x[p] + dt * v
            self.F[p] = self.map(self.F[p], C, dt)

    def _around(self, x: np.ndarray) -> list[tuple[tuple[int, ...], float]]:
        scaled = x * self.n
        base = np.floor(scaled - 0.5).astype(int)
        f = scaled - base
        w = [(1.5 - f) ** 2 / 2, 0.75 - (f - 1) ** 2, (f - 0.5) ** 2 / 2]
        found = []
        for offset in itertools.product(range(3), repeat=len(x)):
            weight = np.prod([w[o][axis] for axis, o in enumerate(offset)])
            found.append((tuple(base + np.array(offset)), float(weight)))
        return found

    def _bounded(self, v: np.ndarray, node: tuple[int, ...]) -> np.ndarray:
        for axis, i in enumerate(node):
            if (i < self.bound and v[axis] < 0) or (i > self.n - self.bound and v[axis] > 0):
                v = np.zeros_like(v) if self.noslip else np.where(np.arange(len(v)) == axis, 0.0, v)
        return v


def polar(F: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """U, s, V^T with rotations on both sides."""
    U, s, Vt = np.linalg.svd(F)
    s = s.copy()
    if np.linalg.det(U) < 0:
        U[:, -1] *= -1
        s[-1] *= -1
    if np.linalg.det(Vt) < 0:
        Vt[-1] *= -1
        s[-1] *= -1
    return U, s, Vt


def moduli(young: float, poisson: float) -> tuple[float, float]:
    """mu and lambda."""
    return young / (2 * (1 + poisson)), young * poisson / ((1 + poisson) * (1 - 2 * poisson))


def corotated(mu: float, la: float) -> Law:
    def tau(F: np.ndarray, C: np.ndarray) -> np.ndarray:
        U, _, Vt = polar(F)
        J = np.linalg.det(F)
        return 2 * mu * (F - U @ Vt) @ F.T + la * J * (J - 1) * np.eye(len(F))

    return tau


def neo_hookean(mu: float, la: float) -> Law:
    return lambda F, C: mu * (F @ F.T - np.eye(len(F))) + la * np.log(np.linalg.det(F)) * np.eye(len(F))


def green(mu: float, la: float) -> Law:
    def tau(F: np.ndarray, C: np.ndarray) -> np.ndarray:
        E = (F.T @ F - np.eye(len(F))) / 2
        return F @ (2 * mu * E + la * np.trace(E) * np.eye(len(F))) @ F.T

    return tau


def hencky(mu: float, la: float) -> Law:
    def tau(F: np.ndarray, C: np.ndarray) -> np.ndarray:
        U, s, _ = polar(F)
        e = np.log(s)
        return U @ np.diag(2 * mu * e + la * e.sum()) @ U.T

    return tau


def pressure(la: float) -> Law:
    return lambda F, C: la * np.linalg.det(F) * (np.linalg.det(F) - 1) * np.eye(len(F))


def tait(bulk: float, gamma: float, viscosity: float, deviatoric: bool) -> Law:
    def tau(F: np.ndarray, C: np.ndarray) -> np.ndarray:
        J = np.linalg.det(F)
        rate = C + C.T
        if deviatoric:
            rate = rate - 2 / len(F) * np.trace(C) * np.eye(len(F))
        return J * (-bulk * (J**-gamma - 1) * np.eye(len(F)) + viscosity * rate)

    return tau


def elastic(F: np.ndarray, C: np.ndarray, dt: float) -> np.ndarray:
    return (np.eye(len(F)) + dt * C) @ F


def strain_map(change: Callable[[np.ndarray, float], np.ndarray]) -> Map:
    """A return mapping of the logarithmic strains."""

    def apply(F: np.ndarray, C: np.ndarray, dt: float) -> np.ndarray:
        U, s, Vt = polar(elastic(F, C, dt))
        return U @ np.diag(np.exp(change(np.log(np.maximum(s, 0.05)), dt))) @ Vt

    return apply


def von_mises(mu: float, bound: float) -> Map:
    def change(e: np.ndarray, dt: float) -> np.ndarray:
        hat = e - e.mean()
        excess = np.linalg.norm(hat) - bound / (2 * mu)
        return e - excess * hat / np.linalg.norm(hat) if excess > 0 else e

    return strain_map(change)


def drucker_prager(mu: float, la: float, angle: float, cohesion: float) -> Map:
    def change(e: np.ndarray, dt: float) -> np.ndarray:
        d, sine = len(e), np.sin(np.radians(angle))
        alpha = np.sqrt(2 / 3) * 2 * sine / (3 - sine)
        trace = e.sum() - d * cohesion
        if trace >= 0:
            return np.full(d, cohesion)
        hat = e - e.mean()
        norm = np.linalg.norm(hat)
        excess = norm + (d * la + 2 * mu) / (2 * mu) * trace * alpha
        return e - excess * hat / norm if excess > 0 else e

    return strain_map(change)


def herschel_bulkley(mu: float, bound: float, viscosity: float, exponent: float) -> Map:
    def change(e: np.ndarray, dt: float) -> np.ndarray:
        hat = e - e.mean()
        trial, limit = 2 * mu * np.linalg.norm(hat), np.sqrt(2 / 3) * bound
        if trial <= limit:
            return e
        shear = mu * np.exp(2 * e).sum() / len(e)
        low, high = limit, trial
        for _ in range(200):
            middle = (low + high) / 2
            flow = middle - trial + 2 * shear * dt * ((middle - limit) / viscosity) ** (1 / exponent)
            low, high = (middle, high) if flow < 0 else (low, middle)
        return e + (low / trial - 1) * hat

    return strain_map(change)


def volume_only(F: np.ndarray, C: np.ndarray, dt: float) -> np.ndarray:
    return np.linalg.det(elastic(F, C, dt)) ** (1 / len(F)) * np.eye(len(F))


def density_only(F: np.ndarray, C: np.ndarray, dt: float) -> np.ndarray:
    return (np.linalg.det(F) * (1 + dt * np.trace(C))) ** (1 / len(F)) * np.eye(len(F))
