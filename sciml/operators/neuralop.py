"""What networks of the ``neuraloperator`` package need to be held and stored like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn


def adopt(network: nn.Module, owner: nn.Module) -> nn.Module:
    """The network with its complex weights as real and imaginary parts, and only tensors in its owner's state.

    So safetensors, ``.double()`` and ``DistributedDataParallel`` treat them like any parameter.
    """
    from neuralop.layers.spectral_convolution import SpectralConv  # it takes seconds, and is there if a network is

    for module in network.modules():
        if isinstance(module, SpectralConv):
            module.weight = _SpectralWeight(module.weight.to_tensor())
    owner.register_state_dict_post_hook(_drop_metadata)
    return network


class _SpectralWeight(nn.Module):
    """A complex weight kept as its real and imaginary parts; the package's layers read it by slices."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.real = nn.Parameter(weight.detach().real.clone())
        self.imaginary = nn.Parameter(weight.detach().imag.clone())

    def __getitem__(self, kept: tuple[slice, ...]) -> Tensor:
        return torch.complex(self.real[kept], self.imaginary[kept])


def _drop_metadata(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    """The package adds its constructor's arguments to the tensors; ``config`` has them."""
    state.pop("_metadata", None)


def parse_modes(modes: int | Sequence[int], dim: int) -> tuple[int, ...]:
    """One number of modes for each axis.

    Raises:
        ValueError: another number of them, or one below 1.
    """
    parsed = (modes,) * dim if isinstance(modes, int) else tuple(modes)
    if len(parsed) != dim or any(k < 1 for k in parsed):
        raise ValueError(f"Expected modes >= 1, one or {dim} of them, got {modes!r}.")
    return parsed
