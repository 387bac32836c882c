"""The problems of the solver benchmark, each as a PyTorch field and as the same field in JAX."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

F64 = torch.float64


@dataclass(frozen=True)
class Problem:
    """An initial value problem.

    Attributes:
        name: of the task.
        field: ``(t, y)`` for t (batch,) or scalar, y (batch, dimension).
        jax_field: ``(numpy, t, y, args)`` for one sample, y (dimension,); ``numpy`` is ``jax.numpy``.
        jax_args: per sample, a tensor (batch, ...), or None.
        y0, ts: initial states, and output times shared by all samples.
        rtol, atol: tolerances.
        checked: time up to which the error is measured.
        module: the field, where it is trained.
        stiff: explicit methods are of no use.
    """

    name: str
    field: Callable[[Tensor, Tensor], Tensor]
    jax_field: Callable[..., Any]
    y0: Tensor
    ts: Tensor
    rtol: float
    atol: float
    jax_args: Tensor | None = None
    checked: float = torch.inf
    module: nn.Module | None = None
    stiff: bool = False

    def to(self, device: torch.device) -> Problem:
        """The same problem on another device; a module moves."""
        if self.module is not None:
            self.module.to(device)
        return replace(self, y0=self.y0.to(device), ts=self.ts.to(device))


def van_der_pol(batch: int = 256) -> Problem:
    """mu = 5, to t = 10."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        x, v = y[..., 0], y[..., 1]
        return torch.stack([v, 5 * (1 - x * x) * v - x], dim=-1)

    def jax_field(np: Any, t: Any, y: Any, args: Any) -> Any:
        return np.stack([y[1], 5 * (1 - y[0] * y[0]) * y[1] - y[0]])

    y0 = 4 * torch.rand(batch, 2, dtype=F64, generator=torch.Generator().manual_seed(0)) - 2
    ts = torch.tensor([0.0, 10.0], dtype=F64)
    return Problem(f"van der Pol, {batch} samples", field, jax_field, y0, ts, 1e-6, 1e-6)


class TanhField(nn.Module):
    """64-128-64, tanh, scaled so that a solve over [0, 1] takes some twenty steps."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.first = nn.Linear(64, 128)
        self.second = nn.Linear(128, 64)
        for layer in (self.first, self.second):
            nn.init.normal_(layer.weight, std=2.0 / layer.in_features**0.5, generator=generator)
            nn.init.zeros_(layer.bias)

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return 3 * self.second(torch.tanh(self.first(y)))


def neural(batch: int = 1024) -> Problem:
    """A neural ODE, float32."""
    module = TanhField()
    weights = [parameter.detach().numpy() for parameter in module.parameters()]

    def jax_field(np: Any, t: Any, y: Any, args: Any) -> Any:
        w1, b1, w2, b2 = weights if args is None else args
        return 3 * (np.tanh(y @ w1.T + b1) @ w2.T + b2)

    y0 = torch.randn(batch, 64, generator=torch.Generator().manual_seed(1))
    ts = torch.tensor([0.0, 1.0])
    return Problem(f"neural ODE 64-128-64, {batch} samples", module, jax_field, y0, ts, 1e-5, 1e-5, module=module)


def lorenz() -> Problem:
    """One trajectory to t = 20 with 1,000 outputs; chaos forbids to compare beyond t = 10."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        a, b, c = y[..., 0], y[..., 1], y[..., 2]
        return torch.stack([10 * (b - a), a * (28 - c) - b, a * b - 8 / 3 * c], dim=-1)

    def jax_field(np: Any, t: Any, y: Any, args: Any) -> Any:
        return np.stack([10 * (y[1] - y[0]), y[0] * (28 - y[2]) - y[1], y[0] * y[1] - 8 / 3 * y[2]])

    y0, ts = torch.ones(1, 3, dtype=F64), torch.linspace(0, 20, 1000, dtype=F64)
    return Problem("Lorenz, one trajectory, 1,000 outputs", field, jax_field, y0, ts, 1e-8, 1e-8, checked=10.0)


def robertson(batch: int = 64) -> Problem:
    """A stiff reaction, samples of different initial concentrations, to t = 10,000."""

    def field(t: Tensor, y: Tensor) -> Tensor:
        a, b, c = y.unbind(-1)
        slow, back, fast = 0.04 * a, 1e4 * b * c, 3e7 * b * b
        return torch.stack([back - slow, slow - back - fast, fast], dim=-1)

    def jax_field(np: Any, t: Any, y: Any, args: Any) -> Any:
        a, b, c = y
        slow, back, fast = 0.04 * a, 1e4 * b * c, 3e7 * b * b
        return np.stack([back - slow, slow - back - fast, fast])

    y0 = torch.linspace(0.5, 1.5, batch, dtype=F64)[:, None] * torch.tensor([1.0, 0.0, 0.0], dtype=F64)
    ts = torch.tensor([0.0, 1.0, 1e4], dtype=F64)
    return Problem(f"Robertson, stiff, {batch} samples", field, jax_field, y0, ts, 1e-6, 1e-10, stiff=True)


def lotka_volterra(batch: int = 512) -> Problem:
    """Samples whose time scales differ by up to a factor of 16."""
    scale = 2 ** torch.linspace(0, 4, batch, dtype=F64)

    def field(t: Tensor, y: Tensor) -> Tensor:
        # A peer that drops no samples hands over all of them, ours those that still run, with their own scales.
        x, z, rate = y[..., 0], y[..., 1], y[..., 2]
        return torch.stack([rate * (1.5 * x - x * z), rate * (x * z - 3 * z), torch.zeros_like(rate)], dim=-1)

    def jax_field(np: Any, t: Any, y: Any, args: Any) -> Any:
        x, z, rate = y[0], y[1], y[2]
        return np.stack([rate * (1.5 * x - x * z), rate * (x * z - 3 * z), 0 * rate])

    y0 = torch.stack([torch.full_like(scale, 2.0), torch.ones_like(scale), scale], dim=1)
    ts = torch.tensor([0.0, 10.0], dtype=F64)
    name = f"Lotka-Volterra, {batch} samples, time scales 1 to 16"
    return Problem(name, field, jax_field, y0, ts, 1e-6, 1e-6)
