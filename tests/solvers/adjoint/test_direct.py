"""Second derivatives, and torch.func, through the loop itself."""

from __future__ import annotations

import torch
from torch import Tensor

from sciml.solvers import RK4, FixedStep, RungeKutta, solve
from sciml.solvers.adjoint.direct import Direct
from tests.solvers.adjoint.cases import leaf

TS = torch.linspace(0, 1, 3, dtype=torch.float64)


def outputs(y0: Tensor, rate: Tensor) -> Tensor:
    return solve(RungeKutta(lambda t, y: rate * y.sin(), RK4), y0, TS, FixedStep(0.25), adjoint=Direct()).ys


def test_second_derivatives_against_finite_differences() -> None:
    assert torch.autograd.gradgradcheck(outputs, (leaf(2, 1), leaf(1, seed=1)), fast_mode=True)


def test_reverse_and_forward_modes_of_torch_func_agree() -> None:
    y0, rate = leaf(2, 2).detach(), leaf(2, seed=1).detach()
    total = lambda rate: outputs(y0, rate).square().sum()  # noqa: E731
    reverse = torch.func.grad(total)(rate)
    _, forward = torch.func.jvp(total, (rate,), (torch.ones_like(rate),))
    torch.testing.assert_close(reverse.sum(), forward, rtol=1e-12, atol=0)
