"""The ODE-RNN encoder: a flow between observations, an update at them, and nothing else."""

import torch
from torch import Tensor, nn

from sciml.models.latent_ode import LatentODE, masked_error
from sciml.models.ode_rnn import ODERNN
from sciml.solvers import TSIT5, PIDController, RungeKutta, solve

TIGHT = PIDController(rtol=1e-8, atol=1e-8)


def series() -> tuple[Tensor, Tensor]:
    """Three series of two channels at times of their own; one lacks a channel, one a whole time, one its end."""
    ts = torch.rand(3, 7).cumsum(dim=1)
    values = torch.randn(3, 7, 2)
    values[0, 2, 0] = values[1, 3] = values[2, 5:] = torch.nan
    return ts - ts[:, :1], values


def encoder() -> ODERNN:
    return ODERNN(2, 5, width=8, controller=TIGHT)


def with_empty_times(ts: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """A time without observations in the middle, at index 4, and one at the end."""
    middle, gap = 0.3 * ts[:, 3:4] + 0.7 * ts[:, 4:5], torch.full((3, 1, 2), torch.nan)
    more = torch.cat([values[:, :4], gap, values[:, 4:], gap], dim=1)
    return torch.cat([ts[:, :4], middle, ts[:, 4:], ts[:, -1:] + 1], dim=1), more


def test_a_time_without_observations_changes_the_state_by_the_flow_alone() -> None:
    (ts, values), model = series(), encoder()
    more_ts, more = with_empty_times(ts, values)
    states = model(more_ts, more)
    flowed = solve(model.stepper, states[:, 5], more_ts[:, [5, 4]], TIGHT).ys[:, -1]
    torch.testing.assert_close(states[:, 4], flowed, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(states[:, [0, 1, 2, 3, 5, 6, 7]], model(ts, values), rtol=1e-6, atol=1e-6)


def test_nothing_has_happened_before_the_last_observation() -> None:
    ts, values = series()
    states = encoder()(ts, values)
    assert not bool(states[2, 5:].any()) and bool(states[2, 4].all())


def test_without_a_flow_it_is_the_cell_alone() -> None:
    (ts, values), model = series(), encoder()
    with torch.no_grad():
        for parameter in model.field.parameters():
            parameter.zero_()
    state = torch.zeros(3, 5)
    for i in reversed(range(7)):
        seen = ~values[:, i].isnan()
        updated = model.cell(torch.cat([values[:, i].nan_to_num(0.0), seen.double()], dim=1), state)
        state = torch.where(seen.any(dim=1, keepdim=True), updated, state)
    torch.testing.assert_close(model(ts, values)[:, 0], state)


def test_between_observations_the_state_follows_its_equation() -> None:
    """dh/dt = -h, backwards over time s, multiplies by e^s."""
    ts, values = torch.tensor([[0.0, 0.4], [1.0, 1.7]]), torch.randn(2, 2, 2)
    values[:, 0] = torch.nan
    model = ODERNN(2, 5, build=lambda field: RungeKutta(lambda t, h: -h, TSIT5), controller=TIGHT)
    first, last = model(ts, values).unbind(1)
    torch.testing.assert_close(first, last * torch.exp(ts.diff(dim=1)), rtol=1e-7, atol=0)


def test_neither_the_batch_nor_its_order_matters() -> None:
    (ts, values), model = series(), encoder()
    states, order = model(ts, values), torch.tensor([2, 0, 1])
    torch.testing.assert_close(model(ts[order], values[order]), states[order], rtol=1e-12, atol=1e-12)
    for i in range(3):
        torch.testing.assert_close(model(ts[i : i + 1], values[i : i + 1])[0], states[i], rtol=1e-12, atol=1e-12)


def test_it_reads_backwards_and_gradients_reach_what_was_read() -> None:
    (ts, values), model = series(), encoder()
    values.requires_grad_()
    (late,) = torch.autograd.grad(model(ts, values)[:, 3].sum(), values)
    assert not bool(late[:, :3].any())
    gradients = torch.autograd.grad(model(ts, values)[:, 0].square().sum(), [values, *model.parameters()])
    assert all(bool(gradient.isfinite().all()) and bool(gradient.any()) for gradient in gradients)
    assert torch.equal(gradients[0] != 0, ~values.isnan())


def test_gradients_against_finite_differences() -> None:
    ts, values = series()
    model = ODERNN(2, 2, width=3, controller=TIGHT)

    def features(bias: Tensor) -> Tensor:
        replaced = {"field.layers.4.bias": bias}
        return torch.func.functional_call(model, replaced, (ts[:, :3], values[:, :3]))

    bias = model.field.layers[4].bias.detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(features, (bias,), atol=1e-6)


def test_shared_times_are_those_of_every_sample() -> None:
    (ts, values), model = series(), encoder()
    torch.testing.assert_close(model(ts[0], values), model(ts[:1].expand(3, -1), values))


def test_it_encodes_a_latent_ode() -> None:
    ts, values = series()
    model = LatentODE(2, latent=3, hidden=8, encoder=ODERNN(2, 6, width=8))
    loss = masked_error(model(ts, values), values).mean() + model.encode(ts, values).divergence().mean()
    loss.backward()
    found = [parameter.grad for parameter in model.parameters()]
    assert all(isinstance(g, Tensor) and bool(g.isfinite().all()) and bool(g.any()) for g in found)
    assert isinstance(model.moments[0], nn.Linear) and model.moments[0].in_features == 6
