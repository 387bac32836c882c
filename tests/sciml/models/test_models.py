"""Neural ODE, CDE, latent ODE and latent SDE: what they must be, whatever their weights."""

import pytest
import torch
from torch import Tensor, nn

from sciml.models.latent_ode import LatentODE, Posterior, masked_error
from sciml.models.latent_sde import LatentSDE
from sciml.models.neural_cde import NeuralCDE
from sciml.models.neural_ode import NeuralODEClassifier, TimeMLP
from sciml.models.series_encoder import BackwardGRU
from sciml.solvers import FixedStep, PIDController
from sciml.solvers.controlled.splines import hermite_cubic, linear, natural_cubic
from sciml.solvers.regularization import local_error

TIGHT = PIDController(rtol=1e-6, atol=1e-6)


def series() -> tuple[Tensor, Tensor]:
    """Three series of two channels with gaps, at times of their own."""
    ts = torch.rand(3, 7).cumsum(dim=1)
    values = torch.randn(3, 7, 2)
    values[0, 2, 0] = values[1, 3] = values[2, 5:] = torch.nan
    return (ts - ts[:, :1]) / 4, values


def zero(module: nn.Module) -> None:
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()


def test_classifier_without_dynamics_is_its_head() -> None:
    model, x = NeuralODEClassifier(4, 3, hidden=8), torch.randn(5, 4)
    zero(model.field)
    torch.testing.assert_close(model(x), model.head(x))


def test_classifier_scores_do_not_depend_on_the_batch() -> None:
    model, x = NeuralODEClassifier(4, 3, hidden=8, controller=TIGHT), torch.randn(5, 4)
    torch.testing.assert_close(model(x)[2:3], model(x[2:3]), rtol=1e-6, atol=1e-6)


def test_classifier_and_penalty_train_together() -> None:
    model = NeuralODEClassifier(4, 3, hidden=8, controller=TIGHT)
    solution = model.flow(torch.randn(5, 4), keep_steps=True)
    loss = nn.functional.cross_entropy(model.scores(solution), torch.tensor([0, 1, 2, 0, 1]))
    (loss + 1e5 * local_error(model.stepper, solution).mean()).backward()
    assert all(bool(torch.isfinite(p.grad).all()) and float(p.grad.abs().max()) > 0 for p in model.parameters())


def test_bounded_field_is_bounded() -> None:
    field = TimeMLP(4, hidden=8, bounded=True)
    assert bool((field(torch.zeros(6), 1e3 * torch.randn(6, 4)).abs() <= 1).all())


def test_encoder_is_blind_to_times_without_observations() -> None:
    ts, values = series()
    encoder = BackwardGRU(2, 5)
    middle = 0.5 * (ts[:, 3:4] + ts[:, 4:5])
    more_ts = torch.cat([ts[:, :4], middle, ts[:, 4:], ts[:, -1:] + 1], dim=1)
    gap = torch.full((3, 1, 2), torch.nan)
    more = torch.cat([values[:, :4], gap, values[:, 4:], gap], dim=1)
    torch.testing.assert_close(encoder(more_ts, more)[:, 0], encoder(ts, values)[:, 0])
    assert bool(torch.isfinite(encoder(ts, values)).all())


def test_encoder_reads_backwards() -> None:
    """The features at a time know of nothing before it."""
    ts, values = series()
    changed = values.clone()
    changed[:, :3] += 1
    encoder = BackwardGRU(2, 5)
    torch.testing.assert_close(encoder(ts, changed)[:, 3:], encoder(ts, values)[:, 3:])
    assert not torch.allclose(encoder(ts, changed)[:, 0], encoder(ts, values)[:, 0])


def test_divergence_is_that_of_torch_distributions() -> None:
    posterior = Posterior(torch.randn(4, 3), torch.rand(4, 3) + 0.1)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(posterior.mean, posterior.deviation), normal(0.0, 1.0))
    torch.testing.assert_close(posterior.divergence(), expected.sum(dim=1))


