"""What the error of the adjoint equation is measured by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .errors import InputError
from .norms import Norm, largest_rms
from .packing import Packing


def adjoint_norm(given: Any, state_norm: Callable[[Tensor], Any], packing: Packing) -> Norm:
    """The norm of (gradient in t, y, gradient in y, gradients in the parameters), y and its gradient packed.

    Args:
        given: the caller's: None, ``"seminorm"``, or a function of that tuple with y and its gradient unpacked.
        state_norm: of packed states.
        packing: of the states.

    Raises:
        InputError: another string.
    """
    if given is None or given == "seminorm":
        return _largest(state_norm, with_params=given is None)
    if not callable(given):
        raise InputError(f"Expected the adjoint option norm to be a function or 'seminorm', got {given!r}.")
    if packing.shapes is None:
        return given

    def of_unpacked(state: tuple[Tensor, ...]) -> Any:
        in_time, y, adjoint, *params = state
        return given((in_time, *packing.unpack(y), *packing.unpack(adjoint), *params))

    return of_unpacked


def _largest(state_norm: Callable[[Tensor], Any], with_params: bool) -> Norm:
    def norm(state: tuple[Tensor, ...]) -> Tensor:
        in_time, y, adjoint, *params = state
        parts = [in_time.abs(), torch.as_tensor(state_norm(y)), torch.as_tensor(state_norm(adjoint))]
        if with_params and params:
            parts.append(torch.as_tensor(largest_rms(tuple(params))))
        return torch.stack([part.to(in_time.dtype) for part in parts]).amax()

    return norm
