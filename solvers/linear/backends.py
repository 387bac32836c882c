"""Linear solvers of other packages, on the CPU: sparse LU factors of scipy, algebraic multigrid of pyamg."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, TypeAlias

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.linear.matrix import Matrix
from sciml.kernels.linear.rows import Rows

from .solution import LinearSolution, LinearStatus
from .solving import Needs, Stopping, as_stopping, solve_linear

Solve: TypeAlias = Callable[[np.ndarray, np.ndarray, float, int], tuple[np.ndarray, int]]
"""(b, x0, goal of the residual's norm, most iterations) -> (x, iterations) of one system, in float64."""

_RESTARTS = 3
"""Calls that go on where one ended, as its residual drifts from the true one."""


class SparseDirect:
    """LU factors of each sample's sparse matrix, by ``scipy.sparse.linalg.splu``: one iteration.

    Li, "An overview of SuperLU", ACM Trans. Math. Software 31, 2005. It computes in float64. Matrices have to be
    invertible: one of walls all around, or periodic, is not. Memory grows faster than the grid, above all in 3D.

    Args:
        tol: the status says that a solve has stagnated where the residual is larger, which is so for singular matrices.

    Raises:
        ImportError: scipy is missing.
        ValueError: of a call, that the matrix is not on the CPU.
    """

    def __init__(self, *, tol: float | Stopping = 1e-8) -> None:
        self.stopping = as_stopping(tol)
        self._linalg = _imported("scipy.sparse.linalg", "SparseDirect")

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """See ``LinearSolver``."""
        _on_cpu(matrix)
        return solve_linear(self._iterate, matrix, b, x0, None, name="SparseDirect", stopping=self.stopping,
                            needs=Needs())  # fmt: skip

    def _iterate(
        self, matrix: Matrix, b: Tensor, x0: Tensor, omega: Tensor | None, stopping: Stopping
    ) -> LinearSolution:
        order = "MMD_AT_PLUS_A" if matrix.symmetric else "COLAMD"

        def prepare(rows: Any) -> Solve:
            try:
                factors = self._linalg.splu(rows.tocsc(), permc_spec=order)
            except RuntimeError:  # exactly singular
                return lambda b, x0, goal, limit: (x0, 1)
            return lambda b, x0, goal, limit: (factors.solve(b), 1)

        return _each(prepare, matrix, b, x0, stopping, tries=1)


class AlgebraicMultigrid:
    """Ruge-Stueben multigrid of ``pyamg`` within conjugate gradients, or BiCGStab where the matrix is not symmetric.

    Ruge, Stueben, "Algebraic multigrid", in McCormick (ed.), "Multigrid Methods", 1987; Bell, Olson, Schroder,
    Southworth, "PyAMG: algebraic multigrid solvers in Python", J. Open Source Software 8, 2023. It computes in float64
    and needs no grid; on a grid ``MultigridPCG`` is many times faster.

    Args:
        tol: as for ``CG``.

    Raises:
        ImportError: pyamg is missing.
        ValueError: of a call, that the matrix is not on the CPU.
    """

    def __init__(self, *, tol: float | Stopping = 1e-8) -> None:
        self.stopping = as_stopping(tol)
        self._pyamg = _imported("pyamg", "AlgebraicMultigrid")

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """See ``LinearSolver``."""
        _on_cpu(matrix)
        return solve_linear(self._iterate, matrix, b, x0, None, name="AlgebraicMultigrid", stopping=self.stopping,
                            needs=Needs(diagonal=True))  # fmt: skip

    def _iterate(
        self, matrix: Matrix, b: Tensor, x0: Tensor, omega: Tensor | None, stopping: Stopping
    ) -> LinearSolution:
        method = "cg" if matrix.symmetric else "bicgstab"

        def prepare(rows: Any) -> Solve:
            grids = self._pyamg.ruge_stuben_solver(rows)

            def solve(b: np.ndarray, x0: np.ndarray, goal: float, limit: int) -> tuple[np.ndarray, int]:
                history: list[float] = []
                tol = goal / max(float(np.linalg.norm(b)), np.finfo(np.float64).tiny)
                x = grids.solve(b, x0=x0, tol=tol, maxiter=limit, accel=method, residuals=history)
                return x, max(len(history) - 1, 1)

            return solve

        return _each(prepare, matrix, b, x0, stopping, tries=1 + _RESTARTS)


def _each(
    prepare: Callable[[Any], Solve], matrix: Matrix, b: Tensor, x0: Tensor, stopping: Stopping, *, tries: int
) -> LinearSolution:
    """System after system, each with as many calls as may help; a matrix that all share is prepared once."""
    rows, right, x = list(_sparse(matrix)), b.flatten(1).double().numpy(), x0.flatten(1).double().numpy().copy()
    residual = torch.tensor([_norm(right[k] - rows[k % len(rows)] @ x[k]) for k in range(len(b))], dtype=torch.float64)
    goals = stopping.goal(b).norm(b.flatten(1), residual).tolist()
    iterations, status = (torch.zeros(len(b), dtype=torch.int64) for _ in range(2))
    limit, solve = stopping.max_iterations, prepare(rows[0])
    for k, goal in enumerate(goals):
        own = rows[k % len(rows)]
        if k and len(rows) > 1:
            solve = prepare(own)
        for _ in range(tries):
            if residual[k] <= goal or iterations[k] >= limit:
                break
            x[k], count = solve(right[k], x[k], goal, limit - int(iterations[k]))
            iterations[k] += count
            residual[k] = _norm(right[k] - own @ x[k])
        status[k] = _status(float(residual[k]), goal, int(iterations[k]) >= limit)
    return LinearSolution(torch.from_numpy(x).to(b.dtype).reshape(b.shape), iterations, residual, status)


def _status(residual: float, goal: float, spent: bool) -> int:
    if residual <= goal:
        return int(LinearStatus.CONVERGED)
    if not np.isfinite(residual):
        return int(LinearStatus.NOT_FINITE)
    return int(LinearStatus.TOO_MANY_ITERATIONS if spent else LinearStatus.STAGNATED)


def _norm(r: np.ndarray) -> float:
    return float(np.linalg.norm(r))


def _sparse(matrix: Matrix) -> Iterator[Any]:
    """Each sample's matrix as scipy has it, in float64."""
    from scipy.sparse import csr_matrix

    rows = matrix if isinstance(matrix, Rows) else Rows.from_couplings(matrix.couplings())
    begin, column = (part.to(torch.int32).numpy() for part in (rows.pattern.begin, rows.pattern.column))
    n = len(begin) - 1
    for values in rows.values.detach().double():
        yield csr_matrix((values.numpy(), column, begin), shape=(n, n))


def _on_cpu(matrix: Matrix) -> None:
    if matrix.device.type != "cpu":
        raise ValueError(f"Expected a matrix on the CPU, got {matrix.device}. Take MultigridPCG, or move it.")


def _imported(module: str, solver: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ImportError(f"{solver} needs the package {package}: pip install {package}.") from error
