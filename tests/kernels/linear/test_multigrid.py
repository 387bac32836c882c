"""The grids of multigrid: interpolation, Galerkin's matrices, and a cycle in C++ as in torch."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import Tensor

from sciml.kernels.linear import native
from sciml.kernels.linear.coarsening import coarsened, coarser_shapes, lags
from sciml.kernels.linear.multigrid import Hierarchy, maps_constants_to_zero
from sciml.kernels.linear.stencil import Stencil, nearest_offsets

SHAPES = [(4,), (7,), (12,), (5, 9), (12, 7), (13, 14), (16, 3), (6, 7, 8), (9, 4, 5), (10, 3, 11)]
PERIODIC = [False, True]


def drawn(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_matrix(
    shape: tuple[int, ...], periodic: bool, *, samples: int = 2, full: bool = True, dtype: torch.dtype = torch.float64
) -> Stencil:
    """Diagonally dominant, not symmetric, with values that a product does not look at beyond the ends."""
    every = tuple(offset for offset in product((-1, 0, 1), repeat=len(shape)) if any(offset))
    offsets = every if full else nearest_offsets(len(shape))
    values = -torch.rand((samples, len(offsets), *shape), generator=drawn(), dtype=torch.float64)
    diagonal = values.abs().sum(dim=1) + torch.rand((samples, *shape), generator=drawn(1), dtype=torch.float64)
    return Stencil(shape, offsets, values.to(dtype), diagonal.to(dtype), (periodic,) * len(shape))


def laplacian(shape: tuple[int, ...], periodic: bool, shift: float = 0.0) -> Stencil:
    """Of constant coefficients."""
    dim = len(shape)
    values = -torch.ones((1, 2 * dim, *[1] * dim), dtype=torch.float64)
    diagonal = torch.full((1, *[1] * dim), 2.0 * dim + shift, dtype=torch.float64)
    return Stencil(shape, nearest_offsets(dim), values, diagonal, (periodic,) * dim)


def dense(matrix: Stencil) -> Tensor:
    """(samples, n, n), column by column."""
    n, samples = torch.Size(matrix.shape).numel(), matrix.samples
    eye = torch.eye(n, dtype=matrix.dtype)
    columns = [matrix.apply(column.expand(samples, n).reshape(samples, *matrix.shape)) for column in eye]
    return torch.stack([column.flatten(1) for column in columns], dim=2)


def interpolation(lines: list, coarse: Stencil) -> Tensor:
    """P, (samples, fine, coarse)."""
    m, samples = torch.Size(coarse.shape).numel(), coarse.samples
    columns = []
    for column in torch.eye(m, dtype=coarse.dtype):
        z = column.expand(samples, m).reshape(samples, *coarse.shape)
        for line in reversed(lines):
            z = line.interpolate(z)
        columns.append(z.flatten(1))
    return torch.stack(columns, dim=2)


@pytest.mark.parametrize("periodic", PERIODIC)
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("late", [0, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_coarse_matrix_is_that_of_galerkin(shape: tuple[int, ...], periodic: bool, full: bool, late: int) -> None:
    lag = [late, *[0] * (len(shape) - 1)]
    if periodic and max(shape) < 6:
        pytest.skip("too short to be coarsened")
    matrix = random_matrix(shape, periodic, full=full)
    (below, *_) = coarser_shapes(shape, matrix.periodic, lag)
    coarse, lines = coarsened(matrix, below, maps_constants_to_zero(matrix))
    p = interpolation(lines, coarse)
    torch.testing.assert_close(dense(coarse), p.mT @ dense(matrix) @ p, rtol=1e-12, atol=1e-12)
    r = torch.randn(2, *shape, generator=drawn(2), dtype=torch.float64)
    restricted = r
    for line in lines:
        restricted = line.restrict(restricted)
    torch.testing.assert_close(restricted.flatten(1), (p.mT @ r.flatten(1)[..., None])[..., 0])


@pytest.mark.parametrize("n", range(4, 12))
def test_interpolation_is_exact_for_what_the_equation_leaves(n: int) -> None:
    """Lines, 0 one spacing beyond both ends for Dirichlet; constants where a matrix maps them to 0."""
    matrix = laplacian((n,), False)
    _, (line,) = coarsened(matrix, ((n + 1) // 2,), maps_constants_to_zero(matrix))
    ramp = torch.arange(n, 0, -1, dtype=torch.float64)[None]
    torch.testing.assert_close(line.interpolate(ramp[:, ::2]), ramp)
    wrapped = laplacian((n + 2,), True)
    constant = maps_constants_to_zero(wrapped)
    assert bool(constant.all())
    coarse, (line,) = coarsened(wrapped, ((n + 2) // 2,), constant)
    ones = torch.ones(1, *coarse.shape, dtype=torch.float64)
    torch.testing.assert_close(line.interpolate(ones), torch.ones(1, n + 2, dtype=torch.float64))
    assert bool(maps_constants_to_zero(coarse).all())


def test_stronger_axes_are_coarsened_first() -> None:
    """A coupling weakens by four against the others whenever its axis is coarsened."""
    values = torch.tensor([[-1.0, -1.0, -16.0, -16.0], [-1.0, -1.0, -1.0, -1.0]], dtype=torch.float64)
    matrix = Stencil((32, 32), nearest_offsets(2), values[..., None, None], -values.sum(dim=1)[:, None, None])
    assert lags(matrix).tolist() == [[2, 0], [0, 0]]
    wide = replace(
        matrix,
        values=matrix.values.expand(2, 4, 32, 32),
        diagonal=matrix.diagonal.expand(2, 32, 32),
        periodic=(True, False),
    )
    assert torch.equal(lags(wide), lags(matrix))
    assert coarser_shapes((32, 32), (False, False), [2, 0]) == [(32, 16), (32, 8), (16, 4), (8, 2), (4, 2), (2, 2)]
    assert coarser_shapes((3, 17), (False, True), [0, 9]) == [(3, 8), (3, 4)]


@pytest.mark.parametrize("shape", [(2,), (3,), (3, 2), (3, 3, 3)])
def test_a_grid_too_small_for_another_is_solved_exactly(shape: tuple[int, ...]) -> None:
    matrix = random_matrix(shape, False)
    r = torch.randn(2, *shape, generator=drawn(3), dtype=torch.float64)
    found = Hierarchy(matrix).cycle(r, torch.ones(2, dtype=torch.float64))
    torch.testing.assert_close(matrix.apply(found), r)


@pytest.mark.skipif(native._library() is None, reason="needs a C++ compiler")
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("periodic", PERIODIC)
@pytest.mark.parametrize("shape", [*SHAPES, (33, 20), (2,), (40,)])
def test_a_native_cycle_is_that_of_torch(shape: tuple[int, ...], periodic: bool, dtype: torch.dtype) -> None:
    if periodic and min(shape) < 3:
        pytest.skip("a periodic axis has three points at least")
    r = torch.randn(3, *shape, generator=drawn(4), dtype=torch.float64).to(dtype)
    omega = torch.tensor([0.8, 1.0, 1.3], dtype=torch.float64)
    exact = torch.finfo(dtype).eps * 2000
    matrices = [
        random_matrix(shape, periodic, samples=3, dtype=dtype),
        random_matrix(shape, periodic, samples=1, full=False, dtype=dtype),
    ]
    if dtype == torch.float64:
        matrices += [laplacian(shape, periodic), laplacian(shape, periodic, 0.3)]
    late = [0, 1, 2][: len(shape)]
    for matrix, (before, after, lag) in zip(matrices, [(1, 1, None), (0, 2, late), (2, 1, None), (1, 0, late[::-1])]):
        ours = native.Hierarchy(matrix, before, after, lag).cycle(r, omega)
        theirs = Hierarchy(matrix, before, after, lag).cycle(r, omega)
        torch.testing.assert_close(ours, theirs, rtol=exact, atol=exact * float(theirs.abs().max()))