def test_masked_error_counts_what_was_seen() -> None:
    values = torch.tensor([[[1.0, torch.nan], [3.0, 4.0]], [[torch.nan] * 2] * 2]).requires_grad_()
    predicted = torch.zeros(2, 2, 2, requires_grad=True)
    error = masked_error(predicted, values.detach())
    torch.testing.assert_close(error, torch.tensor([26 / 3, 0.0]))
    assert bool(torch.isfinite(torch.autograd.grad(error.sum(), predicted)[0]).all())


def test_latent_ode_trains_on_gaps_and_answers_between() -> None:
    ts, values = series()
    model = LatentODE(2, latent=3, hidden=8)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(12):
        loss = masked_error(model(ts, values), values).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]
    query = torch.cat([ts[:, :1], ts[:, 1:2] / 2, ts[:, 1:2]], dim=1)
    torch.testing.assert_close(model(ts, values, query)[:, [0, 2]], model(ts, values)[:, :2], rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("interpolate", [linear, hermite_cubic, natural_cubic])
def test_cde_takes_gaps_and_own_times(interpolate: object) -> None:
    ts, values = series()
    model = NeuralCDE(2, 4, state=5, hidden=6, interpolate=interpolate, controller=TIGHT)
    outputs = model(ts, values)
    assert outputs.shape == (3, 4)
    torch.testing.assert_close(model(ts[1:2], values[1:2]), outputs[1:2], rtol=1e-4, atol=1e-4)
    gradients = torch.autograd.grad(outputs.sum(), list(model.parameters()))
    assert all(bool(torch.isfinite(g).all()) and float(g.abs().max()) > 0 for g in gradients)


def test_linear_cde_with_a_constant_matrix_sees_only_the_ends() -> None:
    """dz = M dX has z(1) - z(0) = M (X(1) - X(0)), whatever lies between."""
    ts, values = series()
    model = NeuralCDE(2, 1, state=3, hidden=4, interpolate=linear, controller=TIGHT)
    final = model.field.layers[2]
    with torch.no_grad():
        final.weight.zero_()
    matrix = torch.tanh(final.bias).reshape(3, 5)
    path = model.path(ts, values)
    moved = path.evaluate(path.ts[:, -1]) - path.evaluate(path.ts[:, 0])
    ys = model.flow(ts, values).ys
    torch.testing.assert_close(ys[:, -1] - ys[:, 0], moved @ matrix.T, rtol=1e-6, atol=1e-8)


def test_latent_sde_divergence_is_girsanovs() -> None:
    """Constant drifts f, h and diffusion g over time T: sum |(f - h)/g|^2 T / 2, without any noise in it."""
    ts, values = series()
    model = LatentSDE(2, latent=2, hidden=4, controller=FixedStep(0.2))
    for part in (model.posterior, model.prior, model.diffusion, model.moments):
        zero(part)
    with torch.no_grad():
        model.posterior[2].bias += torch.tensor([0.3, -0.2])
        model.prior[2].bias += torch.tensor([0.1, 0.2])
    predicted, divergence = model(ts, values, seed=3)
    start = Posterior(torch.zeros(1, 2), torch.full((1, 2), 2.0).log() + 1e-4).divergence()
    path = 0.5 * (0.2**2 + 0.4**2) / 0.55**2 * ts[:, -1]
    torch.testing.assert_close(divergence, start + path)
    assert predicted.shape == (3, 7, 2) and not torch.allclose(predicted[:, 1], predicted[:, 0])


def test_latent_sde_is_reproducible_and_differentiable() -> None:
    ts, values = series()
    model = LatentSDE(2, latent=2, hidden=4, controller=FixedStep(0.2))
    results = []
    for _ in range(2):
        torch.manual_seed(0)
        results.append(model(ts, values, seed=5))
    assert torch.equal(results[0][0], results[1][0])
    loss = masked_error(results[0][0], values).mean() + 0.1 * results[0][1].mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    assert all(bool(torch.isfinite(g).all()) and float(g.abs().max()) > 0 for g in gradients)
