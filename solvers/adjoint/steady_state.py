"""States at rest, and their gradients by the implicit function theorem."""

from __future__ import annotations

import copyreg
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ..arguments import BoundField
from ..controller import StepSizeController
from ..event import Event
from ..implicit.flat import Layout, RowField
from ..implicit.implicit_function import implicit
from ..implicit.jacobian import Dense, Factor, LinearSolver
from ..solve import solve
from ..state import State, leaves, map_state, rms_norm
from ..stepper import Stepper

_REFINEMENTS = 4  # each takes the error down by about the longest time scale of the system over the horizon


@dataclass(frozen=True, slots=True)
class SteadyState:
    """Where the slope vanishes.

    Attributes:
        y: the states at rest, differentiable in all that the vector field depends on; not in y0, which only chooses
            among several.
        residual: root mean square of the slope that is left, (batch,).
        t: time at which the slope fell below the tolerance; y has been refined from the state there.
        converged: whether it did, before the horizon.
    """

    y: State
    residual: Float[Tensor, " batch"]
    t: Float[Tensor, " batch"]
    converged: Bool[Tensor, " batch"]


class NotAtRest(RuntimeError):
    """Some sample was still moving at the horizon; ``found`` holds what was reached."""

    def __init__(self, found: SteadyState, horizon: float, tolerance: float) -> None:
        samples = (~found.converged).nonzero().flatten().tolist()
        largest = float(found.residual.max())
        super().__init__(
            f"Samples {samples[:8]} still move at the horizon {horizon}: slopes up to {largest:.2e}, tolerance "
            f"{tolerance:.2e}. Raise horizon or tolerance; a system that oscillates has no state to rest in."
        )
        self.found = found

    def __reduce__(self) -> tuple[Any, ...]:
        return copyreg.__newobj__, (type(self), *self.args), self.__dict__  # type: ignore[attr-defined]


def steady_state(
    stepper: Stepper,
    y0: State,
    controller: StepSizeController,
    *,
    args: tuple[Any, ...] = (),
    horizon: float = 1e3,
    tolerance: float = 1e-3,
    linear: LinearSolver | None = None,
) -> SteadyState:
    """Follow an autonomous system until it rests; differentiate where it rests, not how it got there.

    Each sample stops for itself, once the slope's root mean square is below ``tolerance``. A few implicit Euler steps
    as long as the horizon (Newton steps, almost) then take the slope down to rounding. With f(y, p) = 0 there,
    dy/dp = -(df/dy)^-1 df/dp: memory and gradient know nothing of the way. Second derivatives are not supported.

    Source: C. T. Kelley, D. E. Keyes, "Convergence analysis of pseudo-transient continuation", SIAM J. Numer. Anal. 35
    (1998), for the two phases; S. Bai, Z. Kolter, V. Koltun, "Deep equilibrium models", NeurIPS 2019, theorem 1, for
    the gradient.

    Args:
        stepper: with a vector field ``(t, y, *args) -> dy/dt``, such as ``RungeKutta(field, TSIT5)``.
        y0: where to start, as for ``solve``.
        controller: of the steps.
        args: extra arguments of the vector field, ``PerSample(tensor)`` for one with an entry for each sample.
        horizon: time at which to give up.
        tolerance: root mean square of the slope below which the steps end, in the state's units over time; more than
            the controller's tolerances leave of it.
        linear: ``Dense()``, or ``GMRES()`` for large states.

    Raises:
        ValueError: the stepper integrates no vector field.
        NotAtRest: a sample still moves at the horizon; its ``found`` holds what was reached.
    """
    field = getattr(stepper, "vector_field", None)
    if field is None:
        raise ValueError(f"{type(stepper).__name__} has no vector_field whose zero could be found.")
    with torch.no_grad():
        t, y = _settled(stepper, field, map_state(torch.detach, y0), controller, args, horizon, tolerance)
    rows = RowField(BoundField(field, args), Layout(y))
    found = _found(rows, t, rows.layout.flatten(y), Dense() if linear is None else linear, horizon, tolerance)
    if not bool(found.converged.all()):
        raise NotAtRest(found, horizon, tolerance)
    return found


def _settled(
    stepper: Stepper,
    field: Callable[..., State],
    y0: State,
    controller: StepSizeController,
    args: tuple[Any, ...],
    horizon: float,
    tolerance: float,
) -> tuple[Tensor, State]:
    """When and where each sample has come to rest, or to the horizon."""

    def speed_left(t: Tensor, y: State, *args: Any) -> Tensor:
        return rms_norm(field(t, y, *args)) - tolerance

    first = leaves(y0)[0]
    ts = torch.tensor([0.0, horizon], dtype=torch.float64, device=first.device)
    solution = solve(stepper, y0, ts, controller, args=args, event=Event(speed_left, direction=-1), throw=False)
    return solution.t_end, solution.y_end  # type: ignore[return-value]


def _found(
    field: RowField, t: Tensor, x: Tensor, linear: LinearSolver, horizon: float, tolerance: float
) -> SteadyState:
    """Refine rows x, and give them the derivatives that the field at rest implies."""
    shift = torch.full_like(t, horizon, dtype=x.dtype)
    with torch.no_grad():
        x, factor = _refined(field, t, x, linear, shift)
        residual = rms_norm(field(t, x))

    def precondition(v: Tensor, adjoint: bool) -> Tensor:
        return shift[:, None] * factor.precondition(v, adjoint)

    root = implicit(x, lambda rows: field(t, rows), precondition)
    return SteadyState(field.layout.restore(root), residual, t, residual <= tolerance * (1 + 1e-3))


def _refined(field: RowField, t: Tensor, x: Tensor, linear: LinearSolver, shift: Tensor) -> tuple[Tensor, Factor]:
    """Linearised implicit Euler steps of length ``shift``, taken where they reduce the slope; the last matrix."""
    slope = field(t, x)
    for _ in range(_REFINEMENTS):
        factor = linear.linearise(field, t, x).factor(shift)
        trial = x + shift[:, None] * factor.solve(slope).x
        after = field(t, trial)
        better = (rms_norm(after) < rms_norm(slope))[:, None]
        x, slope = torch.where(better, trial, x), torch.where(better, after, slope)
    return x, factor
