"""ChebCB: the cost of each arm as a polynomial of the context."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sciml.kernels.bandits.cheb_cb import Regression

from .bandit import Arms, Contexts, Costs
from .draws import Draws
from .rounds import Rounds


class ChebCB:
    """Chebyshev regression of each arm's cost on the context, and SquareCB's exploration.

    Khodak, Chow, Balcan, Talwalkar, "Learning to Relax: Setting Solver Parameters Across a Sequence of Linear System
    Instances", ICLR 2024, algorithm 4, as in its released code; Foster, Rakhlin, "Beyond UCB", ICML 2020. Costs k count
    as (k - 1) / (K N), with K the largest so far and N = 6 + 4 ln m. Coefficients are those of least squares within the
    bounds that a Lipschitz function obeys, |theta_0| <= 1 / N and |theta_j| <= 2 / (N j). Sums over the past are kept
    instead of the past, so that a round costs the same at any time.

    Args:
        arms: values to choose from.
        low, high: ends of the interval of contexts; what is outside is taken to the nearest end.
        degree: highest degree of the polynomials.
        seed: of the draws.
        discount: what a cost counts for after each further one, 1 for ever; less forgets, for costs that drift.
        stale: part of an arm's costs that may have come since it was fitted; 0 fits it anew after each, as the paper
            does. A fit takes longer than all else in a round.

    Raises:
        ValueError: arms that are not different finite numbers, an empty or endless interval, a degree below 0, a
            discount outside (0, 1], or stale below 0.
    """

    def __init__(
        self,
        arms: Arms,
        low: float,
        high: float,
        *,
        degree: int = 5,
        seed: int = 0,
        discount: float = 1.0,
        stale: float = 0.01,
    ) -> None:
        if not -math.inf < low < high < math.inf or degree < 0 or not 0 < discount <= 1:
            raise ValueError(
                f"Expected low < high, both finite, degree >= 0 and 0 < discount <= 1, "
                f"got {low}, {high}, {degree}, {discount}."
            )
        if not 0 <= stale < 1:
            raise ValueError(f"Expected 0 <= stale < 1, got {stale}.")
        self._rounds, self._draws = Rounds(arms), Draws(seed)
        self.arms, self.low, self.high, self.discount, self.stale = self._rounds.arms, low, high, discount, stale
        self._known = Regression(len(self.arms), degree, low, high, discount, stale)

    @property
    def theta(self) -> np.ndarray:
        """Coefficients of the scaled costs, (arm, degree + 1)."""
        return self._known.theta

    def features(self, contexts: np.ndarray) -> np.ndarray:
        """Chebyshev polynomials of each context, (instance, degree + 1)."""
        return self._known.features(contexts)

    def pull(self, context: Contexts = None, *, count: int | None = None) -> float | Tensor:
        """See ``Bandit``."""
        if type(context) is float and count is None and math.isfinite(context):
            single = self._known.single()
            if single is not None:
                return self._rounds.answer_one(single.pull(context, self._draws.next()), single.pending)
        contexts = self._rounds.contexts(context, count)
        chosen, features = self._known.pull(contexts, self._draws.uniform(len(contexts)))
        return self._rounds.answer(chosen, features=features)

    def update(self, cost: Costs) -> None:
        """See ``Bandit``."""
        single = self._known.single()
        if type(cost) is float and 0 <= cost < math.inf and single and self._rounds.pending is single.pending:
            self._rounds.pending = {}
            single.update(cost)
            return
        costs, pulled = self._rounds.costs(cost)
        self._known.update(pulled["arm"], pulled["features"], costs)

    def state_dict(self) -> dict[str, Any]:
        """See ``Bandit``."""
        known = self._known
        arrays = {"products": known.products, "theta": known.theta, "new": known.fresh}
        time, largest, residual, *made = known.sums.tolist()
        return {
            **{name: torch.from_numpy(array.copy()) for name, array in arrays.items()},
            "time": time,
            "largest": largest,
            "residual": residual,
            "made": made,
            "rounds": self._rounds.state_dict(),
            "draws": self._draws.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See ``Bandit``."""
        known = self._known
        own = {"products": known.products, "theta": known.theta, "new": known.fresh, "made": known.sums[3:]}
        given = self._rounds.read(state, **own, time=0.0, largest=0.0, residual=0.0)
        self._rounds.load_state_dict(state["rounds"], features=known.theta.shape[1] + 1)
        for array, name in ((known.products, "products"), (known.theta, "theta"), (known.fresh, "new")):
            array[...] = given[name]
        known.sums[:] = [*(float(given[name]) for name in ("time", "largest", "residual")), *given["made"]]
        self._draws.load_state_dict(state["draws"])
