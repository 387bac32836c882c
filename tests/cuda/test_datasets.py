"""Generation on a GPU: every family gives what it gives on the CPU."""

import numpy as np
import pytest
import torch

from sciml.datasets import Trajectories, open_dataset
from sciml.generation.catalogue import FAMILIES
from sciml.generation.make import make
from sciml.generation.recipe import Recipe
from sciml.generation.shard import Shard, make_shard
from sciml.operators import LinearDMD

from .compare import assert_close

pytestmark = pytest.mark.gpu
SIZES = {1: 32, 2: 16, 3: 8}


def recipe(name: str, device: torch.device | str, **entries: object) -> Recipe:
    """Three short trajectories in one shard."""
    family = FAMILIES[name]
    particles = family.kind == "particles"
    small = {
        "trajectories": 3,
        "size": 120 if particles else SIZES[family.domain.dimensions],
        "frames": 3,
        "shard_size": 3,
        "supersample": 1 if particles else 2,
        "device": str(device),
    }
    return Recipe(family, **{**small, **entries})


def fields(shard: Shard) -> np.ndarray:
    return np.stack([own.u for own in shard.trajectories])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_as_on_the_cpu(name: str, dtype: str, device: torch.device) -> None:
    found, expected = (make_shard(recipe(name, at, dtype=dtype), 0) for at in (device, "cpu"))
    u, exact = fields(found), fields(expected)
    kept = 3 if FAMILIES[name].kind == "particles" else 2  # the axis of channels
    scale = np.abs(exact).max(axis=tuple(k for k in range(exact.ndim) if k != kept), keepdims=True) + 1e-12
    assert u.dtype == exact.dtype and np.abs((u - exact) / scale).max() < (1e-9 if dtype == "float64" else 1e-3)
    for mine, theirs in zip(found.trajectories, expected.trajectories):
        assert mine.parameters == theirs.parameters and mine.split == theirs.split
        if theirs.static is not None:
            np.testing.assert_allclose(mine.static, theirs.static, rtol=1e-5)
    for law, violation in expected.violations.items():
        assert found.violations[law] == pytest.approx(violation, rel=0.5, abs=1e-4), law


def test_a_file_is_the_same_each_time(device: torch.device, tmp_path) -> None:
    paths = [make(recipe("navier-stokes-2d", device), tmp_path / f"{name}.h5") for name in ("one", "two")]
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_several_workers_share_the_device(device: torch.device, tmp_path) -> None:
    entries = {"trajectories": 4, "shard_size": 2}
    paths = [
        make(recipe("burgers-1d", device, **entries), tmp_path / f"{workers}.h5", workers=workers) for workers in (1, 2)
    ]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert len(Trajectories(open_dataset(paths[0]), split="train")) == 2


def test_a_linear_map_of_a_file_rolls_out_on_the_device(device: torch.device, tmp_path) -> None:
    path = make(recipe("advection-1d", "cpu", trajectories=8, frames=6, dtype="float64"), tmp_path / "waves.h5")
    train = Trajectories(path, split="train")
    pairs = [(u[:-1].double(), u[1:].double()) for _, u in train]
    models = [
        LinearDMD.fit([(a.to(at), b.to(at)) for a, b in pairs], train.channels, dt=train.dt, rank=8)
        for at in ("cpu", device)
    ]
    u = train[0].u[:1].double()
    t = torch.zeros(1, dtype=u.dtype)
    expected = models[0](t, t + train.dt, u).y
    found = models[1](t.to(device), t.to(device) + train.dt, u.to(device)).y
    assert_close([found], [expected], 1e-7)
