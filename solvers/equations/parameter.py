"""Physical parameters of the equations."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


def register(module: nn.Module, **values: float | Tensor) -> None:
    """Hold physical parameters on a module: an ``nn.Parameter`` to be learned, a tensor or number as a buffer.

    Numbers become float64, so that a float64 state meets them at full precision. Neither is saved with the module.
    """
    module.__dict__["_physical"] = getattr(module, "_physical", frozenset()) | frozenset(values)
    for name, value in values.items():
        if isinstance(value, nn.Parameter):
            module.register_parameter(name, value)
            continue
        tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        module.register_buffer(name, tensor, persistent=False)


def select_samples(module: nn.Module, rows: Tensor) -> nn.Module:
    """The module for these samples alone: parameters that ``register`` holds with a batch axis before others are cut.

    (batch, 1) and (batch, node) are per sample, a number and (node,) are not; (1, node) is shared by all samples. The
    copy shares everything else with the module.
    """
    clone = copy.copy(module)
    names: frozenset[str] = getattr(module, "_physical", frozenset())
    held = {**module._parameters, **module._buffers}
    cut = {
        name: held[name][rows]  # type: ignore[index]
        for name in names
        if held[name] is not None and held[name].dim() > 1 and len(held[name]) > 1  # type: ignore[union-attr,arg-type]
    }
    clone.__dict__["_parameters"] = {name: value for name, value in module._parameters.items() if name not in cut}
    clone.__dict__["_buffers"] = {**module._buffers, **cut}
    clone.__dict__["_modules"] = {
        name: None if child is None else select_samples(child, rows) for name, child in module._modules.items()
    }
    return clone
