"""Past frames carried in the state."""

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import default_collate

from sciml.datasets.channel import Channel
from sciml.datasets.statistics import Statistics
from sciml.history import History, StackedWindows, stacked_channels
from sciml.operators.unet import UNet
from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve
from sciml.solvers.step_doubling import StepDoubling
from sciml.solvers.stepper import Step


class Leapfrog(nn.Module):
    """The next of x'' = -x from the last two: x(t + dt) = 2 cos(dt) x(t) - x(t - dt), exactly."""

    def forward(self, t: Tensor, dt: Tensor, y: Tensor) -> Step:
        before, now = y.chunk(2, dim=1)
        return Step(y=torch.cat([before, 2 * torch.cos(dt).reshape(-1, 1, 1) * now - before], dim=1))


def test_rollout_of_a_two_step_recurrence_is_exact() -> None:
    dt, phase = 0.25, torch.rand(3, 1, 5, dtype=torch.float64)
    frames = torch.stack([torch.cos(k * dt + phase) for k in range(2)], dim=1)
    model = History(Leapfrog(), steps=2, dt=dt)
    ts = dt * torch.arange(1, 30, dtype=torch.float64)
    ys = solve(model, model.pack(frames), ts, FixedStep(dt)).ys
    expected = torch.stack([torch.cos(t + phase) for t in ts], dim=1)
    torch.testing.assert_close(model.newest(ys, dim=2), expected, rtol=0, atol=1e-11)


def test_samples_that_finish_early_keep_their_frames() -> None:
    model = History(Leapfrog(), steps=2, dt=0.5)
    frames = torch.randn(2, 2, 1, 3, dtype=torch.float64)
    ts = torch.tensor([[0.0, 0.5], [0.0, 2.0]], dtype=torch.float64)
    together = solve(model, model.pack(frames), ts, FixedStep(0.5)).ys
    alone = solve(model, model.pack(frames[:1]), ts[:1], FixedStep(0.5)).ys
    torch.testing.assert_close(together[:1], alone)


def test_the_operator_sees_every_frame_and_predicts_the_last() -> None:
    channels = [Channel("u"), Channel("k", static=True)]
    model = History(UNet(stacked_channels(channels, 3), dim=1, width=4, depth=1), steps=3)
    frames = torch.randn(2, 3, 2, 8, requires_grad=True)
    state = model.pack(frames)
    step = model(torch.zeros(2), torch.full((2,), 0.1), state)
    assert torch.equal(step.y[:, :4], state[:, 2:])  # the two newest frames move up
    newest = model.newest(step.y)
    assert torch.equal(newest[:, 1], frames[:, -1, 1])  # static
    newest.sum().backward()
    assert bool((frames.grad.abs().amax(dim=(0, 3)) > 0).all())


def test_channels_are_stacked_oldest_first() -> None:
    stacked = stacked_channels(["u", "v"], 3)
    assert [c.name for c in stacked] == ["u[-2]", "v[-2]", "u[-1]", "v[-1]", "u", "v"]
    assert [c.static for c in stacked] == [True] * 4 + [False] * 2
    assert History(UNet(stacked, dim=1), steps=3).channels == stacked


class Oscillations:
    """Windows of x(t) = cos(t + phase) on four points, five frames each."""

    channels = (Channel("x"),)
    dt = 0.25
    statistics = Statistics(*(np.array([value]) for value in (0.0, 0.7, 0.7, 0.0, 0.2, 0.2)), count=60)

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        t = self.dt * torch.arange(5, dtype=torch.float64) + index
        return t, torch.cos(t.reshape(5, 1, 1) + torch.arange(4))


def test_stacked_windows_are_what_a_history_steps_through() -> None:
    windows = StackedWindows(Oscillations(), steps=2)
    model, (t, u) = History(Leapfrog(), steps=2, dt=windows.dt), default_collate([windows[k] for k in range(3)])
    assert t.shape == (3, 4) and u.shape == (3, 4, 2, 4)
    for k in range(3):
        torch.testing.assert_close(model(t[:, k], t[:, k + 1] - t[:, k], u[:, k]).y, u[:, k + 1])


def test_stacked_windows_normalise_every_frame() -> None:
    windows = StackedWindows(Oscillations(), steps=3)
    operator = UNet(windows.channels, dim=1, width=4, depth=1)
    statistics = windows.statistics
    operator.normalization.set(statistics.mean, statistics.std, statistics.std_delta, windows.dt)
    assert operator.normalization.std.tolist() == pytest.approx([0.7] * 3)


def test_one_frame_is_the_operator_itself() -> None:
    operator = UNet(stacked_channels(["u"], 1), dim=1, width=4, depth=1)
    t, u = torch.zeros(2), torch.randn(2, 1, 8)
    assert torch.equal(History(operator, steps=1)(t, t + 1, u).y, operator(t, t + 1, u).y)


def test_steps_between_frames_are_refused() -> None:
    model = History(Leapfrog(), steps=2, dt=0.5)
    state, ts = torch.randn(1, 2, 3), torch.tensor([0.0, 1.0])
    with pytest.raises(ValueError, match=r"dt=0.5, .*got 0.25"):
        solve(StepDoubling(model), state, ts, FixedStep(0.5))
    with pytest.raises(ValueError, match="FixedStep"):
        solve(model, state, torch.tensor([0.0, 0.7]), FixedStep(0.5))


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match="divides the operator's 2 channels, got 3"):
        History(UNet(["u", "v"]), steps=3)
    with pytest.raises(ValueError, match="Make them with window=7"):
        StackedWindows(Oscillations(), steps=6)
    with pytest.raises(ValueError, match=r"Expected 2 frames, got 3"):
        History(Leapfrog(), steps=2).pack(torch.zeros(1, 3, 1, 4))
