"""Learners that pick one of several parameters before each solve, and see what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
import torch
from torch import Tensor

Contexts: TypeAlias = float | Tensor | np.ndarray | None
Costs: TypeAlias = float | Tensor | np.ndarray


@runtime_checkable
class Bandit(Protocol):
    """``pull`` a parameter, spend what it costs, ``update``. Mutable, outside any differentiated loop.

    Attributes:
        arms: the parameters.
    """

    arms: np.ndarray

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """A parameter; or one for each of ``count`` instances, or of the contexts (count,), as float64.

        Args:
            context: what is known of the instance beforehand; learners without contexts do not look at it.
            count: instances that are solved at once and share the learner.

        Raises:
            ValueError: a learner with contexts got none, or one that is not finite.
        """
        ...

    def update(self, cost: Costs) -> None:
        """Learn from what the parameters pulled last have cost, as many numbers as there were.

        Raises:
            ValueError: another number of costs, none pulled, or a cost that is negative or not finite.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it has learnt, as tensors and numbers."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there: draws are the same as if it had never stopped."""
        ...


class Rounds:
    """What learners do alike: arms, the pulls that wait for their cost, checks, and the form of the answer.

    Args:
        arms: values to choose from, different ones.
    """

    def __init__(self, arms: Tensor | np.ndarray | Sequence[float]) -> None:
        self.arms = torch.as_tensor(arms, dtype=torch.float64).cpu().numpy().copy()
        if self.arms.ndim != 1 or not len(self.arms) or not np.isfinite(self.arms).all():
            raise ValueError(f"Expected arms as a list of one finite number or more, got shape {self.arms.shape}.")
        if len(np.unique(self.arms)) < len(self.arms):
            raise ValueError(f"Expected arms that differ, got {self.arms.tolist()}.")
        self.pulled: np.ndarray | None = None

    def contexts(self, context: Contexts, count: int | None, *, needed: bool) -> tuple[np.ndarray | None, int]:
        """The contexts (instance,), None where they are not needed, and how many instances there are."""
        if context is None or (not needed and count is not None):
            if needed:
                raise ValueError("Expected a context: this learner has a policy of it. Give pull(context).")
            return None, 1 if count is None else count
        values = np.atleast_1d(np.asarray(torch.as_tensor(context).detach().cpu(), dtype=np.float64))
        if values.ndim != 1 or not np.isfinite(values).all() or count not in (None, len(values)):
            raise ValueError(f"Expected one finite context for each instance, got {values} for count={count}.")
        return values, len(values)

    def answer(self, chosen: np.ndarray, context: Contexts, count: int | None) -> float | Tensor:
        """The parameters of the arms chosen: a number for one instance, a tensor for a batch."""
        self.pulled = chosen
        several = count is not None or getattr(context, "ndim", 0) > 0
        return torch.from_numpy(self.arms[chosen]) if several else float(self.arms[chosen[0]])

    def costs(self, cost: Costs) -> tuple[np.ndarray, np.ndarray]:
        """The arms pulled last and their costs."""
        if self.pulled is None:
            raise ValueError("Expected pull() before update(cost): there is no pull whose cost is awaited.")
        values = np.atleast_1d(np.asarray(torch.as_tensor(cost).detach().cpu(), dtype=np.float64)).ravel()
        if len(values) != len(self.pulled):
            raise ValueError(f"Expected {len(self.pulled)} costs, one for each pull, got {len(values)}.")
        if not np.isfinite(values).all() or (values < 0).any():
            raise ValueError(f"Expected costs that are finite and not negative, got {values}.")
        chosen, self.pulled = self.pulled, None
        return chosen, values
