"""Numbers known beforehand, at hand on every device."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .host import traced


class Constant:
    """A float64 tensor of plain numbers, and its copies for the dtypes and devices that have asked.

    A copy from the host to a GPU makes both wait for each other, so a table that every step reads is copied once.
    """

    __slots__ = ("_copies", "value")

    def __init__(self, numbers: Any) -> None:
        # A tensor made in inference mode would be of no use to autograd later.
        with torch.inference_mode(False):
            self.value = torch.as_tensor(numbers, dtype=torch.float64)
        self._copies: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def like(self, tensor: Tensor) -> Tensor:
        """The numbers in a tensor's dtype and on its device."""
        if tensor.device.type == "cpu" or traced():
            return self.value.to(tensor.device, tensor.dtype)
        key = tensor.dtype, tensor.device
        if key not in self._copies:
            with torch.inference_mode(False):
                self._copies[key] = self.value.to(tensor.device, tensor.dtype)
        return self._copies[key]

    def __reduce__(self) -> tuple[Any, ...]:
        return Constant, (self.value,)  # copies stay behind: where this is loaded there may be no such device
