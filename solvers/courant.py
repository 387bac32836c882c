"""Any time step, by as many steps as stability asks for."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from .arguments import select_rows
from .state import State, leaves, map_state, select
from .stepper import Step, Stepper

_ROUNDING = 0.01
"""Steps a hundredth over the limit are allowed, so that rounding adds none."""


@runtime_checkable
class Bounded(Stepper, Protocol):
    """A stepper that knows how long its steps may be."""

    def longest_step(self, t: Float[Tensor, " batch"], y: State, reuse: Any = None) -> Float[Tensor, " batch"]:
        """The length at which the Courant number of each sample is one; ``reuse`` is what the step before left."""
        ...


class Courant(nn.Module):
    """Covers dt by steps whose Courant number stays below a bound, chosen anew from the state before each of them.

    Each sample takes its own steps, so that batching changes no result; dt may be a frame of a film::

        solve(Courant(method), y0, ts, FixedStep(1 / 24))

    Args:
        stepper: takes the steps.
        number: bound of the Courant number, such as cells that the fastest wave may cross in a step.

    Raises:
        ValueError: the stepper does not know its longest step, or number is not positive.
    """

    def __init__(self, stepper: Bounded, number: float = 0.4) -> None:
        super().__init__()
        if not isinstance(stepper, Bounded):
            raise ValueError(f"Expected a stepper with longest_step(t, y), got {type(stepper).__name__}.")
        if not number > 0:
            raise ValueError(f"Expected number > 0, got {number}.")
        self.stepper, self.number = stepper, number
        self.order: int | None = getattr(stepper, "order", None)

    def forward(self, t: Float[Tensor, " batch"], dt: Float[Tensor, " batch"], y: State) -> Step:
        """The state at t + dt; a sample with dt = 0 is returned as it is.

        Raises:
            ValueError: the stepper has no step that is long enough to matter (a state that moves infinitely fast).
        """
        evaluations = torch.zeros_like(dt, dtype=torch.int64)
        rows = dt.nonzero().flatten()
        result: State = y
        stepper: Any = self.stepper
        if len(rows) < len(dt):
            t, dt, y, stepper = t[rows], dt[rows], select(y, rows), select_rows(stepper, rows)
        reuse: Any = self._start(stepper, t, y) if len(rows) else None
        while len(rows):
            count = self._count(stepper.longest_step(t, y, reuse), t, dt)
            short = dt / count
            step = stepper(t, short, y, *(() if reuse is None else (reuse,)))
            y, reuse, t, dt = step.y, step.reuse, t + short, dt - short
            evaluations = evaluations.index_add(0, rows, torch.as_tensor(step.evaluations).to(rows).expand(len(rows)))
            done = count <= 1
            if bool(done.any()):
                result = _placed(result, y, rows, done)
                keep = (~done).nonzero().flatten()
                rows, t, dt = rows[keep], t[keep], dt[keep]
                y, reuse, stepper = select(y, keep), select(reuse, keep), select_rows(stepper, keep)
        return Step(y=result, evaluations=evaluations)

    def select(self, rows: Tensor) -> Courant:
        """The same for these samples alone."""
        chosen: Any = select_rows(self.stepper, rows)
        return Courant(chosen, self.number)

    def _start(self, stepper: Any, t: Tensor, y: State) -> Any:
        start = getattr(stepper, "start", None)
        return None if start is None else start(t, y)

    def _count(self, bound: Tensor, t: Tensor, dt: Tensor) -> Tensor:
        """How many equal steps would cover what is left of dt, were the state to stay as it is."""
        longest = self.number * bound.detach().to(dt.dtype)
        if not bool((longest > torch.finfo(dt.dtype).eps * dt.abs()).all()):
            sample = int(longest.nan_to_num(nan=-1.0).argmin())
            raise ValueError(
                f"Expected a state that can be stepped, got one in which steps of sample {sample} had to be "
                f"{float(longest[sample]):.3g} long at t = {float(t[sample]):.6g}: it moves infinitely fast or is NaN."
            )
        return torch.ceil(dt.abs() / longest - _ROUNDING).clamp(min=1)


def _placed(result: State, y: State, rows: Tensor, done: Tensor) -> State:
    """``result`` with the finished samples of ``y`` in their rows."""
    if bool(done.all()) and len(rows) == len(leaves(result)[0]):
        return y
    return map_state(lambda whole, part: whole.index_put((rows[done],), part[done]), result, y)
