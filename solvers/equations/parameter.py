"""Physical parameters of the equations."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def register(module: nn.Module, **values: float | Tensor) -> None:
    """Hold physical parameters on a module: an ``nn.Parameter`` to be learned, a tensor or number as a buffer.

    Numbers become float64, so that a float64 state meets them at full precision. Neither is saved with the module.
    """
    for name, value in values.items():
        if isinstance(value, nn.Parameter):
            module.register_parameter(name, value)
            continue
        tensor = value if isinstance(value, Tensor) else torch.tensor(value, dtype=torch.float64)
        module.register_buffer(name, tensor, persistent=False)
