"""Newton's iteration for the stages of implicit schemes, sample by sample.

Source: E. Hairer, G. Wanner, "Solving Ordinary Differential Equations II", section IV.8 (stopping and divergence
criteria, equations 8.9 to 8.11).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .jacobian import Dense, Factor, LinearSolver


class Newton:
    """Simplified Newton iteration: one Jacobian a step, at its start, for all stages.

    The iteration of a sample stops when the error left in its stage is below ``fraction`` of its tolerance
    atol + rtol |y|, which the rate of convergence so far tells. Where the iteration diverges or is too slow, the
    sample's step has an infinite error, so that the controller rejects and shortens it, and the state NaN, for a
    controller that rejects nothing.

    Args:
        linear: ``Dense()``, or ``GMRES()`` for large states (Jacobian-free Newton-Krylov).
        rtol, atol: the tolerances of the solve, atol in the state's units. None for close to rounding.
        fraction: of them that the iteration may leave.
        max_iterations: after which a sample has failed. By default 10 within given tolerances, 50 to rounding.
        derivatives: how many orders of derivatives of the stages are exact; each costs an evaluation of the field per
            stage, where gradients are asked for at all.

    Raises:
        ValueError: a tolerance is not positive, or a count is below 1.
    """

    def __init__(
        self,
        linear: LinearSolver | None = None,
        *,
        rtol: float | Tensor | None = None,
        atol: float | Tensor | None = None,
        fraction: float = 0.03,
        max_iterations: int | None = None,
        derivatives: int = 1,
    ) -> None:
        if (rtol is not None and bool((torch.as_tensor(rtol) < 0).any())) or not 0 < fraction < 1:
            raise ValueError(f"Expected rtol >= 0 and 0 < fraction < 1, got {rtol} and {fraction}.")
        if (max_iterations is not None and max_iterations < 1) or derivatives < 1:
            raise ValueError(
                f"Expected max_iterations >= 1 and derivatives >= 1, got {max_iterations} and {derivatives}."
            )
        self.linear: LinearSolver = Dense() if linear is None else linear
        self.rtol, self.atol, self.fraction = rtol, atol, fraction
        self.max_iterations, self.derivatives = max_iterations, derivatives

    def within(self, rtol: float | Tensor, atol: float | Tensor) -> Newton:
        """The same iteration for a solve of these tolerances, which its own, where given, go before."""
        return Newton(
            self.linear,
            rtol=rtol if self.rtol is None else self.rtol,
            atol=atol if self.atol is None else self.atol,
            fraction=self.fraction,
            max_iterations=self.max_iterations,
            derivatives=self.derivatives,
        )

    def tolerances(self, dtype: torch.dtype) -> tuple[float | Tensor, float | Tensor]:
        """rtol and atol, by default close to rounding, over ``fraction``."""
        default = torch.finfo(dtype).eps ** 0.85 / self.fraction
        return (default if self.rtol is None else self.rtol, default if self.atol is None else self.atol)

    @torch.no_grad()
    def solve(
        self,
        residual: Callable[[Tensor], Tensor],
        guess: Tensor,
        factor: Factor,
        size: Callable[[Tensor], Tensor],
        rate: Tensor | None = None,
    ) -> Root:
        """Find x (batch, n) with residual(x) = 0.

        Args:
            residual: sample by sample.
            guess: where to start.
            factor: of about minus its Jacobian.
            size: a correction's norm (batch,) in units of the tolerance.
            rate: of convergence, (batch,), from an earlier stage with the same matrix; None where there was none.
        """
        iteration = _Iteration(guess.detach(), rate)
        most = self.max_iterations or (50 if self.rtol is None else 10)
        for count in range(most):
            solved = factor.solve(residual(iteration.x))
            iteration.correct(solved.x, size(solved.x) / self.fraction, most - 1 - count)
            iteration.evaluations = iteration.evaluations + (1 + solved.evaluations) * iteration.worked
            if not bool(iteration.active.any()):
                break
        return iteration.finish(guess.detach())


@dataclass(frozen=True)
class Root:
    """What Newton's iteration found.

    Attributes:
        x: the roots (batch, n); the initial guess for the samples without.
        converged: (batch,).
        rate: estimated rate of convergence, (batch,).
        evaluations: of the residual and of products with its Jacobian, (batch,).
    """

    x: Tensor
    converged: Tensor
    rate: Tensor
    evaluations: Tensor


class _Iteration:
    """The samples under iteration; all tensors but x are (batch,)."""

    def __init__(self, x: Tensor, rate: Tensor | None) -> None:
        self.x = x
        self.rate = x.new_full(x.shape[:1], torch.inf) if rate is None else rate
        self.active = torch.ones_like(self.rate, dtype=torch.bool)
        self.worked = self.active
        self.converged = ~self.active
        self.last: Tensor | None = None
        self.evaluations = torch.zeros_like(self.rate, dtype=torch.int64)

    def correct(self, correction: Tensor, norm: Tensor, left: int) -> None:
        """Add a correction of this norm, and decide which samples are done or lost with ``left`` iterations left."""
        self.worked = self.active
        if self.last is not None:
            measured = norm / self.last.clamp(min=torch.finfo(norm.dtype).tiny)
            self.rate = torch.where(self.active, measured, self.rate)
        self.x = torch.where(self.active[:, None], self.x + correction, self.x)
        # The corrections still to come sum to rate / (1 - rate) times this one.
        remaining = self.rate / (1 - self.rate) * norm
        done = ((self.rate < 1) & (remaining <= 1)) | (norm <= 1e-3)
        lost = ~torch.isfinite(norm)
        if self.last is not None:
            lost = lost | (self.rate >= 1) | (self.rate**left * remaining > 1)
        self.converged = self.converged | (self.active & done)
        self.active = self.active & ~done & ~lost
        self.last = norm

    def finish(self, guess: Tensor) -> Root:
        x = torch.where(self.converged[:, None], self.x, guess)
        rate = self.rate.clamp(min=torch.finfo(self.rate.dtype).eps) ** 0.8  # equation 8.10: trust it less next time
        return Root(x, self.converged, rate, self.evaluations)
