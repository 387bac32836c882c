"""Learners that pick one of several parameters before each solve, and see what it cost."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

import numpy as np
from torch import Tensor

Arms: TypeAlias = Tensor | np.ndarray | Sequence[float]
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
            ValueError: a learner with contexts got none, or one that is not finite; no instance at all.
        """
        ...

    def update(self, cost: Costs) -> None:
        """Learn from what the parameters pulled last have cost, as many numbers as there were.

        Raises:
            ValueError: another number of costs, none pulled, or a cost that is negative or not finite.
        """
        ...

    def state_dict(self) -> dict[str, Any]:
        """What it has learnt, as tensors and numbers, with the pulls whose cost is awaited."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from there: pulls are the same as if it had never stopped, whatever seed this learner had.

        Raises:
            ValueError: the state of another learner, or of other arms.
        """
        ...
