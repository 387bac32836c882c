"""A scheme over the differential equations of the gradient.

With a = dL/dy, da/dt = -(df/dy)^T a between output times, at which a jumps by the loss's gradient with respect to the
output.

Sources: L. Pontryagin et al., "The Mathematical Theory of Optimal Processes", 1962; R. Chen, Y. Rubanova,
J. Bettencourt, D. Duvenaud, "Neural Ordinary Differential Equations", NeurIPS 2018, equation 4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ..hermite import Hermite
from ..state import State, leaves, map_state, select, where
from ..stepper import Interpolant, Step
from .replay import call
from .vjp import filled, tracked, vjp

VectorField = Callable[[Tensor, State], State]


@dataclass(frozen=True)
class Outputs:
    """What happens to the gradient at the inner output times.

    Attributes:
        ts: (batch, time), without the first and the last.
        ys, gradients: states there and the loss's gradients with respect to them, (batch, time, ...).
    """

    ts: Tensor
    ys: State
    gradients: State

    def at(self, t: Tensor) -> tuple[Tensor, State, State] | None:
        """Which samples are at an output at times t (batch,), and state and gradient there; None if none is."""
        here = t[:, None] == self.ts
        hit = here.any(dim=1)
        if not bool(hit.any()):
            return None
        chosen = torch.arange(len(t), device=t.device), here.to(torch.int8).argmax(dim=1)
        return hit, map_state(lambda leaf: leaf[chosen], self.ys), map_state(lambda leaf: leaf[chosen], self.gradients)

    def select(self, rows: Tensor) -> Outputs:
        return Outputs(self.ts[rows], select(self.ys, rows), select(self.gradients, rows))


@runtime_checkable
class Equations(Protocol):
    """The differential equations of a state that holds the gradient a."""

    @property
    def field(self) -> VectorField:
        """The vector field of the forward solve."""
        ...

    def joined(self, y: State, a: State) -> State:
        """The state of y and a."""
        ...

    def slope(self, t: Tensor, state: State) -> State:
        """Time derivative of the state."""
        ...

    def jumped(self, hit: Tensor, y: State, gradient: State, state: State) -> State:
        """The state on the other side of an output y with the loss's ``gradient``, for the samples ``hit``."""
        ...

    def split(self, t: Tensor, state: State) -> tuple[State, State]:
        """y and a at times t."""
        ...

    def select(self, rows: Tensor) -> Equations:
        """The equations of these samples."""
        ...


class GradientStepper:
    """A scheme over the equations of the gradient. It lands on the output times, and jumps there before it steps.

    Args:
        scheme: a stepper with ``over``.
        equations, outputs: of the samples that are stepped.
    """

    def __init__(self, scheme: Any, equations: Equations, outputs: Outputs) -> None:
        self.scheme, self.equations, self.outputs = scheme, equations, outputs
        self.inner = scheme.over(equations.slope)
        self.order = getattr(self.inner, "order", None)
        self.error_order = getattr(self.inner, "error_order", None)
        self.stability = getattr(self.inner, "stability", None)

    def start(self, t: Tensor, y: State) -> Any:
        return self.inner.start(t, y) if hasattr(self.inner, "start") else None

    def slope(self, t: Tensor, y: State, reuse: Any = None) -> State:
        own = getattr(self.inner, "slope", None)
        return self.equations.slope(t, y) if own is None else own(t, y, reuse)

    def select(self, rows: Tensor) -> GradientStepper:
        return GradientStepper(self.scheme, self.equations.select(rows), self.outputs.select(rows))

    def __call__(self, t: Tensor, dt: Tensor, y: State, reuse: Any = None) -> Step:
        met = self.outputs.at(t)
        spent = 0
        if met is not None:
            hit, output, gradient = met
            y = self.equations.jumped(hit, output, gradient, y)
            if reuse is not None:
                reuse, spent = where(hit, self.start(t, y), reuse), 1
        step = call(self.inner, t, dt, y, reuse)
        dense = interpolant(self.equations.slope, t, dt, y, step)
        return replace(step, dense=dense, evaluations=step.evaluations + spent)


def interpolant(field: VectorField, t: Tensor, dt: Tensor, y: State, step: Step) -> Interpolant:
    """The step's dense output, or the cubic through its ends where it has none; evaluated when it is first called."""
    if step.dense is not None:
        return step.dense

    @cache
    def cubic() -> Hermite:
        return Hermite(dt, y, step.y, field(t, y), field(t + dt, step.y))

    return lambda theta, rows: cubic()(theta, rows)


def gradient_slope(field: VectorField, t: Tensor, y: State, a: State) -> tuple[State, State]:
    """f and -(df/dy)^T a at (t, y); differentiable once more where gradients are enabled (in an implicit scheme)."""
    again = torch.is_grad_enabled()
    try:
        y = map_state(lambda leaf: leaf if again and leaf.requires_grad else tracked(leaf), y)
    except RuntimeError:  # inside a transform of torch.func
        slope, pull, *_ = torch.func.vjp(lambda state: field(t, state), y)
        return slope, map_state(torch.neg, pull(a)[0])
    with torch.enable_grad():
        slope = field(t, y)
    found = iter(vjp(leaves(slope), leaves(a), leaves(y), differentiably=again))
    pulled = map_state(lambda leaf: -filled(next(found), leaf), y)
    return (slope if again else map_state(torch.detach, slope)), pulled


def field_of(stepper: Stepper, name: str) -> VectorField:
    """The vector field that a stepper integrates.

    Raises:
        ValueError: it has none.
    """
    if not (hasattr(stepper, "vector_field") and hasattr(stepper, "over")):
        raise ValueError(
            f"{name} integrates the equations of the gradient, which need a vector field; {type(stepper).__name__} has "
            "none that it could be built over (vector_field, over). Use adjoint=RecursiveCheckpoint()."
        )
    return stepper.vector_field


def select_field(field: VectorField, rows: Tensor) -> VectorField:
    """The field of these samples: itself, unless it holds tensors that are per sample. Their gradients are kept."""
    if not hasattr(field, "select"):
        return field
    with torch.enable_grad():
        return field.select(rows)
