"""The processes and the device that a training runs on, through Lightning Fabric."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import torch

from .order import Place
from .settings import FitSettings
from .sharding import shard

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def start_processes(settings: FitSettings) -> Fabric:
    """Join the processes that torchrun started, or be the only one.

    Under torchrun the gradients are averaged over all processes of all machines, by DistributedDataParallel or, with
    strategy "fsdp", fully sharded; NCCL between GPUs, Gloo between CPUs. Any other launcher's environment variables,
    such as Slurm's, are left alone.

    Raises:
        ValueError: the device is unknown, not there, or one GPU was named for several processes.
    """
    from lightning.fabric import Fabric
    from lightning.fabric.plugins.environments import LightningEnvironment

    launched = torch.distributed.is_available() and torch.distributed.is_torchelastic_launched()
    local = int(os.environ["LOCAL_WORLD_SIZE"]) if launched else 1
    accelerator, devices = _device(settings.device, local, launched)
    plugins: list[Any] = [] if launched else [LightningEnvironment()]
    mixed = settings.precision.endswith("mixed")
    fabric = Fabric(
        accelerator=accelerator,
        devices=devices,
        num_nodes=int(os.environ["WORLD_SIZE"]) // local if launched else 1,
        strategy=_strategy(settings, launched),
        precision=None if mixed else settings.precision,
        plugins=[*plugins, _autocast(settings.precision, accelerator)] if mixed else plugins,
    )
    fabric.launch()
    return fabric


def _strategy(settings: FitSettings, launched: bool) -> Any:
    """Fabric's; alone, a process has nothing to divide."""
    if not launched:
        return "auto"
    if settings.strategy == "ddp":
        return "ddp"
    if settings.precision not in ("32-true", "bf16-mixed"):
        raise ValueError(
            f"Expected precision '32-true' or 'bf16-mixed' with strategy='fsdp', got {settings.precision!r}."
        )
    from lightning.fabric.strategies import ModelParallelStrategy

    # Fabric's own "fsdp" is of the older kind, which runs on GPUs alone.
    return ModelParallelStrategy(shard, data_parallel_size=int(os.environ["WORLD_SIZE"]), tensor_parallel_size=1)


def is_sharded(fabric: Fabric) -> bool:
    """Whether each process keeps a part of the weights."""
    from lightning.fabric.strategies import ModelParallelStrategy

    return isinstance(fabric.strategy, ModelParallelStrategy)


def place_of(fabric: Fabric) -> Place:
    """This process's rank among all."""
    return Place(rank=fabric.global_rank, processes=fabric.world_size)


def _device(name: str, local: int, launched: bool) -> tuple[str, int | list[int]]:
    """Fabric's accelerator and its devices."""
    if name == "auto":
        name = "cuda" if torch.cuda.device_count() >= local else "cpu"
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda") or (index and not (kind == "cuda" and index.isdigit())):
        raise ValueError(f"Expected device 'auto', 'cpu', 'cuda' or 'cuda:1', got {name!r}.")
    if index and launched:
        raise ValueError(f"Expected device='cuda' under torchrun, which gives each process its GPU, got {name!r}.")
    needed = int(index) + 1 if index else local
    if kind == "cuda" and torch.cuda.device_count() < needed:
        raise ValueError(f"Expected at least {needed} GPUs for device={name!r}, found {torch.cuda.device_count()}.")
    return kind, [int(index)] if index else local


def _autocast(precision: Any, accelerator: str) -> Any:
    """Mixed precision that leaves the inputs as they are.

    Fabric's own plugin rounds every input of a module to half precision before the call. Ours include times and the
    fields to compare with; autocast rounds what enters a matrix product, which is all that gains from it.
    """
    from lightning.fabric.plugins import MixedPrecision

    class Autocast(MixedPrecision):
        def convert_input(self, data: Any) -> Any:
            return data

    return Autocast(precision, device=accelerator)
