"""Geometric multigrid: V-cycles on grids, alone or within conjugate gradients."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.kernels.linear import native
from sciml.kernels.linear.matrix import Matrix
from sciml.kernels.linear.multigrid import Cycles, Hierarchy, grouped, maps_constants_to_zero
from sciml.kernels.linear.products import residual
from sciml.kernels.linear.stencil import Stencil

from .krylov import CG
from .omega import Choice, Context, OmegaLike, check_omega, told
from .preconditioner import Apply
from .solution import LinearSolution
from .solving import Iteration, Needs, Stopping, as_stopping, solve_linear
from .watch import Watch, norm, spread


class Multigrid:
    """V-cycles until the residual is small, an iteration each: the number hardly depends on the size of the grid.

    Relaxation takes away what is rough of the error, and coarser grids the rest. Trottenberg, Oosterlee, Schueller,
    "Multigrid", 2001, section 2.4; coarse matrices are those of Galerkin, and interpolation follows the couplings of
    the matrix (``kernels.linear.coarsening``), so that any boundary, any size and coefficients that jump will do; axes
    of stronger couplings are coarsened first. Slow, or diverging, it is where directions differ in strength from place
    to place, where coefficients jump from point to point, and with much convection: ``MultigridPCG`` is the safer
    choice for symmetric matrices.

    Of a matrix that maps constants to 0 (walls all around, periodic) b has to sum to 0, and the solution is the one
    with the mean of x0.

    Args:
        omega: of the relaxation, as for ``SOR``; the best one is near 1.
        tol: as for ``SOR``.
        before: sweeps before what coarser grids do, in natural order.
        after: sweeps after it, in reverse order.
        red_black: visit the unknowns colour by colour, which suits a GPU.
        context: as for ``SOR``.

    Raises:
        ValueError: as for ``SOR``, or sweeps that are negative or none at all. A call: the matrix is no ``Stencil``.
    """

    def __init__(
        self,
        omega: OmegaLike = 1.0,
        *,
        tol: float | Stopping = 1e-8,
        before: int = 1,
        after: int = 1,
        red_black: bool = False,
        context: Context | None = None,
    ) -> None:
        check_omega(omega)
        if min(before, after) < 0 or before + after < 1:
            raise ValueError(f"Expected before >= 0 and after >= 0, not both 0, got {before} and {after}.")
        self.omega, self.context, self.stopping = omega, context, as_stopping(tol)
        self.before, self.after, self.red_black = before, after, red_black

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """See ``LinearSolver``."""
        iteration = partial(_iterate, before=self.before, after=self.after, colours=self.red_black, gradients=False)
        needs = Needs(diagonal=True)
        choice = Choice(self.omega, b, told(context, self.context, matrix, b))
        return _solve("Multigrid", iteration, matrix, b, x0, choice, self.stopping, needs)


class MultigridPreconditioner:
    """M^-1 r is what one V-cycle that starts from 0 makes of A x = r.

    Sweeps after the coarser grids undo the order of those before, which makes it symmetric, and positive definite
    wherever the matrix is. Tatebe, "The multigrid preconditioned conjugate gradient method", 1993.

    Args:
        omega: of the relaxation, between 0 and 2.
        sweeps: before the coarser grids, and as many after.
        red_black: as for ``Multigrid``.

    Raises:
        ValueError: omega outside (0, 2), or no sweeps. A call: the matrix is no ``Stencil``.
    """

    def __init__(self, omega: float = 1.0, *, sweeps: int = 1, red_black: bool = False) -> None:
        if not 0 < omega < 2:
            raise ValueError(f"Expected 0 < omega < 2, got {omega}.")
        _check_sweeps(sweeps)
        self.omega, self.sweeps, self.red_black = omega, sweeps, red_black

    def __call__(self, matrix: Matrix) -> Apply:
        """See ``Preconditioner``."""
        grids = Cycles(_on_grid(matrix, "MultigridPreconditioner"), self.sweeps, self.sweeps, colours=self.red_black)
        return lambda r: grids.cycle(r, torch.full((len(r),), self.omega, dtype=torch.float64, device=r.device))


class MultigridPCG:
    """Conjugate gradients preconditioned by a V-cycle: as quick as ``Multigrid``, and hard to upset.

    Tatebe, "The multigrid preconditioned conjugate gradient method", 1993.

    Args:
        omega: of the relaxation, as for ``SOR``.
        tol: as for ``SOR``.
        sweeps: before the coarser grids, and as many after.
        red_black: as for ``Multigrid``.
        context: as for ``SOR``.

    Raises:
        ValueError: as for ``SOR``, or no sweeps. A call: the matrix is no ``Stencil``.
    """

    def __init__(
        self,
        omega: OmegaLike = 1.0,
        *,
        tol: float | Stopping = 1e-8,
        sweeps: int = 1,
        red_black: bool = False,
        context: Context | None = None,
    ) -> None:
        check_omega(omega)
        _check_sweeps(sweeps)
        self.omega, self.context, self.stopping = omega, context, as_stopping(tol)
        self.sweeps, self.red_black = sweeps, red_black

    def __call__(
        self,
        matrix: Matrix,
        b: Float[Tensor, "batch *shape"],
        x0: Float[Tensor, "batch *shape"] | None = None,
        *,
        context: float | Tensor | None = None,
    ) -> LinearSolution:
        """See ``LinearSolver``."""
        iteration = partial(_iterate, before=self.sweeps, after=self.sweeps, colours=self.red_black, gradients=True)
        needs = Needs(diagonal=True, symmetric=True)
        choice = Choice(self.omega, b, told(context, self.context, matrix, b))
        return _solve("MultigridPCG", iteration, matrix, b, x0, choice, self.stopping, needs)


def _solve(
    name: str,
    iteration: Iteration,
    matrix: Matrix,
    b: Tensor,
    x0: Tensor | None,
    choice: Choice,
    stopping: Stopping,
    needs: Needs,
) -> LinearSolution:
    """``solve_linear``; where the solution is one up to a constant, that with the mean of x0."""
    grid = _on_grid(matrix, name)
    solution = solve_linear(iteration, grid, b, x0, choice, name=name, stopping=stopping, needs=needs)
    constant = maps_constants_to_zero(grid)
    if not bool(constant.any()):
        return solution
    axes, x = tuple(range(1, b.dim())), solution.x
    change = -x.mean(dim=axes, keepdim=True) + (0 if x0 is None else x0.mean(dim=axes, keepdim=True))
    # Through this difference the adjoint system, which has no solution otherwise, gets a gradient that sums to 0.
    return replace(solution, x=torch.where(constant.reshape(-1, *[1] * len(axes)), x + change, x))


def _iterate(
    matrix: Matrix,
    b: Tensor,
    x0: Tensor,
    omega: Tensor | None,
    stopping: Stopping,
    *,
    before: int,
    after: int,
    colours: bool,
    gradients: bool,
) -> LinearSolution:
    assert omega is not None and isinstance(matrix, Stencil)
    groups, whole = grouped(matrix), None
    for lag, rows in groups:
        own = slice(None) if rows is None else rows
        system = matrix if rows is None else matrix.select(rows)
        part = _together(
            system, b[own], x0[own], omega[own], stopping, lag, before=before, after=after, colours=colours,
            gradients=gradients,
        )  # fmt: skip
        if rows is None:
            return part
        if whole is None:
            whole = LinearSolution(x0.clone(), *(torch.zeros(len(b)).to(found) for found in _numbers(part)))
        for all_, found in zip((whole.x, *_numbers(whole)), (part.x, *_numbers(part))):
            all_[rows] = found
    assert whole is not None
    return whole


def _together(
    matrix: Stencil,
    b: Tensor,
    x0: Tensor,
    omega: Tensor,
    stopping: Stopping,
    lag: tuple[int, ...],
    *,
    before: int,
    after: int,
    colours: bool,
    gradients: bool,
) -> LinearSolution:
    """Samples whose grids are coarsened alike."""
    if native.serves(matrix, b, x0) and not colours:
        ours = native.Hierarchy(matrix, before, after, lag)
        return LinearSolution(*ours.solve(b, x0, omega, stopping.goal(b), stopping.max_iterations, gradients=gradients))
    grids = Hierarchy(matrix, before, after, lag, colours=colours)
    return iterate_reference(grids, matrix, b, x0, omega, stopping, gradients=gradients)


def _numbers(solution: LinearSolution) -> tuple[Tensor, Tensor, Tensor]:
    return solution.iterations, solution.residual, solution.status


def iterate_reference(
    grids: Hierarchy, matrix: Stencil, b: Tensor, x0: Tensor, omega: Tensor, stopping: Stopping, *, gradients: bool
) -> LinearSolution:
    """The torch twin of ``kernels.linear.native.Hierarchy.solve``."""
    cycle = partial(grids.cycle, omega=omega)
    if gradients:
        return CG(lambda _: cycle, tol=replace(stopping, throw=False))(matrix, b, x0)
    x, r = x0, residual(matrix, b, x0)
    watch = Watch(stopping, b, norm(r))
    while not watch.over:
        x = torch.where(spread(watch.going, b).bool(), x + cycle(r), x)
        r = residual(matrix, b, x)
        watch.step(norm(r))
    return watch.solution(x)


def _on_grid(matrix: Matrix, name: str) -> Stencil:
    if not isinstance(matrix, Stencil):
        raise ValueError(
            f"Expected a Stencil, since {name} needs a grid, got {type(matrix).__name__}. Write the matrix as a "
            "Stencil, or take AlgebraicMultigrid, which needs pyamg, or SSORPCG."
        )
    return matrix


def _check_sweeps(sweeps: int) -> None:
    if sweeps < 1:
        raise ValueError(f"Expected sweeps >= 1, got {sweeps}.")
