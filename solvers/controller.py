"""Step size controllers: they decide, for each sample, whether a step stands and how long the next one is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .state import State
from .stepper import Step, Stepper


@dataclass(frozen=True, slots=True)
class Control:
    """A controller's decision and its memory; every tensor is per sample.

    Attributes:
        dt: signed length proposed for the next step.
        accept: whether the last step stands; False before the first.
        ratio: scaled error of the last step, accepted where <= 1; None without an estimate.
        history: whatever the controller remembers, tensors with a leading batch axis.
    """

    dt: Float[Tensor, " batch"]
    accept: Bool[Tensor, " batch"]
    ratio: Float[Tensor, " batch"] | None = None
    history: Any = None


@runtime_checkable
class StepSizeController(Protocol):
    """Decides accept or reject and the next dt from a ``Step``.

    A controller that declares ``adaptive = True`` lets ``solve`` take shorter steps than proposed, to land on output
    times evenly.
    """

    def start(self, stepper: Stepper, t: Tensor, y: State, span: Tensor, reuse: Any) -> Control:
        """The first proposal; ``span`` (batch,) is the signed time ahead.

        Raises:
            ValueError: this controller cannot control that stepper.
        """
        ...

    def __call__(self, step: Step, y: State, dt: Tensor, control: Control) -> Control:
        """Judge ``step``, taken from ``y`` over ``dt`` (at most the length that ``control`` proposed)."""
        ...


class FixedStep:
    """Steps of one length, all accepted; the last before an output time is cut short to land on it.

    Args:
        dt: length of a step, positive; a float, or (batch,) for a length per sample. The direction is that of ``ts``.

    Raises:
        ValueError: dt is not positive and finite.
    """

    def __init__(self, dt: float | Tensor) -> None:
        values = torch.as_tensor(dt)
        if values.dim() > 1 or not bool(torch.isfinite(values).all()) or not bool((values > 0).all()):
            raise ValueError(
                f"Expected dt > 0, a float or of shape (batch,), got {dt}. To integrate backwards, give decreasing ts."
            )
        self.dt = dt

    def start(self, stepper: Stepper, t: Tensor, y: State, span: Tensor, reuse: Any) -> Control:
        """The fixed length, in the direction of ``span``."""
        length = torch.as_tensor(self.dt, dtype=t.dtype, device=t.device)
        if length.dim() == 1 and length.shape != t.shape:
            raise ValueError(f"Expected dt of shape ({len(t)},), one per sample of y0, got {tuple(length.shape)}.")
        return Control(dt=length * torch.sign(span), accept=torch.zeros_like(t, dtype=torch.bool))

    def __call__(self, step: Step, y: State, dt: Tensor, control: Control) -> Control:
        """Accept."""
        return Control(dt=control.dt, accept=torch.ones_like(dt, dtype=torch.bool))
