"""Noise, loss and scales of particle simulators; ``fit`` learns to fall, and resumes to the last bit."""

from pathlib import Path

import numpy as np
import pytest
import torch

from sciml.datasets.windows import Trajectories
from sciml.operators.particles import GIOROM, GNS, ParticleWindows
from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve
from sciml.training import Constant, FitSettings, Mixture, fit, mean_square, relative_l2
from tests.sciml.operators.particles.clouds import ALL, CLOUDS, SMALL, falling, falling_windows, made, states
from tests.sciml.training.tiny import weights

every = pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())


def positions(model, y):
    return y[..., : model.frame.layout.moving].unflatten(-1, (-1, model.frame.layout.dim))


def as_trained(name):
    """A small simulator of particles of which every second one falls and the others rise, which their type tells."""
    train = ParticleWindows(falling_windows(6, rising=True), reference=name == "solid")
    arguments = {"box": train.box, "radius": 0.2}
    torch.manual_seed(0)
    if name == "giorom":
        return GIOROM(train.channels, **arguments, architecture=SMALL), train
    return GNS(train.channels, **arguments, steps=2, width=16), train


@every
def test_noise_is_a_random_walk_that_ends_at_its_scale(make):
    model = made(make, prescribed=(1,))
    _, _, y = states(model, size=400)
    window = torch.stack([y, y], dim=1)
    loss = model.state_loss(mean_square)
    noisy, targets = loss.noisy(window, 0.3)
    free = y[..., model.frame.layout.type_at] != 1
    walk = (positions(model, noisy) - positions(model, y)).double()
    velocity = walk.diff(dim=2)
    assert not walk[~free].any() and walk[:, :, 0].abs().max() < 1e-6
    spread = 0.3 * float(model.normalization.noise_unit)
    steps = model.frame.layout.window - 1
    for k in range(steps):
        assert float(velocity[free][:, k].std()) == pytest.approx(spread * ((k + 1) / steps) ** 0.5, rel=0.05)
    shift = model.newest(targets) - model.newest(window)
    torch.testing.assert_close(shift[:, 1].double(), walk[:, :, -1], rtol=0, atol=1e-6)
    assert torch.equal(noisy[..., model.frame.layout.moving :], y[..., model.frame.layout.moving :])


@every
def test_the_target_corrects_the_velocity_and_not_the_position(make):
    """Of a noisy state the wanted acceleration is the true one less the noise of the last velocity."""
    model = made(make)
    _, _, y = states(model)
    layout = model.frame.layout
    after = torch.cat([y[..., layout.dim : layout.moving], model.newest(y) + 0.02, y[..., layout.moving :]], dim=-1)
    loss = model.state_loss(mean_square)
    noisy, targets = loss.noisy(torch.stack([y, after], dim=1), 0.5)
    x, clean, end = positions(model, noisy), positions(model, y), model.newest(targets[:, 1])
    wanted = end - 2 * x[..., -1, :] + x[..., -2, :]
    true = model.newest(after) - 2 * clean[..., -1, :] + clean[..., -2, :]
    velocity_noise = (x - clean)[..., -1, :] - (x - clean)[..., -2, :]
    torch.testing.assert_close(wanted, true - velocity_noise, rtol=0, atol=1e-6)


@every
@pytest.mark.parametrize("error", [mean_square, relative_l2])
def test_the_loss_is_that_of_normalised_accelerations_of_free_particles(make, error):
    model = made(make, prescribed=(1,))
    t, dt, y = states(model)
    step = model(t, dt, y).y
    loss = model.state_loss(error)
    assert loss(step, step).max() < 1e-9
    free = y[..., model.frame.layout.type_at] != 1
    moved = step.clone()
    at = slice(model.frame.layout.moving - 2, model.frame.layout.moving)
    moved[..., at] += torch.where(free[..., None], 0.0, 0.7)
    assert loss(step, moved).max() < 1e-9
    moved[..., at] += 2 * model.normalization.acceleration_std
    if error is mean_square:
        torch.testing.assert_close(loss(step, moved), torch.full((3,), 4.0), rtol=1e-2, atol=0)
    else:
        assert 0.1 < float(loss(step, moved).mean()) < 10


