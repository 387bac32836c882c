"""All linear solvers, and systems whose dense solutions are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from sciml.solvers.bandits import TsallisINF
from sciml.solvers.equations.boundary import Boundaries, Dirichlet, Neumann, Periodic
from sciml.solvers.linear import (
    CG,
    SOR,
    SSORPCG,
    BiCGStab,
    Diagonal,
    Jacobi,
    LinearSolver,
    Matrix,
    Rows,
    SSORPreconditioner,
    Stencil,
    Stopping,
    diffusion_matrix,
    nearest_offsets,
    nine_point_laplacian,
    nodal_laplacian,
)

F32, F64 = torch.float32, torch.float64
BATCH = 3
SIZES = {1: (9,), 2: (5, 6), 3: (3, 4, 5)}
SPACINGS = (1.0, 1.3, 1.6)
BOUNDARIES: dict[str, Boundaries] = {
    "dirichlet": Dirichlet(),
    "neumann": Neumann(),
    "periodic": Periodic(),
    "mixed": [Dirichlet(), Neumann(), Periodic()],
}


@dataclass(frozen=True)
class SolverCase:
    """A solver.

    Attributes:
        name: of the case.
        make: of how it ends.
        symmetric: whether it is for symmetric matrices alone.
        learns: whether a solve depends on those before.
    """

    name: str
    make: Callable[[Stopping], LinearSolver]
    symmetric: bool = False
    learns: bool = False


SOLVERS = [
    SolverCase("SOR", lambda s: SOR(1.3, tol=s)),
    SolverCase("SOR_of_each", lambda s: SOR(1.2 * torch.ones(1), tol=s)),
    SolverCase("SOR_symmetric", lambda s: SOR(1.2, symmetric=True, tol=s)),
    SolverCase("SOR_red_black", lambda s: SOR(1.2, red_black=True, tol=s)),
    SolverCase("SOR_symmetric_red_black", lambda s: SOR(1.1, symmetric=True, red_black=True, tol=s)),
    SolverCase("SOR_bandit", lambda s: SOR(TsallisINF([1.0, 1.1, 1.3]), tol=s), learns=True),
    SolverCase("Jacobi", lambda s: Jacobi(0.9, tol=s)),
    SolverCase("SSORPCG", lambda s: SSORPCG(1.3, tol=s), symmetric=True),
    SolverCase("SSORPCG_bandit", lambda s: SSORPCG(TsallisINF([1.0, 1.5]), tol=s), symmetric=True, learns=True),
    SolverCase("CG", lambda s: CG(tol=s), symmetric=True),
    SolverCase("CG_diagonal", lambda s: CG(Diagonal(), tol=s), symmetric=True),
    SolverCase("CG_SSOR", lambda s: CG(SSORPreconditioner(1.2), tol=s), symmetric=True),
    SolverCase("CG_red_black", lambda s: CG(SSORPreconditioner(red_black=True), tol=s), symmetric=True),
    SolverCase("BiCGStab", lambda s: BiCGStab(tol=s)),
    SolverCase("BiCGStab_diagonal", lambda s: BiCGStab(Diagonal(), tol=s)),
    SolverCase("BiCGStab_SSOR", lambda s: BiCGStab(SSORPreconditioner(1.2), tol=s)),
]
NAMES = [case.name for case in SOLVERS]
FIXED = [case for case in SOLVERS if not case.learns]
ONE_OF_EACH = [case for case in SOLVERS if case.name in ("SOR", "Jacobi", "SSORPCG", "CG", "CG_SSOR", "BiCGStab")]


@dataclass(frozen=True)
class SystemCase:
    """Matrices of one kind, for ``BATCH`` samples or shared by them."""

    name: str
    make: Callable[[torch.dtype], Matrix]
    symmetric: bool = True


def random(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    """Uniform between 0.2 and 1.2."""
    return torch.rand(shape, dtype=F64, generator=torch.Generator().manual_seed(seed)).to(dtype) + 0.2


def normal(*shape: int, seed: int = 0, dtype: torch.dtype = F64) -> Tensor:
    """Standard normal."""
    return torch.randn(shape, dtype=F64, generator=torch.Generator().manual_seed(seed)).to(dtype)


def boundary_of(name: str, dim: int) -> Boundaries:
    """One for all axes, or a list of one for each."""
    boundary = BOUNDARIES[name]
    return boundary[:dim] if isinstance(boundary, list) else boundary


def diffusion(name: str, dim: int, samples: int, dtype: torch.dtype) -> Stencil:
    """I - div(k grad), regular whatever the boundary."""
    k = random(samples, *SIZES[dim], seed=dim, dtype=dtype)
    return diffusion_matrix(k, spacing=SPACINGS[:dim], boundary=boundary_of(name, dim)).shifted(1.0)


def advection(dim: int, samples: int, dtype: torch.dtype) -> Stencil:
    """Diffusion with a wind that varies and upwind differences: not symmetric, each row twice dominated."""
    values = -random(samples, 2 * dim, *SIZES[dim], seed=dim, dtype=dtype)
    values[:, ::2] *= 2
    return Stencil(SIZES[dim], nearest_offsets(dim), values, 2 * values.abs().sum(dim=1))


def scattered(samples: int, *, symmetric: bool, dtype: torch.dtype = F64) -> Tensor:
    """Dense matrices (samples, 12, 12) of one irregular pattern, each row dominated by its diagonal."""
    n = 12
    pattern = torch.rand(n, n, generator=torch.Generator().manual_seed(5)) < 0.15
    pattern = pattern | pattern.T if symmetric else pattern
    entries = normal(samples, n, n, seed=6, dtype=dtype)
    entries = (entries + entries.mT if symmetric else entries) * pattern
    return (
        entries
        - torch.diag_embed(entries.diagonal(dim1=1, dim2=2))
        + torch.diag_embed(2 * entries.abs().sum(dim=2) + 1)
    )


def rows(samples: int, *, symmetric: bool, dtype: torch.dtype) -> Rows:
    """Those, without their zeros."""
    dense = scattered(samples, symmetric=symmetric, dtype=dtype)
    pattern = Rows.of(dense[0]).pattern
    return Rows(pattern, dense[:, pattern.row, pattern.column])


def of_diffusion(name: str, dim: int, samples: int) -> SystemCase:
    """See ``diffusion``."""
    return SystemCase(f"diffusion_{dim}d_{name}_{samples}", lambda dtype: diffusion(name, dim, samples, dtype))


def of_one_number(dim: int) -> SystemCase:
    """A conductivity that all cells share."""
    make = lambda dtype: diffusion_matrix(0.4, SIZES[dim], spacing=1.0, dtype=dtype).shifted(0.5)  # noqa: E731
    return SystemCase(f"constant_{dim}d", make)


def of_advection(dim: int) -> SystemCase:
    """See ``advection``."""
    return SystemCase(f"advection_{dim}d", lambda dtype: advection(dim, BATCH, dtype), symmetric=False)


SYSTEMS = [
    *(of_diffusion(name, dim, BATCH) for dim in (1, 2) for name in BOUNDARIES),
    of_diffusion("mixed", 3, BATCH),
    of_diffusion("mixed", 2, 1),
    *(of_one_number(dim) for dim in SIZES),
    SystemCase("nodal_shifts", lambda t: nodal_laplacian((5, 6), dtype=t).shifted(torch.tensor([0.5, 1.0, 2.0]))),
    SystemCase("nine_point", lambda t: nine_point_laplacian((5, 6), dtype=t).shifted(0.5)),
    SystemCase("rows", lambda t: rows(BATCH, symmetric=True, dtype=t)),
    *(of_advection(dim) for dim in SIZES),
    SystemCase("advection_shared", lambda t: advection(2, 1, t), symmetric=False),
    SystemCase("rows_not_symmetric", lambda t: rows(1, symmetric=False, dtype=t), symmetric=False),
]


def dense(matrix: Matrix, batch: int = BATCH) -> Tensor:
    """The matrices (batch, n, n), in float64."""
    n = torch.Size(matrix.shape).numel()
    units = torch.eye(n, dtype=matrix.dtype, device=matrix.device).reshape(n, *matrix.shape)
    own = [matrix.select(torch.tensor([k])) for k in range(matrix.samples)]
    columns = torch.stack([each.apply(units).flatten(1).mT.double() for each in own])
    return columns.expand(batch, -1, -1)


def exact(matrix: Matrix, b: Tensor) -> Tensor:
    """The solutions, in float64."""
    return torch.linalg.solve(dense(matrix, len(b)), b.double().flatten(1)).reshape(b.shape)


def right_hand_side(matrix: Matrix, batch: int = BATCH, seed: int = 0) -> Tensor:
    """Standard normal."""
    return normal(batch, *matrix.shape, seed=seed, dtype=matrix.dtype)


def quiet(**settings: float) -> Stopping:
    """Failures in the status alone."""
    return Stopping(throw=False, **settings)  # type: ignore[arg-type]


def norms(r: Tensor) -> Tensor:
    """Of each sample, in float64."""
    return torch.linalg.vector_norm(r.double().flatten(1), dim=1)
