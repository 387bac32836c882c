"""An operator whose weights are divided among processes (fully sharded data parallelism), and back to a whole one.

Y. Zhao et al., "PyTorch FSDP: Experiences on Scaling Fully Sharded Data Parallel", 2023; with PyTorch's
``fully_shard``, whose parameters are distributed tensors and keep their names and shapes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def shard(module: nn.Module, mesh: Any) -> nn.Module:
    """Divide the parameters of a module, in place, among the processes of a device mesh.

    The blocks of a scOT are gathered one at a time where they compute; another network as a whole, since a block that
    returned a view, changed in place later, would silently lose its gradient.

    Raises:
        ValueError: a parameter is a single or a complex number, which cannot be divided.
    """
    from torch.distributed.fsdp import fully_shard

    from sciml.operators.poseidon.blocks import ConvNeXtBlock, TransformerBlock

    for name, parameter in module.named_parameters():
        if parameter.dim() == 0 or parameter.is_complex():
            kind = "complex" if parameter.is_complex() else "0-dimensional"
            raise ValueError(
                f"Expected parameters that fsdp can divide, got {name}, {kind}. Train with strategy='ddp'."
            )
    mesh = mesh["data_parallel"] if mesh.ndim > 1 else mesh
    for block in module.modules():
        if isinstance(block, TransformerBlock | ConvNeXtBlock):
            fully_shard(block, mesh=mesh)
    fully_shard(module, mesh=mesh)
    return module


def whole(tensor: Tensor) -> Tensor:
    """A tensor; if it is divided among processes, brought together in host memory: all of them have to call this."""
    return tensor.full_tensor().cpu() if _is_divided(tensor) else tensor  # type: ignore[attr-defined]


def part_like(model: Tensor, tensor: Tensor) -> Tensor:
    """Of a whole tensor that every process has, the part that this one keeps of ``model``."""
    if not _is_divided(model):
        return tensor
    from torch.distributed.tensor import DTensor, distribute_tensor

    assert isinstance(model, DTensor)
    local = tensor.to(model.device)
    return distribute_tensor(local, model.device_mesh, model.placements, src_data_rank=None)


@torch.no_grad()
def whole_state(module: nn.Module) -> dict[str, Tensor]:
    """The parameters of a module, whole, and its buffers as the first process has them."""
    state = module.state_dict().items()
    return {name: whole(value) if _is_divided(value) else broadcast(value).cpu() for name, value in state}


@torch.no_grad()
def load_whole_state(module: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Give a module whose parameters are divided the state of a whole one."""
    for name, value in module.state_dict().items():
        value.copy_(part_like(value, tensors[name]))


@torch.no_grad()
def broadcast(tensor: Tensor) -> Tensor:
    """The first process's tensor, in place, in all of them."""
    torch.distributed.broadcast(tensor.detach(), src=0)
    return tensor


def _is_divided(tensor: Tensor) -> bool:
    if not torch.distributed.is_available():
        return False
    from torch.distributed.tensor import DTensor

    return isinstance(tensor, DTensor)