def test_scales_are_those_of_the_data_widened_by_the_noise():
    model, train = as_trained("gns")
    fit(model, train, settings=FitSettings(epochs=1, quiet=True, noise=0.5))
    motion, scales = train.motion(), model.normalization
    np.testing.assert_allclose(
        scales.velocity_std.numpy(), np.sqrt(motion.velocity_std**2 + (0.5 * motion.speed) ** 2), rtol=1e-5
    )
    np.testing.assert_allclose(
        scales.acceleration_std.numpy(), np.sqrt(motion.acceleration_std**2 + (0.5 * motion.speed) ** 2), rtol=1e-5
    )
    assert float(scales.dt) == pytest.approx(0.1) and float(scales.noise_unit) == pytest.approx(motion.speed)


@pytest.mark.parametrize("name", CLOUDS)
def test_it_learns_to_fall(name):
    """From 24 windows; then ten times better than going on straight, with a sparse sample of the particles too."""
    model, train = as_trained(name)
    settings = FitSettings(epochs=15, quiet=True, batch_size=4, lr=3e-3)
    result = fit(model, train, valid=train, settings=settings)
    assert result.history[-1].train_loss < 0.2 * result.history[0].train_loss
    test = torch.stack([Trajectories(falling(2, rising=True, seed=9))[k].u for k in range(2)])
    for chosen in (range(10), range(0, 10, 3)):
        frames = test[:, :, list(chosen)]
        if name == "solid":
            frames = torch.cat([frames, frames[:, :1, :, :2].expand(-1, 10, -1, -1)], dim=-1)
        ys = solve(model, model.pack(frames[:, :6]), torch.arange(5) * 0.1, FixedStep(0.1)).ys
        true, last = frames[:, 6:, :, :2], frames[:, 4:6, :, :2]
        straight = last[:, 1:] + last.diff(dim=1) * torch.arange(1, 5)[:, None, None]
        assert (model.newest(ys)[:, 1:] - true).square().mean() < 0.1 * (straight - true).square().mean()


@pytest.mark.parametrize("name", CLOUDS)
def test_a_prolonged_training_ends_in_the_same_weights(name, tmp_path):
    def trained(out, *epochs):
        for count in epochs:
            model, train = as_trained(name)
            settings = FitSettings(epochs=count, quiet=True, batch_size=8, noise=0.2, schedule=Constant())
            fit(model, train, out=tmp_path / out, settings=settings)
        return weights(model)

    assert torch.equal(trained("once", 2), trained("twice", 1, 2))


def test_several_steps_and_pushforward():
    train = ParticleWindows(falling_windows(4, window=9))
    model = as_trained("gns")[0]
    result = fit(model, train, settings=FitSettings(epochs=1, quiet=True, unroll=2, pushforward=1, noise=0.1))
    assert np.isfinite(result.history[0].train_loss)


def test_the_files_of_a_suite():
    """LagrangeBench's, whose box is periodic: the scales of its training split, and steps that stay in the box."""
    layout = Path(__file__).parents[3] / "data" / "layouts" / "lagrangebench" / "3D_LJ_3_1214every1"
    train = ParticleWindows(Trajectories(layout, split="train", window=7))
    model = GNS(train.channels, box=train.box, radius=2.4, steps=1, width=8)
    model.set_scales(train, 0.0)
    x = Trajectories(layout, split="train")[0].u[..., :3].double().numpy()
    v = np.diff(x, axis=0)
    a = np.diff(v - 5 * np.round(v / 5), axis=0)
    np.testing.assert_allclose(model.normalization.acceleration_std.numpy(), a.std(axis=(0, 1)), rtol=1e-5)
    t, u = Trajectories(layout, split="test")[0]
    with torch.no_grad():
        ys = solve(model, model.pack(u[None, :6]), t[5:9], FixedStep(train.dt)).ys
    assert bool(((model.newest(ys) >= 0) & (model.newest(ys) < 5)).all())


def test_other_data_are_refused():
    model, train = as_trained("gns")
    with pytest.raises(ValueError, match=r"know their motion, got Trajectories.*ParticleWindows"):
        model.set_scales(train.trajectories, 0.0)


def test_a_mixture_of_data_with_scales_set_by_hand():
    parts = [ParticleWindows(falling_windows(2, rising=True, seed=seed)) for seed in (1, 2)]
    model = as_trained("gns")[0]
    model.normalization.set(parts[0].motion(), parts[0].dt)
    result = fit(model, Mixture(parts), settings=FitSettings(epochs=1, quiet=True))
    assert np.isfinite(result.history[0].train_loss)
