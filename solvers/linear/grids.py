"""Matrices of diffusion on grids."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.linear.stencil import Stencil, nearest_offsets
from sciml.solvers.equations.boundary import (
    Boundaries,
    Boundary,
    Dirichlet,
    Periodic,
    face_conductivity,
    per_axis,
)


def diffusion_matrix(
    k: Float[Tensor, "batch *space"] | float,
    shape: Sequence[int] | None = None,
    *,
    spacing: float | Sequence[float],
    boundary: Boundaries = Dirichlet(),  # noqa: B008 (a frozen value)
    dtype: torch.dtype = torch.float64,
) -> Stencil:
    """-div(k grad u) of cells, the matrix of ``equations.boundary.divergence_of_flux`` but for the sign: positive
    semidefinite, and singular (constants) without a Dirichlet boundary. Differentiable in k.

    Boundary values are those of homogeneous conditions; others belong on the right-hand side. The conductivity of a
    face is the harmonic mean of its two cells.

    Args:
        k: of the cells, or one number for all.
        shape: of the grid, where k is a number.
        spacing: of the cells, one for all axes or one for each.
        boundary: one for all axes or one for each.
        dtype: of the matrix, where k is a number.

    Raises:
        ValueError: no shape, or one that does not belong to k.
    """
    if isinstance(k, Tensor):
        if shape is not None and tuple(shape) != tuple(k.shape[1:]):
            raise ValueError(f"Expected shape to be left out, or that of k, {tuple(k.shape[1:])}, got {tuple(shape)}.")
        cells, grid = k, tuple(k.shape[1:])
    elif shape is None:
        raise ValueError("Expected shape=..., the number of cells along each axis, for a k of one number.")
    else:
        grid = tuple(shape)
        cells = torch.full((1, *grid), float(k), dtype=dtype)
    values, diagonal = [], torch.zeros_like(cells)
    for axis, (side, h) in enumerate(per_axis(boundary, spacing, len(grid)), start=1):
        for before in (True, False):
            face = _faces(cells, axis, side, before=before) / h**2
            values.append(-face)
            diagonal = diagonal + face * _share(cells, axis, side, before=before)
    periodic = tuple(isinstance(side, Periodic) for side, _ in per_axis(boundary, spacing, len(grid)))
    return Stencil(grid, nearest_offsets(len(grid)), torch.stack(values, dim=1), diagonal, periodic)


def nodal_laplacian(
    shape: Sequence[int], *, spacing: float | Sequence[float] = 1.0, dtype: torch.dtype = torch.float64
) -> Stencil:
    """Minus the Laplacian on the inner nodes of a grid whose boundary nodes are 0, of constant coefficients.

    Args:
        shape: inner nodes along each axis.
        spacing: of the nodes, one for all axes or one for each.
        dtype: of the matrix.
    """
    inverse = _inverse_squares(spacing, len(shape))
    values = torch.tensor([-part for part in inverse for _ in range(2)], dtype=dtype)
    ones = (1,) * len(shape)
    diagonal = torch.full((1, *ones), 2 * math.fsum(inverse), dtype=dtype)
    return Stencil(tuple(shape), nearest_offsets(len(shape)), values.reshape(1, -1, *ones), diagonal)


def nine_point_laplacian(shape: Sequence[int], *, spacing: float = 1.0, dtype: torch.dtype = torch.float64) -> Stencil:
    """The compact Laplacian of nine points in two dimensions ("Mehrstellen"; Collatz, "The Numerical Treatment of
    Differential Equations", 1960), of fourth order with a right-hand side f + h^2 / 12 Laplacian f; nodes as above.

    Args:
        shape: inner nodes along both axes.
        spacing: of the nodes.
        dtype: of the matrix.

    Raises:
        ValueError: not two axes.
    """
    if len(shape) != 2:
        raise ValueError(f"Expected a grid of two axes, got {tuple(shape)}.")
    offsets = tuple((i, j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0))
    weights = [-(4.0 if 0 in offset else 1.0) / (6 * spacing**2) for offset in offsets]
    values = torch.tensor(weights, dtype=dtype).reshape(1, -1, 1, 1)
    return Stencil(tuple(shape), offsets, values, torch.full((1, 1, 1), 20 / (6 * spacing**2), dtype=dtype))


def _faces(k: Tensor, axis: int, side: Boundary, *, before: bool) -> Tensor:
    """Conductivity of the face on one side of each cell."""
    cells = side.extend_coefficient(k, axis)
    other = cells.narrow(axis, 0 if before else 2, k.shape[axis])
    return face_conductivity(k, other)


def _share(k: Tensor, axis: int, side: Boundary, *, before: bool) -> Tensor:
    """What a face adds to the diagonal, over its conductivity: 1 inside; at an end it is as the ghost cell follows."""
    one = torch.ones([1] * k.dim(), dtype=k.dtype, device=k.device)
    ghost = side.extend(one, axis, 0.0) - side.extend(0 * one, axis, 0.0)  # (ghost, 1, ghost) of a cell of 1
    end = 1 - ghost.narrow(axis, 0 if before else 2, 1)
    share = torch.ones_like(k)
    if not isinstance(side, Periodic):
        share.narrow(axis, 0 if before else k.shape[axis] - 1, 1).copy_(end.expand_as(share.narrow(axis, 0, 1)))
    return share


def _inverse_squares(spacing: float | Sequence[float], axes: int) -> list[float]:
    return [1 / h**2 for _, h in per_axis(Dirichlet(), spacing, axes)]
