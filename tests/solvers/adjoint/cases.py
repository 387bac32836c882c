"""Problems that every adjoint is asked to differentiate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from sciml.solvers import State
from sciml.solvers.arguments import PerSample

BATCH = 3


@dataclass(frozen=True)
class Setup:
    """An initial value problem and the tensors whose gradients are compared."""

    field: Callable[..., State]
    y0: State
    ts: Tensor
    wanted: tuple[Tensor, ...]
    args: tuple[Any, ...] = ()


@dataclass(frozen=True)
class AdjointCase:
    name: str
    build: Callable[[], Setup]


def times(*ends: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """Five output times, unevenly spaced, from 0 to the end of each sample."""
    return (torch.tensor(ends, dtype=dtype)[:, None] * torch.tensor([0.0, 0.13, 0.2, 0.77, 1.0])).requires_grad_()


def leaf(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=dtype).requires_grad_()


def perceptron(dtype: torch.dtype = torch.float64) -> nn.Module:
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2)).to(dtype)
    for number, parameter in enumerate(network.parameters()):
        nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(number))
    return network


class TimedField(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return self.network(y) * torch.cos(t).to(y.dtype)[:, None]


def module(dtype: torch.dtype = torch.float64) -> Setup:
    network, y0, ts = perceptron(dtype), leaf(BATCH, 2, dtype=dtype), times(1.0, 1.0, 1.0)
    return Setup(TimedField(network), y0, ts, (y0, ts, *network.parameters()))


def closure() -> Setup:
    """A plain function over a leaf and over an intermediate result, whose own leaf gets the gradient."""
    rate, source, y0, ts = leaf(2, seed=1), leaf(2, seed=2), leaf(BATCH, 2), times(1.0, 1.0, 1.0)
    drive = torch.exp(source)
    return Setup(lambda t, y: rate * y.sin() + drive * torch.sin(t)[:, None], y0, ts, (y0, ts, rate, source))


def structure() -> Setup:
    stiffness, ts = leaf(1, seed=3), times(1.0, 1.0, 1.0)
    y0 = {"position": leaf(BATCH, 2), "velocity": (leaf(BATCH, 2, seed=5),)}

    def field(t: Tensor, y: dict[str, Any]) -> dict[str, Any]:
        return {"position": y["velocity"][0], "velocity": (-torch.exp(stiffness) * y["position"].sin(),)}

    return Setup(field, y0, ts, (y0["position"], y0["velocity"][0], ts, stiffness))


def clocks() -> Setup:
    """Each sample has its own times: one is finished long before the others, one runs backwards."""
    rate, y0, ts = leaf(2, seed=1), leaf(BATCH, 2), times(1.5, -1.0, 0.1)
    return Setup(lambda t, y: rate * y.sin() * torch.cos(3 * t)[:, None], y0, ts, (y0, ts, rate))


def complex_state() -> Setup:
    rate, ts = leaf(2, seed=1, dtype=torch.complex128), times(1.0, 1.0, 1.0)
    y0 = leaf(BATCH, 2, dtype=torch.complex128)

    def field(t: Tensor, y: Tensor) -> Tensor:
        return rate * y - 0.3 * y * y.abs() ** 2 + 0.2 * y.conj() * torch.cos(t)[:, None]

    return Setup(field, y0, ts, (y0, ts, rate))


def arguments() -> Setup:
    """Arguments, one of them per sample and made by something with a gradient; the samples end at different times."""
    rate, source, y0, ts = leaf(2, seed=1), leaf(BATCH, 2, seed=2), leaf(BATCH, 2), times(1.5, 0.2, 0.1).detach()

    def field(t: Tensor, y: Tensor, rate: Tensor, drive: Tensor) -> Tensor:
        return rate * y.sin() + drive * torch.cos(t)[:, None]

    return Setup(field, y0, ts, (y0, rate, source), args=(rate, PerSample(source.tanh())))


def single_precision() -> Setup:
    return module(torch.float32)


CASES = tuple(
    AdjointCase(build.__name__, build)
    for build in (module, closure, structure, clocks, complex_state, arguments, single_precision)
)
