"""What learners do alike: their arms, the pulls that wait for a cost, checks, and the form of answers and states."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .bandit import Arms, Contexts, Costs


class Rounds:
    """Arms, and the pulls whose cost is awaited.

    Args:
        arms: values to choose from, different ones.

    Attributes:
        pending: of each instance of the last pull the ``arm``, and what else its learner needs to learn from its cost;
            empty between update and pull.
    """

    def __init__(self, arms: Arms) -> None:
        self.arms = _numbers(arms).copy()
        if self.arms.ndim != 1 or not len(self.arms) or not np.isfinite(self.arms).all():
            raise ValueError(f"Expected arms as a list of one finite number or more, got {self.arms}.")
        if len(np.unique(self.arms)) < len(self.arms):
            raise ValueError(f"Expected arms that differ, got {self.arms.tolist()}.")
        self._values: list[float] = self.arms.tolist()
        self.pending: dict[str, np.ndarray] = {}
        self._several = False

    def instances(self, context: Contexts, count: int | None) -> int:
        """How many there are, for learners that do not look at contexts."""
        shape = () if context is None or isinstance(context, float) else np.shape(context)
        self._several = count is not None or len(shape) > 0
        return _at_least_one(math.prod(shape[:1]) if count is None else count)

    def contexts(self, context: Contexts, count: int | None) -> np.ndarray:
        """Of each instance."""
        if context is None:
            raise ValueError("Expected a context: this learner has a policy of it. Give pull(context).")
        values = _numbers(context)
        self._several = count is not None or values.ndim > 0
        values = values if values.ndim else values[None]
        _at_least_one(len(values))
        if values.ndim != 1 or not all(map(math.isfinite, values.tolist())) or count not in (None, len(values)):
            raise ValueError(f"Expected one finite context for each instance, got {values} for count={count}.")
        return values

    def answer(self, chosen: np.ndarray, **known: np.ndarray) -> float | Tensor:
        """The parameters of the arms chosen: a number for one instance, a tensor for a batch.

        Args:
            chosen: arms.
            known: of each instance, to be given back with the costs.
        """
        self.pending = {"arm": chosen, **known}
        return torch.from_numpy(self.arms[chosen]) if self._several else float(self.arms[chosen[0]])

    def answer_one(self, chosen: int, pending: dict[str, np.ndarray]) -> float:
        """``answer`` for one instance, whose arm and what else is known of it are given."""
        self.pending, self._several = pending, False
        return self._values[chosen]

    def costs(self, cost: Costs) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Of the arms pulled last, and what was known of these; they are awaited no longer."""
        if not self.pending:
            raise ValueError("Expected pull() before update(cost): there is no pull whose cost is awaited.")
        values, awaited = _numbers(cost).reshape(-1), len(self.pending["arm"])
        if len(values) != awaited:
            raise ValueError(f"Expected {awaited} costs, one for each pull, got {len(values)}.")
        if not all(0 <= k < math.inf for k in values.tolist()):
            raise ValueError(f"Expected costs that are finite and not negative, got {values}.")
        pending, self.pending = self.pending, {}
        return values, pending

    def state_dict(self) -> dict[str, Any]:
        """Arms, and the pulls whose cost is awaited."""
        return {
            "arms": torch.from_numpy(self.arms.copy()),
            "pending": {name: torch.from_numpy(value.copy()) for name, value in self.pending.items()},
        }

    def load_state_dict(self, state: dict[str, Any], **width: int) -> None:
        """Take over the pulls of a state that ``read`` has passed.

        Args:
            state: of ``state_dict``.
            width: columns of what is known of each pull beside its arm.

        Raises:
            ValueError: pulls of other arms than there are, or with something else known of them.
        """
        pending = {name: value.cpu().numpy().copy() for name, value in state["pending"].items()}
        if pending:
            arms = pending.get("arm", np.zeros(0))
            shapes = {"arm": arms.shape, **{name: (len(arms), columns) for name, columns in width.items()}}
            found = {name: pending[name].shape for name in shapes if name in pending}
            integers = arms.ndim == 1 and np.issubdtype(arms.dtype, np.integer)
            pending |= {name: pending[name].astype(np.float64) for name in width if name in pending}
            pending["arm"] = arms.astype(np.int64)
            if found != shapes or not integers or not ((arms >= 0) & (arms < len(self.arms))).all():
                raise ValueError(
                    f"Expected pulls of {len(self.arms)} arms with {shapes}, got arms {arms.tolist()} with {found}: "
                    "the state of another learner, or of another version. Update before saving a state."
                )
        self.pending = pending

    def read(self, state: dict[str, Any], **own: np.ndarray | float) -> dict[str, np.ndarray]:
        """Copies of what a state holds under the names of a learner's own arrays and numbers.

        Raises:
            ValueError: the state is that of another learner, of other arms, or of other shapes.
        """
        names = {"rounds", *own}
        if not names <= state.keys():
            raise ValueError(f"Expected a state with {sorted(names)}, got {sorted(state)}: that of another learner.")
        arms = _numbers(state["rounds"]["arms"])
        if not np.array_equal(arms, self.arms):
            raise ValueError(f"Expected the state of the arms {self.arms.tolist()}, got that of {arms.tolist()}.")
        given = {name: _numbers(state[name]).copy() for name in own}
        for name, value in own.items():
            if given[name].shape != np.shape(value):
                raise ValueError(
                    f"Expected {name} of shape {np.shape(value)}, got {given[name].shape}: another setting."
                )
        return given


def _numbers(values: Arms | Contexts | Costs) -> np.ndarray:
    """As float64 on the CPU."""
    if isinstance(values, Tensor):
        return values.detach().to("cpu", torch.float64).numpy()
    return np.asarray(values, dtype=np.float64)


def _at_least_one(count: int) -> int:
    if count < 1:
        raise ValueError(f"Expected one instance or more, got {count}.")
    return count
