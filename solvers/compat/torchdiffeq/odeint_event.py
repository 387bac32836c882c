"""``odeint_event``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from .event import with_event_gradient
from .field import JointField
from .odeint import odeint
from .packing import Packing


def odeint_event(
    func: Callable[..., Any],
    y0: Any,
    t0: Tensor,
    *,
    event_fn: Callable[..., Tensor],
    reverse_time: bool = False,
    odeint_interface: Callable[..., Any] = odeint,
    **kwargs: Any,
) -> Any:
    """Integrate from t0 to the first event, with gradients of its time and of the state there.

    The gradients are those of the implicit function theorem, also in what ``event_fn`` depends on.

    Args:
        func, y0, event_fn: as for ``odeint``.
        t0: the start, of no axes or of shape (1,).
        reverse_time: go backwards in time.
        odeint_interface: ``odeint`` or ``odeint_adjoint``.
        kwargs: for that.

    Returns:
        The time of the event, and the states (2, ...) at the start and there.

    Raises:
        InputError: an argument is not what is expected.
        IntegrationError: the event was not reached.
    """
    start = t0.reshape(-1)
    t = torch.cat([start, start.detach() + (-1.0 if reverse_time else 1.0)])
    event_t, solution = odeint_interface(func, y0, t, event_fn=event_fn, **kwargs)
    # For values of this module's own functions, which carry their gradients, this changes nothing.
    return with_event_gradient(event_fn, JointField(func, Packing.of(y0)), event_t, solution)
