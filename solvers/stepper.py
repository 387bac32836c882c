"""The one protocol: a stepper takes a state over one time step.

A Runge-Kutta pair over a vector field, a neural operator, an exponential integrator and a wrapper of another stepper
are all called as ``stepper(t, dt, y) -> Step``. The call trains (``stepper(t, dt, u).y``) and rolls out
(``solve(stepper, u0, ts, controller)``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

from .state import State


@runtime_checkable
class Interpolant(Protocol):
    """Dense output of one step."""

    def __call__(self, theta: Float[Tensor, " rows"], rows: Tensor) -> State:
        """The states of samples ``rows`` (rows,) at t + theta dt, 0 <= theta <= 1."""
        ...


@dataclass(frozen=True, slots=True)
class Step:
    """What a stepper returns.

    Attributes:
        y: the state at t + dt.
        error: estimate of the local error of ``y``, same structure; None where the stepper has none.
        reuse: what the next step may reuse, tensors with a leading batch axis, or None. The loop hands it to the next
            call as a fourth argument, and keeps the old one for the samples whose step was rejected.
        dense: the step's interpolant, None where the stepper has none (then the loop lands on every output time).
        evaluations: evaluations of the vector field or network that the step spent; (batch,) where samples differ.
        stiffness: computes an estimate (batch,) of the modulus of the Jacobian's dominant eigenvalue from what the
            step has at hand; differentiable, and free until it is called. None where there is none.
    """

    y: State
    error: State | None = None
    reuse: Any = None
    dense: Interpolant | None = None
    evaluations: int | Int[Tensor, " batch"] = 1
    stiffness: Callable[[], Float[Tensor, " batch"]] | None = None


@runtime_checkable
class Stepper(Protocol):
    """``(t, dt, y) -> Step``, with t and dt of shape (batch,) and the state's leading axis the batch.

    A stepper may declare, as attributes, what it is valid for; ``solve`` checks before the loop:

    - ``order``: order of the global error in dt, None or absent for a learned stepper;
    - ``error_order``: power of dt with which ``Step.error`` shrinks, None or absent when there is no estimate;
    - ``dense_order``: order of ``Step.dense``, None or absent without dense output;
    - ``start(t, y)``: what the first step may reuse. Where there is something to reuse, from it or from the step
      before, the stepper is called ``stepper(t, dt, y, reuse)``;
    - ``slope(t, y, reuse)``: the time derivative at (t, y), which the first step size is chosen from;
    - ``vector_field`` and ``over(vector_field)``: the field ``(t, y) -> dy/dt`` it integrates, and the same scheme over
      another one: how ``solve`` binds ``args``, and how adjoints integrate the equations of the gradient;
    - ``select(rows)``: the stepper for these samples alone, where it holds tensors that are per sample (a Brownian
      path). ``solve`` drops finished samples from the computation; a stepper without ``select`` holds none;
    - ``within(rtol, atol)``: the same scheme with its inner iterations stopped at a tolerance that suits steps of that
      one;
    - ``without_branches(ts, controller)``: the same stepper in a form that compiles, for a solve at these times, where
      its own form asks tensors for values;
    - ``stability``: the modulus |dt lambda| up to which the scheme is stable on the negative real axis, None or absent
      where it is not bounded (implicit schemes) or not known.
    """

    def __call__(self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State) -> Step: ...


def error_order(stepper: Stepper) -> int | None:
    """The declared order of the stepper's error estimate, None where it has none."""
    return getattr(stepper, "error_order", None)
