"""Whole solves as one compiled program on a GPU. Few cases: each takes the compiler half a minute or more."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sciml.solvers import (
    EULER_MARUYAMA,
    RK4,
    SDE,
    TSIT5,
    BrownianPath,
    FixedStep,
    Noise,
    PIDController,
    RungeKutta,
    SDEStepper,
    Solution,
    solve,
)
from sciml.solvers.compiled import solve_compiled
from tests.cuda.solver_comparison import CPU, F64, assert_same_gradients, assert_same_solution, numbers, spans, wanted
from tests.releases import needs_loops

PID = PIDController(1e-5, 1e-7)


def pendulum(t: Tensor, y: Tensor) -> Tensor:
    return torch.stack([y[:, 1], -torch.sin(y[:, 0]) * (1 + 0.3 * torch.cos(2 * t))], dim=1)


class Network(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(2, 2, dtype=F64)
        for number, parameter in enumerate(self.linear.parameters()):
            nn.init.normal_(parameter, std=0.5, generator=torch.Generator().manual_seed(number))

    def forward(self, t: Tensor, y: Tensor) -> Tensor:
        return torch.tanh(self.linear(y)) * torch.cos(t)[:, None]


def noisy(where: torch.device) -> SDEStepper:
    sde = SDE(lambda t, y: -y.sin(), lambda t, y: 0.3 * torch.cos(y), Noise.DIAGONAL)
    return SDEStepper(sde, BrownianPath(3, (4, 2), 0.125, dtype=F64, device=where), EULER_MARUYAMA)


def forward(name: str, where: torch.device, run: Any, **options: Any) -> Solution:
    """Dense outputs by adaptive steps, landings of fixed steps with nothing to interpolate, cells of a path."""
    y0 = numbers(4, 2).to(where)
    if name == "adaptive":
        return run(RungeKutta(pendulum, TSIT5), y0, spans(9).to(where), PID, **options)
    if name == "fixed":
        return run(RungeKutta(pendulum, RK4), y0, spans(4).to(where), FixedStep(0.15), **options)
    ts = torch.linspace(0, 1, 5, dtype=F64, device=where)
    return run(noisy(where), y0, ts, FixedStep(0.125), **options)


@needs_loops
@pytest.mark.parametrize("name", ["adaptive", "stochastic"])
def test_compiled_solves(name: str, device: torch.device) -> None:
    expected = forward(name, CPU, solve)
    assert_same_solution(forward(name, device, solve, compiled=True), expected, device, rtol=1e-8, atol=1e-10)


@needs_loops
@pytest.mark.parametrize("name", ["adaptive", "fixed", "stochastic"])
def test_the_same_programs_without_generated_code(name: str, device: torch.device) -> None:
    expected = forward(name, CPU, solve)
    found = forward(name, device, solve_compiled, backend="eager")
    assert_same_solution(found, expected, device, rtol=1e-8, atol=1e-10)


@needs_loops
@pytest.mark.parametrize("backend", ["inductor", "eager"])
def test_gradients_of_compiled_solves(backend: str, device: torch.device) -> None:
    found = []
    for where, run, options in ((device, solve_compiled, {"backend": backend}), (CPU, solve, {})):
        field = Network().to(where)
        (y0,) = wanted(numbers(4, 2), device=where)
        ys = run(RungeKutta(field, TSIT5), y0, spans(4).to(where), PIDController(1e-4, 1e-5), **options).ys
        found.append(torch.autograd.grad(ys.sin().sum(), (y0, *field.parameters())))
    assert_same_gradients(*found, device, rtol=1e-7)


@pytest.mark.skipif(torch.__version__ >= "2.13", reason="compiled loops work")
def test_an_older_torch_is_named(device: torch.device) -> None:
    """On a GPU there are no native functions to fall back on."""
    if device.type == "cpu":
        pytest.skip("the CPU has native functions")
    with pytest.raises(RuntimeError, match="needs torch"):
        forward("adaptive", device, solve, compiled=True)
