"""The log-ratio of path measures against closed forms."""

import pytest
import torch
from torch import Tensor

from sciml.solvers import FixedStep, solve
from sciml.solvers.stochastic.brownian import BrownianPath
from sciml.solvers.stochastic.log_ratio import LogRatio
from sciml.solvers.stochastic.schemes import EULER_MARUYAMA, SRA1, SRIW1, STOCHASTIC_HEUN
from sciml.solvers.stochastic.sde import SDE, Calculus, Noise
from sciml.solvers.stochastic.sde_stepper import SDEScheme, SDEStepper

FLOAT = torch.float64
SPAN = torch.tensor([0.0, 0.5, 1.0], dtype=FLOAT)
DIFFERENCE = torch.tensor([0.6, -0.3], dtype=FLOAT)


def run(ratio: LogRatio, y0: Tensor, noise: int, scheme: SDEScheme, cell: float = 0.05) -> tuple[Tensor, Tensor]:
    path = BrownianPath(4, (len(y0), noise), cell, dtype=FLOAT)
    return ratio.split(solve(SDEStepper(ratio.sde, path, scheme), ratio.begin(y0), SPAN, FixedStep(cell)).ys)


@pytest.mark.parametrize("scheme", [SRIW1, EULER_MARUYAMA], ids=lambda scheme: scheme.name)
def test_constant_drifts_have_a_known_divergence(scheme: SDEScheme) -> None:
    """Drifts apart by d under a diffusion s: half the sum of (d/s)^2, times the time."""
    volatility = torch.tensor([0.5, 2.0], dtype=FLOAT)
    posterior = SDE(
        lambda t, y: DIFFERENCE + torch.sin(y), lambda t, y: volatility.expand_as(y), Noise.DIAGONAL, Calculus.ITO
    )
    _, ratio = run(LogRatio(posterior, lambda t, y: torch.sin(y)), torch.ones(3, 2, dtype=FLOAT), 3, scheme)
    expected = 0.5 * (DIFFERENCE / volatility).square().sum()
    torch.testing.assert_close(ratio, (expected * SPAN).expand(3, 3), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("noise", [Noise.GENERAL, Noise.ADDITIVE, Noise.SCALAR])
def test_matrix_diffusions_are_inverted(noise: Noise) -> None:
    """With drift - prior = diffusion v the log-ratio grows by |v|^2/2, whatever the diffusion."""
    columns = 1 if noise is Noise.SCALAR else 2
    matrix = torch.tensor([[1.0, 0.4], [-0.3, 2.0], [0.5, 0.5]], dtype=FLOAT)[:, :columns]
    v = torch.tensor([0.7, -1.1], dtype=FLOAT)[:columns]

    def diffusion(t: Tensor, y: Tensor) -> Tensor:
        scale = torch.ones_like(t) if noise is Noise.ADDITIVE else 2 + torch.cos(y[:, 0])
        return scale[:, None, None] * matrix

    posterior = SDE(lambda t, y: -y + (diffusion(t, y) * v).sum(dim=-1), diffusion, noise, Calculus.ITO)
    scheme = {Noise.GENERAL: EULER_MARUYAMA, Noise.ADDITIVE: SRA1, Noise.SCALAR: SRIW1}[noise]
    _, ratio = run(LogRatio(posterior, lambda t, y: -y), torch.ones(3, 3, dtype=FLOAT), columns, scheme)
    torch.testing.assert_close(ratio, (0.5 * v.square().sum() * SPAN).expand(3, 3), rtol=1e-10, atol=1e-10)


def test_the_states_are_those_without_the_log_ratio() -> None:
    posterior = SDE(lambda t, y: -y, lambda t, y: 0.5 + 0.1 * torch.cos(y), Noise.DIAGONAL, Calculus.STRATONOVICH)
    y0 = torch.linspace(-1, 1, 6, dtype=FLOAT).reshape(3, 2)
    ys, _ = run(LogRatio(posterior, lambda t, y: torch.sin(y)), y0, 3, STOCHASTIC_HEUN)
    path = BrownianPath(4, (3, 2), 0.05, dtype=FLOAT)
    alone = solve(SDEStepper(posterior, path, STOCHASTIC_HEUN), y0, SPAN, FixedStep(0.05)).ys
    torch.testing.assert_close(ys, alone, rtol=1e-13, atol=1e-13)


def test_divergence_of_two_ornstein_uhlenbeck_processes() -> None:
    """From 0, with rates a and b: (a-b)^2 / (2 s^2) times the integral of E y^2, y's law known."""
    a, b, volatility, batch = 1.5, 0.5, 0.8, 4000
    posterior = SDE(lambda t, y: -a * y, lambda t, y: torch.full_like(y, volatility), Noise.ADDITIVE)
    _, ratio = run(LogRatio(posterior, lambda t, y: -b * y), torch.zeros(batch, 1, dtype=FLOAT), 2, SRA1)
    end = torch.tensor(1.0, dtype=FLOAT)
    integral = volatility**2 / (2 * a) * (end - (1 - torch.exp(-2 * a * end)) / (2 * a))
    expected = (a - b) ** 2 / (2 * volatility**2) * integral
    standard_error = ratio[:, -1].std() / batch**0.5
    assert abs(float(ratio[:, -1].mean() - expected)) < 4 * float(standard_error) + 0.01 * float(expected)


def test_gradients_reach_posterior_and_prior() -> None:
    scale = torch.tensor([0.3, 0.8, 0.5], dtype=FLOAT, requires_grad=True)

    def total(scale: Tensor) -> Tensor:
        posterior = SDE(lambda t, y: -scale[0] * y, lambda t, y: scale[2] + 0.1 * y * y, Noise.DIAGONAL)
        _, ratio = run(LogRatio(posterior, lambda t, y: -scale[1] * y), torch.ones(2, 1, dtype=FLOAT), 2, SRIW1, 0.25)
        return ratio[:, -1].sum()

    assert torch.autograd.gradcheck(total, (scale,))


def test_a_vanishing_diffusion_gives_no_nan() -> None:
    posterior = SDE(lambda t, y: -y, lambda t, y: torch.zeros_like(y), Noise.DIAGONAL)
    _, ratio = run(LogRatio(posterior, lambda t, y: -y), torch.ones(2, 1, dtype=FLOAT), 2, SRIW1)
    assert not ratio.any()
