"""Groups of parameters that learn at rates of their own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from torch import nn


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Parameters that share a learning rate and a weight decay.

    Attributes:
        names: of ``operator.named_parameters()``.
        lr: highest learning rate, which the schedule multiplies; None for that of the settings.
        weight_decay: None for that of the settings.
    """

    names: tuple[str, ...]
    lr: float | None = None
    weight_decay: float | None = None

    def __post_init__(self) -> None:
        if self.lr is not None and not self.lr > 0:
            raise ValueError(f"Expected lr > 0, got {self.lr}. Freeze parameters with requires_grad_(False) instead.")
        if self.weight_decay is not None and not self.weight_decay >= 0:
            raise ValueError(f"Expected weight_decay >= 0, got {self.weight_decay}.")


@runtime_checkable
class ParameterGroups(Protocol):
    """Divides an operator's parameters into groups."""

    def __call__(self, operator: nn.Module) -> Sequence[ParameterGroup]:
        """Groups that hold every parameter once; frozen ones may be among them."""
        ...


def decay_matrices(operator: nn.Module) -> tuple[ParameterGroup, ...]:
    """The default: decay what multiplies (tensors of two or more axes), not what shifts (biases and norms)."""
    parameters = dict(operator.named_parameters())
    return (
        ParameterGroup(tuple(name for name, p in parameters.items() if p.dim() >= 2)),
        ParameterGroup(tuple(name for name, p in parameters.items() if p.dim() < 2), weight_decay=0.0),
    )


def trainable_groups(operator: nn.Module, groups: ParameterGroups | None) -> list[ParameterGroup]:
    """The groups without what is frozen, and without those that are empty then.

    Raises:
        ValueError: a parameter is missing, unknown, or in two groups.
    """
    divided = (groups or decay_matrices)(operator)
    trained = {name: parameter.requires_grad for name, parameter in operator.named_parameters()}
    counts = Counter(name for group in divided for name in group.names)
    for problem, names in (
        ("in no group", [name for name, learns in trained.items() if learns and name not in counts]),
        ("in several groups", [name for name, count in counts.items() if count > 1]),
        ("unknown", [name for name in counts if name not in trained]),
    ):
        if names:
            raise ValueError(
                f"Expected groups that hold each parameter of {type(operator).__name__} once; {problem}: "
                f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}."
            )
    kept = (
        ParameterGroup(tuple(name for name in group.names if trained[name]), group.lr, group.weight_decay)
        for group in divided
    )
    return [group for group in kept if group.names]


def adamw_groups(
    module: nn.Module, groups: Sequence[ParameterGroup], *, lr: float, weight_decay: float
) -> list[dict[str, Any]]:
    """The groups as AdamW takes them, each with its highest learning rate under "peak"."""
    parameters = dict(module.named_parameters())
    return [
        {
            "params": [parameters[name] for name in group.names],
            "peak": lr if group.lr is None else group.lr,
            "weight_decay": weight_decay if group.weight_decay is None else group.weight_decay,
        }
        for group in groups
    ]
