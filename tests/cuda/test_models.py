"""Neural ODE, CDE, latent ODE and latent SDE on a GPU: outputs and gradients as on the CPU."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sciml.models import ODERNN, LatentODE, LatentSDE, NeuralCDE, NeuralODEClassifier
from sciml.models.latent_ode import Posterior, masked_error
from sciml.models.series_encoder import BackwardGRU
from sciml.solvers import FixedStep, PIDController
from sciml.solvers.controlled.splines import hermite_cubic, linear, natural_cubic
from sciml.solvers.regularization import local_error

from .compare import F64, assert_like_cpu, full_precision

pytestmark = pytest.mark.gpu
TIGHT = PIDController(rtol=1e-6, atol=1e-6)
STEPS = FixedStep(0.1)
SERIES: dict[str, Callable[[], nn.Module]] = {
    "gru": lambda: BackwardGRU(2, 5),
    "ode-rnn": lambda: ODERNN(2, 5, width=6, controller=STEPS),
    "latent ode": lambda: LatentODE(2, latent=3, hidden=6, controller=STEPS),
    "latent ode of an ode-rnn": lambda: LatentODE(
        2, latent=3, hidden=6, encoder=ODERNN(2, 5, width=6, controller=STEPS), controller=STEPS
    ),
    "cde, linear": lambda: NeuralCDE(2, 4, state=5, hidden=6, interpolate=linear, controller=TIGHT),
    "cde, hermite": lambda: NeuralCDE(2, 4, state=5, hidden=6, interpolate=hermite_cubic, controller=TIGHT),
    "cde, natural": lambda: NeuralCDE(2, 4, state=5, hidden=6, interpolate=natural_cubic, controller=TIGHT),
}


@pytest.fixture(autouse=True)
def _full_precision():
    torch.manual_seed(0)
    with full_precision():
        yield


def series() -> tuple[Tensor, Tensor]:
    """Three series of two channels with gaps, at times of their own."""
    generator = torch.Generator().manual_seed(0)
    ts = torch.rand(3, 7, generator=generator, dtype=F64).cumsum(dim=1)
    values = torch.randn(3, 7, 2, generator=generator, dtype=F64)
    values[0, 2, 0] = values[1, 3] = values[2, 5:] = torch.nan
    return (ts - ts[:, :1]) / 4, values


def of_values(ts: Tensor) -> Callable[[nn.Module], Callable[..., Tensor]]:
    """The call of a model as a function of what was observed; gaps stay gaps."""
    return lambda model: lambda values: model(ts.to(values.device), values)


@pytest.mark.parametrize("name", SERIES)
def test_series_models_as_on_the_cpu(name: str, device: torch.device) -> None:
    ts, values = series()
    assert_like_cpu(SERIES[name](), of_values(ts), [values], device, 1e-6)


@pytest.mark.parametrize("name", SERIES)
def test_series_models_in_single_precision(name: str, device: torch.device) -> None:
    ts, values = (part.to(device, torch.float32) for part in series())
    model = SERIES[name]().to(device)
    result = model(ts, values)
    assert result.device.type == device.type and result.dtype == torch.float32
    gradients = torch.autograd.grad(result.square().mean(), list(model.parameters()))
    assert all(bool(torch.isfinite(gradient).all()) for gradient in gradients)


def test_classifier_as_on_the_cpu(device: torch.device) -> None:
    x = torch.randn(5, 4, generator=torch.Generator().manual_seed(1), dtype=F64)
    assert_like_cpu(NeuralODEClassifier(4, 3, hidden=8, controller=TIGHT), lambda model: model, [x], device, 1e-6)


def test_classifier_with_a_penalty(device: torch.device) -> None:
    model = NeuralODEClassifier(4, 3, hidden=8, controller=TIGHT).to(device)
    solution = model.flow(torch.randn(5, 4, device=device), keep_steps=True)
    labels = torch.tensor([0, 1, 2, 0, 1], device=device)
    loss = nn.functional.cross_entropy(model.scores(solution), labels)
    (loss + 1e3 * local_error(model.stepper, solution).mean()).backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters())


def test_latent_sde_follows_the_same_path_as_on_the_cpu(device: torch.device, monkeypatch: pytest.MonkeyPatch) -> None:
    """The Brownian path is a function of its seed; the first state, drawn by torch, is left at its mean here."""
    monkeypatch.setattr(Posterior, "sample", lambda posterior: posterior.mean)
    ts, values = series()

    def predicted(model: nn.Module) -> Callable[..., Tensor]:
        def call(values: Tensor) -> Tensor:
            means, divergence = model(ts.to(values.device), values, seed=5)
            return torch.cat([means.flatten(1), divergence[:, None]], dim=1)

        return call

    assert_like_cpu(LatentSDE(2, latent=2, hidden=4, controller=STEPS), predicted, [values], device, 1e-6)


def test_latent_sde_is_reproducible_and_trains(device: torch.device) -> None:
    ts, values = (part.to(device, torch.float32) for part in series())
    model, losses = LatentSDE(2, latent=2, hidden=4, controller=STEPS).to(device), []
    for _ in range(2):
        torch.manual_seed(0)
        means, divergence = model(ts, values, seed=5)
        losses.append(masked_error(means, values).mean() + 0.1 * divergence.mean())
    torch.testing.assert_close(*losses)
    losses[0].backward()
    assert all(bool(torch.isfinite(p.grad).all()) for p in model.parameters())
