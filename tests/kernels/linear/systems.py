"""Linear systems of many kinds, their dense matrices entry by entry, and relaxation one unknown after another."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from sciml.kernels.linear import native
from sciml.kernels.linear.goal import Goal
from sciml.kernels.linear.stencil import Stencil, nearest_offsets

F32, F64 = torch.float32, torch.float64
TOLERANCE = {F32: 2e-5, F64: 1e-12}

# Shapes with their periodic axes: none, some and all, odd and even, wider than the vectors and not.
GRIDS = [
    ((7,), (False,)),
    ((40,), (True,)),
    ((1, 1), (False, False)),
    ((6, 5), (False, False)),
    ((5, 33), (True, False)),
    ((4, 19), (False, True)),
    ((5, 3), (True, True)),
    ((3, 4, 5), (False, False, False)),
    ((3, 5, 18), (True, False, True)),
]

every_grid = pytest.mark.parametrize(("shape", "periodic"), GRIDS)
every_dtype = pytest.mark.parametrize("dtype", [F32, F64])
needs_compiler = pytest.mark.skipif(native._library() is None, reason="no C++ compiler here")


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    """Standard normal numbers, the same in every dtype but for rounding."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64).to(dtype)


def all_offsets(dim: int, *, full: bool) -> tuple[tuple[int, ...], ...]:
    """The nearest neighbours, or all 3^dim - 1 that touch."""
    if not full:
        return nearest_offsets(dim)
    return tuple(offset for offset in itertools.product((-1, 0, 1), repeat=dim) if any(offset))


def drawn(
    shape: tuple[int, ...],
    periodic: tuple[bool, ...],
    *,
    full: bool = False,
    varying: bool = True,
    samples: int = 3,
    dtype: torch.dtype = F64,
) -> Stencil:
    """Dominant diagonal, nothing symmetric."""
    offsets, space = all_offsets(len(shape), full=full), shape if varying else (1,) * len(shape)
    values = normal(samples, len(offsets), *space, seed=1, dtype=dtype)
    diagonal = 2.0 * len(offsets) + normal(samples, *space, seed=2, dtype=dtype).abs()
    return Stencil(shape, offsets, values, diagonal, periodic)


def definite(shape: tuple[int, ...], periodic: tuple[bool, ...], *, full: bool = False, samples: int = 3) -> Stencil:
    """Symmetric, positive definite, different at every point: entries are drawn for pairs of points."""
    offsets = all_offsets(len(shape), full=full)
    values, drawn_there = np.zeros((samples, len(offsets), *shape)), normal(samples, len(offsets), *shape, seed=3)
    for k, offset in enumerate(offsets):
        back = offsets.index(tuple(-o for o in offset))
        if k < back:
            for i, j in pairs(shape, offset, periodic):
                values[:, k][(slice(None), *i)] = values[:, back][(slice(None), *j)] = drawn_there[:, k][:, *i]
    diagonal = np.abs(values).sum(axis=1) + 0.3
    return Stencil(shape, offsets, torch.from_numpy(values), torch.from_numpy(diagonal), periodic)


def poisson(m: int, *, shift: float | Tensor = 0.0, dtype: torch.dtype = F64, dim: int = 2) -> Stencil:
    """2 dim on the diagonal, -1 to the nearest neighbours of a grid of m points along each axis, plus the shift."""
    ones = (1,) * dim
    diagonal = torch.as_tensor(2.0 * dim + shift, dtype=dtype).reshape(-1, *ones)
    return Stencil((m,) * dim, nearest_offsets(dim), -torch.ones(1, 2 * dim, *ones, dtype=dtype), diagonal)


def pairs(shape: tuple[int, ...], offset: tuple[int, ...], periodic: tuple[bool, ...]) -> list[tuple]:
    """(point, the one at an offset from it) for all points that have it."""
    found = []
    for i in itertools.product(*map(range, shape)):
        j = tuple((a + o) % n if p else a + o for a, o, n, p in zip(i, offset, shape, periodic))
        if all(0 <= a < n for a, n in zip(j, shape)):
            found.append((i, j))
    return found


def dense(matrix: Stencil) -> np.ndarray:
    """(sample, row, column) in float64, entry by entry."""
    shape, n = matrix.shape, int(np.prod(matrix.shape))
    values, diagonal = matrix.values.detach().double().numpy(), matrix.diagonal.detach().double().numpy()
    values = np.broadcast_to(values, (matrix.samples, len(matrix.offsets), *shape))
    diagonal = np.broadcast_to(diagonal, (matrix.samples, *shape))
    out = np.zeros((matrix.samples, n, n))
    out[:, range(n), range(n)] = diagonal.reshape(-1, n)
    for k, offset in enumerate(matrix.offsets):
        for i, j in pairs(shape, offset, matrix.periodic):
            row, column = (np.ravel_multi_index(point, shape) for point in (i, j))
            out[:, row, column] += values[:, k][(slice(None), *i)]
    return out


def one_by_one(
    a: np.ndarray, b: np.ndarray, x: np.ndarray, omega: np.ndarray, order: np.ndarray | None = None
) -> np.ndarray:
    """Each unknown of vectors (sample, n) in turn gets its share of what its equation says."""
    x = x.copy()
    for i in range(x.shape[1]) if order is None else order:
        left = b[:, i] - (a[:, i] * x).sum(axis=1)
        x[:, i] += omega * left / a[:, i, i]
    return x


def triangles(a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """D, L and U of A = D + L + U."""
    return np.eye(a.shape[-1]) * a, np.tril(a, -1), np.triu(a, 1)


def goal(count: int, *, rtol: float = 1e-8, atol: float = 0.0, initial: bool = False) -> Goal:
    """The same for all samples."""
    return Goal(torch.full((count,), rtol, dtype=F64), torch.full((count,), atol, dtype=F64), initial)


def omegas(*values: float, count: int = 1) -> Tensor:
    """Of each sample; one value ``count`` times."""
    return torch.tensor(values * (count if len(values) == 1 else 1), dtype=F64)


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest distance between two sets of numbers that are matched in pairs."""
    gaps = np.abs(np.asarray(found)[:, None] - np.asarray(expected)[None])
    return gaps[linear_sum_assignment(gaps)].max()


def scattered(n: int, *, seed: int = 5, share: float = 0.25) -> np.ndarray:
    """A sparse matrix (n, n) with a dominant diagonal, where a_ij says nothing of a_ji, not even whether it is 0."""
    random = np.random.default_rng(seed)
    a = random.standard_normal((n, n)) * (random.random((n, n)) < share)
    np.fill_diagonal(a, np.abs(a).sum(axis=1) + 1.0)
    return a
