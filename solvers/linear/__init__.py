"""Linear solvers for grids and sparse rows, which bandits can tune."""

from sciml.kernels.linear.matrix import Matrix
from sciml.kernels.linear.rows import Rows
from sciml.kernels.linear.stencil import Stencil, nearest_offsets

from .backends import AlgebraicMultigrid, SparseDirect
from .grids import diffusion_matrix, nine_point_laplacian, nodal_laplacian
from .krylov import CG, SSORPCG, BiCGStab
from .multigrid import Multigrid, MultigridPCG, MultigridPreconditioner
from .preconditioner import Diagonal, Preconditioner, SSORPreconditioner
from .relaxation import SOR, Jacobi
from .solution import LinearSolution, LinearSolveError, LinearStatus
from .solving import LinearSolver, Stopping
from .tuned import Tuned

__all__ = [
    "CG",
    "SOR",
    "SSORPCG",
    "AlgebraicMultigrid",
    "BiCGStab",
    "Diagonal",
    "Jacobi",
    "LinearSolution",
    "LinearSolveError",
    "LinearSolver",
    "LinearStatus",
    "Matrix",
    "Multigrid",
    "MultigridPCG",
    "MultigridPreconditioner",
    "Preconditioner",
    "Rows",
    "SSORPreconditioner",
    "SparseDirect",
    "Stencil",
    "Stopping",
    "Tuned",
    "diffusion_matrix",
    "nearest_offsets",
    "nine_point_laplacian",
    "nodal_laplacian",
]
