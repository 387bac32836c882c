"""Windows of states, statistics of motion, sampling: closed forms, and functions of the index alone."""

import numpy as np
import pytest
import torch

from sciml.datasets.memory import dataset_from_particles
from sciml.datasets.windows import Trajectories
from sciml.operators.particles import (
    FarthestSampling,
    ParticleWindows,
    UniformSampling,
    particle_channels,
    particle_statistics,
    sparse_radius,
)
from sciml.operators.particles.state import Layout
from tests.sciml.operators.particles.clouds import falling, falling_windows


def moving(frames, nodes, *, seed=0, dim=2):
    return np.random.default_rng(seed).uniform(size=(frames, nodes, dim)).astype("f4")


def test_a_state_is_its_frames_and_constants():
    x, kinds = moving(9, 5), np.array([0, 5, 3, 3, 1])
    data = dataset_from_particles(
        [x], types=[kinds], dt=0.2, bounds=[[0.0, 1.0]] * 2, parameters={"nu": np.array([0.25])}
    )
    windows = ParticleWindows(Trajectories(data, window=5, parameters=["nu"]), window=3)
    assert [c.name for c in windows.channels] == [
        *("position_x[-2]", "position_y[-2]", "position_x[-1]", "position_y[-1]", "position_x", "position_y"),
        *("particle_type", "nu"),
    ]
    assert [c.static for c in windows.channels] == [True] * 4 + [False] * 2 + [True] * 2
    t, u = windows[2]
    assert u.shape == (3, 5, 8) and t.numpy() == pytest.approx([0.8, 1.0, 1.2]) and windows.dt == pytest.approx(0.2)
    for state in range(3):
        frames = u[state, :, :6].unflatten(-1, (3, 2)).transpose(0, 1).numpy()
        assert np.array_equal(frames, x[2 + state : 5 + state])
        assert np.array_equal(u[state, :, 6], kinds) and bool((u[state, :, 7] == 0.25).all())
    layout = Layout.of(windows.channels)
    whole = Trajectories(data, parameters=["nu"])[0].u
    assert torch.equal(layout.pack(whole[None, 2:5])[0], u[0])
    assert np.array_equal(layout.newest(u)[1].numpy(), x[5])


def test_trajectories_of_different_sizes_are_filled_up():
    data = dataset_from_particles([moving(4, 5), moving(4, 3)], dt=0.1, bounds=[[0.0, 1.0]] * 2)
    windows = ParticleWindows(Trajectories(data, window=4), window=3)
    large, small = windows[0][1], windows[1][1]
    assert large.shape == small.shape == (2, 5, 7)
    assert bool((small[:, 3:, 6] == -1).all()) and bool((small[:, :3, 6] == 0).all())


def test_what_is_kept_depends_on_the_item_alone():
    source = falling_windows(3, nodes=30)
    windows = ParticleWindows(source, sampling=UniformSampling(8), seed=4)
    assert windows[0][1].shape == (2, 8, 13)
    kept = [windows.kept(k) for k in range(len(windows))]
    assert torch.equal(windows[2][1], windows[2][1]) and not torch.equal(kept[0], kept[1])
    assert torch.equal(windows[1][1][..., :12].flatten(), source_states(source, 1, kept[1]).flatten())
    other = ParticleWindows(source, sampling=UniformSampling(8), seed=5)
    assert not torch.equal(other.kept(0), kept[0])
    assert ParticleWindows(source, sampling=FarthestSampling(0.2))[0][1].shape[1] == 6


def source_states(source, index, kept):
    u = source[index].u[:, kept, :2]
    return torch.stack([u[k : k + 6].transpose(0, 1).flatten(1) for k in range(2)])


def test_farthest_particles_cover_better():
    x = torch.rand(400, 2)
    hole = {}
    for sampling in (UniformSampling(20), FarthestSampling(20)):
        kept = sampling(x, torch.Generator().manual_seed(0))
        assert len(kept.unique()) == 20
        hole[type(sampling)] = torch.cdist(x, x[kept]).amin(dim=1).max()
    assert hole[FarthestSampling] < 0.85 * hole[UniformSampling]
    assert sparse_radius(0.1, 0.125, 3) == pytest.approx(0.2)


