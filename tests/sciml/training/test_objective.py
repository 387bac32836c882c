"""What is minimised: normalised units, the window's own times, unrolling and noise."""

import pytest
import torch

from sciml.solvers.stepper import Step
from sciml.training import FitSettings, mean_square
from sciml.training.fit import set_normalization
from sciml.training.objective import NormalisedLoss, TrainingObjective, drawn_frames, time_steps
from tests.sciml.training.tiny import Decay, tiny


def objective(operator, **settings):
    frames = settings.get("unroll", 1) + settings.get("pushforward", 0) + 1
    loss = NormalisedLoss(operator, mean_square)
    return TrainingObjective(operator, loss, FitSettings(**settings), frames)


@pytest.fixture
def operator():
    operator = tiny()
    set_normalization(operator, Decay(count=50))
    return operator


def batch(data, count=4):
    t, u = (torch.stack(parts) for parts in zip(*(data[k] for k in range(count))))
    return *time_steps(t, u.dtype), u


def test_an_error_of_one_std_costs_the_same_in_every_channel(operator):
    loss = NormalisedLoss(operator, mean_square)
    target = batch(Decay())[2][:, 0]
    for channel in (0, 1):
        prediction = target.clone()
        prediction[:, channel] += 3 * operator.normalization.std[channel]
        torch.testing.assert_close(loss(prediction, target), torch.full((4,), 4.5), rtol=1e-3, atol=0)


def test_static_channels_cost_nothing(operator):
    loss = NormalisedLoss(operator, mean_square)
    target = batch(Decay())[2][:, 0]
    prediction = target.clone()
    prediction[:, 2] += 10.0
    assert torch.equal(loss(prediction, target), torch.zeros(4))


def test_each_sample_steps_by_the_times_of_its_own_window():
    seen = []

    class Spy(torch.nn.Module):
        channels, normalization = tiny().channels, tiny().normalization

        def forward(self, t, dt, u):
            seen.append((t, dt))
            return Step(y=u)

    data = Decay(irregular=True, frames=4)
    objective(Spy(), unroll=3)(*batch(data))
    times = torch.stack([data[k][0] for k in range(4)])
    torch.testing.assert_close(torch.stack([t for t, _ in seen], 1).double(), times[:, :-1], rtol=0, atol=1e-6)
    torch.testing.assert_close(torch.stack([dt for _, dt in seen], 1).double(), times.diff(dim=1), rtol=0, atol=1e-7)


def test_late_times_keep_their_differences():
    _, dt = time_steps(torch.tensor([[1e6, 1e6 + 1e-3]], dtype=torch.float64), torch.float32)
    torch.testing.assert_close(dt, torch.tensor([[1e-3]]), rtol=1e-6, atol=0)


def test_unrolled_loss_is_the_mean_over_steps_from_the_operators_own_output(operator):
    t, dt, u = batch(Decay(frames=4))
    loss, y, expected = NormalisedLoss(operator, mean_square), u[:, 0], []
    for k in range(3):
        y = operator(t[:, k], dt[:, k], y).y
        expected.append(loss(y, u[:, k + 1]))
    torch.testing.assert_close(objective(operator, unroll=3)(t, dt, u), torch.stack(expected).mean(0))


def test_pushforward_passes_no_gradient_and_has_no_loss(operator):
    t, dt, u = batch(Decay(frames=4))
    with torch.no_grad():
        pushed = operator(t[:, 1], dt[:, 1], operator(t[:, 0], dt[:, 0], u[:, 0]).y).y
    value = objective(operator, pushforward=2, unroll=1)(t, dt, u)
    expected = NormalisedLoss(operator, mean_square)(operator(t[:, 2], dt[:, 2], pushed).y, u[:, 3])
    torch.testing.assert_close(value, expected)
    gradients = [torch.autograd.grad(each.sum(), list(operator.parameters())) for each in (value, expected)]
    for ours, theirs in zip(*gradients):
        torch.testing.assert_close(ours, theirs)


def test_noise_has_the_std_asked_for_and_spares_static_channels(operator):
    u = batch(Decay(points=4000))[2][:, 0]
    noise = NormalisedLoss(operator, mean_square).noise(u, 0.1)
    ratio = noise[:, :2].std(dim=(0, 2)) / operator.normalization.std[:2]
    torch.testing.assert_close(ratio, torch.full((2,), 0.1), rtol=0.03, atol=0)  # 16,000 draws: three sigma are 1.7 %
    assert torch.equal(noise[:, 2], torch.zeros_like(noise[:, 2]))


def test_noise_is_for_training_only(operator):
    noisy = objective(operator, noise=0.5)
    inputs = batch(Decay())
    assert not torch.equal(noisy(*inputs), noisy(*inputs))
    noisy.eval()
    assert torch.equal(noisy(*inputs), noisy(*inputs))


def test_drawn_frames_are_consecutive_and_start_everywhere():
    t = torch.arange(6, dtype=torch.float64).expand(200, 6)
    drawn, u = drawn_frames(t, t[..., None], 3)
    assert torch.equal(drawn.diff(dim=1), torch.ones(200, 2, dtype=torch.float64))
    assert torch.equal(u[..., 0], drawn)
    assert set(drawn[:, 0].tolist()) == {0, 1, 2, 3}
