"""What a wrapper of a stepper passes on."""

from __future__ import annotations

from typing import Any

_DECLARED = ("order", "error_order", "dense_order", "stability", "start", "slope")


def declare_like(wrapper: Any, stepper: Any) -> None:
    """Give ``wrapper`` the declarations of the stepper that it calls."""
    for name in _DECLARED:
        if hasattr(stepper, name):
            setattr(wrapper, name, getattr(stepper, name))
