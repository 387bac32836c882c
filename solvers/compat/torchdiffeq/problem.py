"""What the functions of this face are asked, checked and brought into the form that ``solve`` takes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .errors import InputError, InputTypeError
from .event import joint_condition
from .field import JointField
from .packing import Packing


@dataclass(frozen=True)
class Problem:
    """An initial value problem for one packed state.

    Attributes:
        func: the caller's vector field.
        field: the same, over packed states (1, ...).
        packing: how the caller's state is packed.
        y0: packed state at ts[0], without a batch axis.
        ts: output times, (time,), strictly increasing or decreasing.
        rtol, atol: numbers, or tensors shaped as y0.
        condition: ``(t, y) -> (1,)`` of packed states (1, ...), whose first zero ends the integration; or None.
    """

    func: Callable[..., Any]
    field: JointField
    packing: Packing
    y0: Tensor
    ts: Tensor
    rtol: float | Tensor
    atol: float | Tensor
    condition: Callable[[Tensor, Tensor], Tensor] | None = None

    @property
    def sign(self) -> float:
        """Direction of time."""
        return -1.0 if len(self.ts) > 1 and bool(self.ts[1] < self.ts[0]) else 1.0

    def clock(self, dtype: torch.dtype = torch.float64) -> Tensor:
        """The output times in at least that precision."""
        return self.ts.to(torch.promote_types(dtype, torch.promote_types(self.ts.dtype, self.y0.abs().dtype)))


def pose(
    func: Callable[..., Any],
    y0: Any,
    t: Tensor,
    *,
    rtol: Any,
    atol: Any,
    event_fn: Callable[..., Tensor] | None = None,
) -> Problem:
    """The problem of these arguments.

    Raises:
        InputError: y0, t or a tolerance is not what is expected.
    """
    packing = Packing.of(y0)
    packed = packing.pack(y0)
    _check_times(t)
    if event_fn is not None and len(t) != 2:
        raise InputError(
            f"Expected two times with an event_fn, the start and one in the direction to go, got {len(t)}."
        )
    if t.device != packed.device:
        warnings.warn(f"t is on {t.device}, y0 on {packed.device}: t is moved there.", stacklevel=4)
        t = t.to(packed.device)
    field = JointField(func, packing)
    return Problem(
        func=func,
        field=field,
        packing=packing,
        y0=packed,
        ts=t,
        rtol=packing.tolerance("rtol", rtol, packed),
        atol=packing.tolerance("atol", atol, packed),
        condition=None if event_fn is None else joint_condition(event_fn, field, t, packed),
    )


def _check_times(t: Any) -> None:
    if not isinstance(t, Tensor) or not t.is_floating_point():
        came = t.dtype if isinstance(t, Tensor) else type(t).__name__
        raise InputTypeError(f"Expected t to be a floating point tensor of shape (time,), got {came}.")
    if t.dim() != 1 or len(t) == 0:
        raise InputError(f"Expected t of shape (time,), got {tuple(t.shape)}.")
    gaps = t.detach().diff()
    if not bool((gaps > 0).all() | (gaps < 0).all()):
        raise InputError("Expected t strictly increasing or decreasing, got repeated or unordered times.")
