"""A stepper that begins from a given state beside y and keeps the last one."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ...stepper import Step
from ...stochastic.reversible_heun import Companion, ReversibleHeunSDE


class Remembering(nn.Module):
    """A stepper that begins from a given state beside y and keeps the last one."""

    def __init__(self, stepper: SDEStepper | ReversibleHeunSDE, state: tuple[Tensor, ...] | None) -> None:
        super().__init__()
        self.stepper, self.state = stepper, state
        self.order, self.error_order = stepper.order, stepper.error_order
        self.last: Companion | None = None
        if isinstance(stepper, ReversibleHeunSDE):
            self.start, self.reverse = self._start, stepper.reverse

    def forward(self, t: Tensor, dt: Tensor, y: Tensor, *reuse: Any) -> Step:
        step = self.stepper(t, dt, y, *reuse)
        self.last = step.reuse
        return step

    def extra(self) -> tuple[Tensor, ...]:
        """Drift, diffusion and companion state at the end, as torchsde orders them; () for other methods."""
        if self.last is None:
            return ()
        return self.last.drift[0], self.last.diffusion[0], self.last.y[0]

    def _start(self, t: Tensor, y: Tensor) -> Companion:
        if not self.state:
            return self.stepper.start(t, y)
        drift, diffusion, companion = (tensor[None] for tensor in self.state)
        return Companion(companion, drift, diffusion)
