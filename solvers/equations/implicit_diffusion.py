"""Diffusion with a conductivity that changes in time, by implicit steps of any size."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.kernels.linear.products import product
from sciml.kernels.linear.stencil import Stencil
from sciml.solvers.linear.solving import LinearSolver
from sciml.solvers.stepper import Step


class ImplicitDiffusion(nn.Module):
    """u_t = -kappa(t) A u + f(t) with A of ``diffusion_matrix`` or ``nodal_laplacian``, in one to three dimensions.

    A step solves (1 + theta dt kappa A) u' = (1 - (1 - theta) dt kappa A) u + dt f, with kappa and f at t + theta dt:
    Crank-Nicolson, of second order, for theta = 1/2; implicit Euler, which damps the stiffest modes, for 1. The solve
    starts at u. Its solver may learn while it works: a bandit's context is kappa at the start of the step, as in Khodak
    et al., "Learning to Relax", 2024, section 5.2.

    Args:
        matrix: A, of one sample or of as many as the state has; a state is (batch, 1, *shape).
        solver: of the linear systems.
        conductivity: kappa, a number or a function of t (batch,).
        source: f, None for none, or a function of t (batch,) that returns (batch or 1, 1, *shape).
        theta: between 1/2 and 1.

    Attributes:
        iterations: of the linear solver in the last step, (batch,).

    Raises:
        ValueError: theta is out of its range.
    """

    def __init__(
        self,
        matrix: Stencil,
        solver: LinearSolver,
        *,
        conductivity: float | Callable[[Tensor], Tensor] = 1.0,
        source: Callable[[Tensor], Tensor] | None = None,
        theta: float = 0.5,
    ) -> None:
        super().__init__()
        if not 0.5 <= theta <= 1:
            raise ValueError(f"Expected 1/2 <= theta <= 1, where any step is stable, got {theta}.")
        self.matrix, self.solver, self.conductivity = matrix, solver, conductivity
        self.source, self.theta = source, theta
        self.order = 2 if theta == 0.5 else 1
        self.iterations = torch.zeros(0, dtype=torch.int64)
        _ = matrix.asymmetry  # found out once, and handed on to the matrices of all steps

    def forward(
        self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: Float[Tensor, "batch 1 *space"]
    ) -> Step:
        """One step.

        Raises:
            ValueError: y has another shape.
            LinearSolveError: the system could not be solved.
        """
        if y.shape[1:] != (1, *self.matrix.shape):
            shape = ", ".join(map(str, self.matrix.shape))
            raise ValueError(f"Expected y of shape (batch, 1, {shape}), got {tuple(y.shape)}.")
        u, now = y[:, 0], t + self.theta * dt
        rate = (dt * self._kappa(now)).to(u)
        old = rate.reshape(-1, *[1] * (u.dim() - 1)) * (1 - self.theta)
        right = u - old * product(self.matrix, u)
        if self.source is not None:
            right = right + dt.to(u).reshape(old.shape) * self.source(now)[:, 0].to(u)
        system = self.matrix.scaled(self.theta * rate).shifted(1.0)
        solution = self.solver(system, right, u, context=self._kappa(t))
        self.iterations = solution.iterations
        return Step(y=solution.x[:, None], evaluations=solution.iterations)

    def select(self, rows: Tensor) -> ImplicitDiffusion:
        """The same for these samples alone."""
        return ImplicitDiffusion(
            self.matrix.select(rows), self.solver, conductivity=self.conductivity, source=self.source, theta=self.theta
        )

    def _kappa(self, t: Tensor) -> Tensor:
        if callable(self.conductivity):
            return self.conductivity(t)
        return torch.full_like(t, self.conductivity)
