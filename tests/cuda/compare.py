"""What a device computed, beside what the CPU did in double precision."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

F64 = torch.float64


@contextmanager
def full_precision() -> Iterator[None]:
    """Products in float32 without TF32, and convolutions by algorithms that give the same bits each time."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic
    matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic = False, False, True
    try:
        yield
    finally:
        matmul.allow_tf32, cudnn.allow_tf32, cudnn.deterministic = before


@contextmanager
def no_waiting(device: torch.device) -> Iterator[None]:
    """Raises where the host waits for the GPU, or copies something there that is not in pinned memory."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def values_and_gradients(function: Callable[..., Tensor], module: nn.Module, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The value of ``function(*inputs)``, and the gradients of its weighted sum in the inputs and the parameters."""
    leaves = [part.detach().clone().requires_grad_() for part in inputs]
    value = function(*leaves)
    weights = torch.randn(value.shape, generator=torch.Generator().manual_seed(1), dtype=F64)
    wanted = [*leaves, *module.parameters()]
    found = torch.autograd.grad(value, wanted, weights.to(value), allow_unused=True)
    return [value.detach(), *(torch.zeros_like(x) if g is None else g for x, g in zip(wanted, found))]


def assert_close(found: Iterable[Any], expected: Iterable[Any], tolerance: float) -> None:
    """Each tensor to a part of its largest value; one that is small beside all others, to a part of a hundredth."""
    pairs = [(got.detach().cpu().to(F64), exact.detach().cpu().to(F64)) for got, exact in zip(found, expected)]
    sizes = [float(exact.abs().max()) for _, exact in pairs]
    for number, ((got, exact), size) in enumerate(zip(pairs, sizes)):
        scale = max(size, 0.01 * max(sizes), 1e-12)
        torch.testing.assert_close(
            got / scale, exact / scale, rtol=0, atol=tolerance, msg=lambda m, k=number: f"tensor {k}: {m}"
        )


def assert_like_cpu(
    module: nn.Module,
    call: Callable[[nn.Module], Callable[..., Tensor]],
    inputs: Sequence[Tensor],
    device: torch.device,
    tolerance: float,
    *,
    dtype: torch.dtype = F64,
) -> None:
    """``call(module)(*inputs)`` and its gradients on the device in ``dtype``, as on the CPU in double precision.

    The module comes to the device from the CPU, and is left there.
    """
    exact = [part.double() for part in inputs]
    expected = values_and_gradients(call(module.to("cpu", F64)), module, exact)
    moved = [part.to(device, dtype) for part in inputs]
    found = values_and_gradients(call(module.to(device, dtype)), module, moved)
    assert all(part.device.type == device.type for part in found)
    assert_close(found, expected, tolerance)
