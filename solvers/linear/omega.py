"""The relaxation parameter of a solve: a number, one for each sample, or what a bandit chooses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeGuard

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sciml.kernels.linear.matrix import Matrix
from sciml.solvers.bandits.bandit import Bandit

OmegaLike: TypeAlias = float | Tensor | Bandit
Context: TypeAlias = Callable[[Matrix, Tensor], float | Tensor]
"""(matrix, b) -> what a bandit is told of the instance, a number or (batch,)."""


def check_omega(omega: OmegaLike) -> None:
    """Refuse a bandit with arms outside (0, 2), and what is no omega at all: ValueError."""
    if isinstance(omega, float | int | Tensor):
        return
    if not _learns(omega):
        raise ValueError(f"Expected omega as a number, a tensor (batch,), or a bandit, got {type(omega).__name__}.")
    if not ((omega.arms > 0) & (omega.arms < 2)).all():
        raise ValueError(f"Expected arms between 0 and 2, where relaxation can converge, got {omega.arms.tolist()}.")


def told(given: float | Tensor | None, context: Context | None, matrix: Matrix, b: Tensor) -> float | Tensor | None:
    """The context given with a call, or else what the solver's own function says of the systems, if it has one."""
    return context(matrix, b) if given is None and context is not None else given


class Choice:
    """The omega of one call of a solver.

    Args:
        omega: as the solver has it.
        b: right-hand sides.
        context: what a bandit is told, a number or (batch,), or None.

    Raises:
        ValueError: not one omega or context, or one for each sample.
    """

    def __init__(self, omega: OmegaLike, b: Tensor, context: float | Tensor | None = None) -> None:
        self._bandit: Bandit | None = None
        count, device = len(b), b.device
        self._count = count
        if _learns(omega):
            self._bandit, self._device = omega, device
            one = count == 1 and (not isinstance(context, Tensor) or context.numel() == 1)
            self._context: float | Tensor | None = None
            if context is not None:  # numbers take half as long as a batch of one
                self._context = float(context) if one else _each(context, count, "context").cpu()
            self.fixed: Float[Tensor, " batch"] | None = None
        else:
            self.fixed = _each(omega, count, "omega").to(device)

    def take(self, rows: Int[Tensor, " row"] | None = None) -> Float[Tensor, " row"]:
        """For these samples, or all; a bandit is pulled."""
        if self._bandit is None:
            assert self.fixed is not None
            return self.fixed if rows is None else self.fixed[rows]
        if self._count == 1:
            return torch.full((1,), float(self._bandit.pull(self._context)), dtype=torch.float64, device=self._device)
        if not isinstance(self._context, Tensor):
            pulled = self._bandit.pull(count=self._count if rows is None else len(rows))
        else:
            pulled = self._bandit.pull(self._context if rows is None else self._context[rows.cpu()])
        return torch.as_tensor(pulled, dtype=torch.float64).to(self._device)

    def learn(self, iterations: Tensor, converged: Tensor, limit: int) -> None:
        """Tell a bandit what they cost: iterations, or the limit where there is no solution after fewer."""
        if self._bandit is None:
            return
        if self._count == 1:
            self._bandit.update(float(iterations) if bool(converged) else float(limit))
        else:
            self._bandit.update(torch.where(converged, iterations, limit).cpu().double())


def _learns(omega: object) -> TypeGuard[Bandit]:
    """Whether it is a bandit; asking for all of the protocol takes longer than a small solve."""
    return hasattr(omega, "pull") and hasattr(omega, "update")


def _each(value: Any, count: int, name: str) -> Tensor:
    tensor = torch.as_tensor(value, dtype=torch.float64).detach()
    if tensor.dim() > 1 or tensor.numel() not in (1, count):
        raise ValueError(f"Expected one {name}, or one for each of {count} samples, got shape {tuple(tensor.shape)}.")
    return tensor.reshape(-1).expand(count)