def test_statistics_of_free_fall():
    motion = ParticleWindows(falling_windows(5)).motion()
    np.testing.assert_allclose(motion.acceleration_mean, [0, -2e-3], atol=1e-8)
    assert bool((motion.acceleration_std < 1e-6).all()) and motion.count == 5 * 8 * 10


def test_statistics_are_pooled_over_what_moves_freely():
    x = [0.01 * moving(6, 4, seed=k).cumsum(axis=0) * (k + 1) for k in range(3)]
    kinds = [np.array([0, 3, -1, 0])] * 3
    data = dataset_from_particles(x, types=kinds, dt=0.1, bounds=[[0.0, 1.0]] * 2)
    found = particle_statistics(Trajectories(data, window=4), prescribed=(3,))
    v = [np.diff(u[:, [0, 3]].astype("f8"), axis=0).reshape(-1, 2) for u in x]
    a = [np.diff(u[:, [0, 3]].astype("f8"), n=2, axis=0).reshape(-1, 2) for u in x]
    np.testing.assert_allclose(found.velocity_mean, np.concatenate(v).mean(0), rtol=1e-10)
    np.testing.assert_allclose(found.velocity_std, np.concatenate(v).std(0), rtol=1e-10)
    np.testing.assert_allclose(found.acceleration_std, np.concatenate(a).std(0), rtol=1e-10)


def test_statistics_cross_periodic_edges_and_strides():
    x = (0.9 + 0.05 * np.arange(8)[:, None, None] * np.ones((1, 3, 2))) % 1
    for stride in (1, 2):
        data = dataset_from_particles([x], dt=0.1, bounds=[[0.0, 1.0]] * 2, periodic=[True] * 2)
        found = particle_statistics(Trajectories(data, window=3, stride=stride))
        np.testing.assert_allclose(found.velocity_mean, 0.05 * stride, atol=1e-6)


def test_inputs_have_statistics():
    data = dataset_from_particles(
        [moving(4, 3, seed=k) for k in range(3)],
        dt=0.1,
        bounds=[[0.0, 1.0]] * 2,
        parameters={"nu": np.array([1.0, 2, 6])},
    )
    found = particle_statistics(Trajectories(data, window=3, parameters=["nu"]))
    assert found.input_mean == pytest.approx([3]) and found.input_std == pytest.approx([np.std([1, 2, 6])])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ParticleWindows(Trajectories.from_arrays(np.zeros((1, 3, 1, 4)), np.arange(3))), "of particles"),
        (lambda: ParticleWindows(Trajectories(falling(1), window=3)), r"window=6.*Trajectories\(..., window=7\)"),
        (lambda: UniformSampling(1.5), "keep"),
        (lambda: FarthestSampling(0), "keep"),
        (lambda: sparse_radius(0.1, 2.0, 3), "share"),
        (lambda: Layout.of(["u", "v"]), r"particle_channels\(dim, 6\)"),
        (lambda: Layout.of(particle_channels(2)[1:]), "two positions"),
        (lambda: dataset_from_particles([np.zeros((3, 2))], dt=1.0, bounds=[[0.0, 1.0]] * 2), "positions 0"),
    ],
)
def test_bad_arguments_are_named(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_state_may_know_where_its_body_was_at_rest():
    data = falling_windows(2)
    train = ParticleWindows(data, window=6, reference=True, sampling=UniformSampling(4))
    _, u = train[2]
    assert [c.name for c in train.channels[12:]] == ["particle_type", "reference_x", "reference_y"]
    place, frames = data.locate(2)
    assert frames.start > 0
    first = data.datasets[0].read(place.trajectory, slice(0, 1))[0]
    assert torch.equal(u[0, :, -2:], torch.from_numpy(first[train.kept(2).numpy(), :2]))
    assert torch.equal(u[0, :, -2:], u[-1, :, -2:])
