"""The real operators on real windows, through the shortest call there is."""

import numpy as np
import pytest
import torch

from sciml.checkpoint import load_operator
from sciml.datasets.windows import Trajectories
from sciml.history import History, StackedWindows
from sciml.operators import FNO, UNet
from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve
from sciml.training import FitSettings, fit

X = np.arange(16) / 16
TIMES = np.arange(6) * 0.1


def advected(count, seed):
    """Two channels that travel around a periodic interval, in very different units: (trajectory, time, channel, x)."""
    phase = np.random.default_rng(seed).uniform(0, 2 * np.pi, (count, 1, 1))
    wave = np.sin(2 * np.pi * (X - TIMES[:, None]) + phase)
    return np.stack([wave, 300 + 1e3 * wave], axis=2).astype(np.float32)


def windows(count, seed, window=2):
    return Trajectories.from_arrays(advected(count, seed), TIMES, channels=["a", "b"], window=window)


@pytest.mark.parametrize(
    "build", [lambda c: UNet(c, dim=1, width=4, depth=1), lambda c: FNO(c, dim=1, modes=3, width=6, layers=2)]
)
def test_an_operator_learns_to_advect_and_travels(build, tmp_path):
    torch.manual_seed(0)
    train = windows(24, seed=0)
    model = build(train.channels)
    settings = FitSettings(device="cpu", quiet=True, batch_size=24)
    result = fit(model, train, valid=windows(4, seed=1), epochs=20, lr=1e-2, out=tmp_path, settings=settings)
    assert result.best.valid_loss < 0.1 * result.history[0].valid_loss
    t, u = windows(1, seed=2, window=3)[0]
    loaded = load_operator(result.path)
    with torch.no_grad():
        here, there = (solve(each, u[None, 0], t, FixedStep(train.dt)).ys for each in (model, loaded))
    assert torch.equal(here, there)
    for channel in (0, 1):
        assert (here[0, 2, channel] - u[2, channel]).norm() < 0.5 * (u[0, channel] - u[2, channel]).norm()


def test_an_operator_with_a_memory_is_trained_and_saved(tmp_path):
    train = StackedWindows(windows(6, seed=0, window=4), steps=2)
    model = History(UNet(train.channels, dim=1, width=4, depth=1), steps=2, dt=train.dt)
    result = fit(model, train, epochs=2, out=tmp_path, settings=FitSettings(device="cpu", quiet=True))
    assert result.history[1].train_loss < result.history[0].train_loss
    assert load_operator(result.path).state_dict().keys() == model.stepper.state_dict().keys()
