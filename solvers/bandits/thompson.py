"""Thompson sampling."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch import Tensor

from .averages import Averages
from .bandit import Arms, Contexts, Costs


class Thompson:
    """The arm that is best in a draw from what is believed: costs are normal about the arms' means, which are uncertain
    by spread / sqrt(n), with one spread for all arms.

    Thompson, "On the likelihood that one unknown probability exceeds another", 1933; for normal costs Agrawal, Goyal,
    "Further optimal regret bounds for Thompson sampling", 2013.

    Args:
        arms: values to choose from.
        seed: of the draws.
        discount: what a cost counts for after each further one, 1 for ever.
    """

    def __init__(self, arms: Arms, *, seed: int = 0, discount: float = 1.0) -> None:
        self._averages = Averages(arms, seed, discount)
        self.arms = self._averages.rounds.arms

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        return self._averages.pull(context, count, self._preferred)

    def _preferred(self, instances: int) -> np.ndarray:
        known = self._averages
        noise = known.draws.normal(instances * len(self.arms)).reshape(instances, len(self.arms))
        uncertain = known.spread / np.sqrt(np.maximum(known.number, 1e-12))
        return (known.mean + uncertain * noise).argmin(axis=1)

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        self._averages.update(cost)

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        return self._averages.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        self._averages.load_state_dict(state)
