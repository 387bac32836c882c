"""Extra arguments of a vector field, bound to a stepper for one solve."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from .state import State
from .stepper import Stepper


@dataclass(frozen=True)
class PerSample:
    """Marks an argument that holds one entry per sample, (batch, ...): the field gets those of its samples.

    An unmarked argument is handed to the field as it is.
    """

    value: Tensor


class BoundField(nn.Module):
    """The vector field ``(t, y) -> field(t, y, *args)``.

    Args:
        field: takes t, y and the arguments.
        args: what to bind, plain or ``PerSample``.
    """

    def __init__(self, field: Callable[..., State], args: tuple[Any, ...]) -> None:
        super().__init__()
        self.field, self.args = field, args

    def forward(self, t: Tensor, y: State) -> State:
        return self.field(t, y, *plain_args(self.args))

    def select(self, rows: Tensor) -> BoundField:
        """The field of these samples alone."""
        return BoundField(self.field, select_args(self.args, rows))


def plain_args(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """The arguments as a field gets them."""
    return tuple(arg.value if isinstance(arg, PerSample) else arg for arg in args)


def select_args(args: tuple[Any, ...], rows: Tensor) -> tuple[Any, ...]:
    """The arguments of these samples alone."""
    return tuple(PerSample(arg.value[rows]) if isinstance(arg, PerSample) else arg for arg in args)


def bind(stepper: Stepper, args: tuple[Any, ...], batch: int) -> Stepper:
    """The stepper over its field with ``args`` bound.

    Raises:
        ValueError: the stepper integrates no vector field, or a per-sample argument has another length than the batch.
    """
    if not args:
        return stepper
    if not (hasattr(stepper, "over") and hasattr(stepper, "vector_field")):
        raise ValueError(
            f"{type(stepper).__name__} integrates no vector field that args={args!r} could be handed to. "
            "Give it what it needs when it is built."
        )
    for arg in args:
        if isinstance(arg, PerSample) and (arg.value.dim() == 0 or arg.value.shape[0] != batch):
            raise ValueError(
                f"Expected a PerSample argument of shape ({batch}, ...), got {tuple(arg.value.shape)}. "
                "An argument that all samples share is passed without PerSample."
            )
    return stepper.over(BoundField(stepper.vector_field, args))


def select_rows(stepper: Stepper, rows: Tensor) -> Stepper:
    """The stepper for these samples alone: itself, unless it or its field holds tensors that are per sample."""
    if hasattr(stepper, "select"):
        return stepper.select(rows)
    field = getattr(stepper, "vector_field", None)
    if field is not None and hasattr(field, "select") and hasattr(stepper, "over"):
        return stepper.over(field.select(rows))
    return stepper
