"""Neural ordinary differential equations as classifiers.

R. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, "Neural Ordinary Differential Equations", NeurIPS 2018; in the size
and shape of A. Pal et al., ICML 2021 and 2023: the features are the state, and a linear layer reads the state at the
end.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.solvers.controller import StepSizeController
from sciml.solvers.pid import PIDController
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.solution import Solution
from sciml.solvers.solve import solve
from sciml.solvers.stepper import Stepper
from sciml.solvers.tableaus.tsit5 import TSIT5


class TimeMLP(nn.Module):
    """A vector field of two layers that see the time: W2 [tanh(W1 [y, t]), t], with tanh outside if ``bounded``.

    Args:
        features: length of the state.
        hidden: width.
        bounded: keep every slope within -1 and 1 (the 2021 paper; the one of 2023 leaves it out).
    """

    def __init__(self, features: int, *, hidden: int = 100, bounded: bool = False) -> None:
        super().__init__()
        self.inner = nn.Linear(features + 1, hidden)
        self.outer = nn.Linear(hidden + 1, features)
        self.bounded = bounded

    def forward(self, t: Float[Tensor, " batch"], y: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch feature"]:
        time = t.to(y.dtype)[:, None]
        hidden = torch.tanh(self.inner(torch.cat([y, time], dim=1)))
        slope = self.outer(torch.cat([hidden, time], dim=1))
        return torch.tanh(slope) if self.bounded else slope


class NeuralODEClassifier(nn.Module):
    """Class scores from the state that the features flow to over a unit of time.

    Args:
        features: length of the input.
        classes: number of scores.
        hidden: width of the vector field.
        build: makes the stepper from the vector field, by default ``RungeKutta(field, TSIT5)``.
        controller: of the steps, by default the papers' tolerances 1.4e-8.
    """

    def __init__(
        self,
        features: int,
        classes: int,
        *,
        hidden: int = 100,
        build: Callable[[nn.Module], Stepper] = lambda field: RungeKutta(field, TSIT5),
        controller: StepSizeController | None = None,
    ) -> None:
        super().__init__()
        self.field = TimeMLP(features, hidden=hidden)
        self.stepper = build(self.field)
        self.controller = controller or PIDController(rtol=1.4e-8, atol=1.4e-8)
        self.head = nn.Linear(features, classes)

    def forward(self, x: Float[Tensor, "batch feature"]) -> Float[Tensor, "batch class"]:
        """Scores (logits)."""
        return self.scores(self.flow(x))

    def flow(
        self,
        x: Float[Tensor, "batch feature"],
        ts: Float[Tensor, " time"] | None = None,
        *,
        keep_steps: bool = False,
    ) -> Solution:
        """The features' way from time 0 to 1, or over ``ts``; what penalties are taken of."""
        ts = torch.tensor([0.0, 1.0], dtype=x.dtype, device=x.device) if ts is None else ts
        return solve(self.stepper, x, ts, self.controller, keep_steps=keep_steps)

    def scores(self, solution: Solution) -> Float[Tensor, "batch class"]:
        """Scores read off the last state."""
        return self.head(solution.ys[:, -1])
