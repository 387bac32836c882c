"""GINO of the neuraloperator package as a simulator of particles."""

import sys

import pytest
import torch

from sciml.checkpoint import load_operator, save_operator
from sciml.datasets.windows import Trajectories
from sciml.operators.particles import GINO, ParticleWindows, particle_channels
from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve
from sciml.training import FitSettings, fit
from tests.sciml.operators.particles.clouds import STATIC, box, falling, falling_windows, made, states

pytest.importorskip("neuralop")
every_dim = pytest.mark.parametrize("dim", [2, 3])


def gino(dim, **arguments):
    settings = {"box": box(dim), "radius": 0.3, "modes": 3, "width": 8, "layers": 2}
    return GINO(particle_channels(dim, static=STATIC), **{**settings, **arguments})


@every_dim
def test_neither_order_nor_batch_nor_empty_places_matter(dim):
    model = made(gino, dim)
    t, dt, y = states(model)
    new, order = model(t, dt, y).y, torch.randperm(y.shape[1])
    assert (model.newest(new) - model.newest(y)).abs().max() > 1e-3
    alone = torch.cat([model(t[k : k + 1], dt[k : k + 1], y[k : k + 1]).y for k in range(len(y))])
    padding = torch.full((3, 2, y.shape[2]), float("nan"))
    padding[..., model.frame.layout.type_at] = -1
    padded = model(t, dt, torch.cat([y[:, :5], padding, y[:, 5:]], dim=1)).y
    for found in (model(t, dt, y[:, order]).y[:, order.argsort()], alone, torch.cat([padded[:, :5], padded[:, 7:]], 1)):
        torch.testing.assert_close(found, new, rtol=1e-5, atol=1e-6)


def test_types_walls_and_neighbours_matter():
    model = made(gino)
    t, dt, y = states(model)
    kind, moving = model.frame.layout.type_at, model.frame.layout.moving
    others, shifted, apart = y.clone(), y.clone(), y.clone()
    others[..., kind] = 4 - others[..., kind]
    shifted[..., :moving] -= 0.2
    apart[:, 3, :moving] += 0.1
    new = model.newest(model(t, dt, y).y)
    assert (model.newest(model(t, dt, others).y) - new).abs().max() > 1e-6
    assert (model.newest(model(t, dt, shifted).y) + 0.2 - new).abs().max() > 1e-6
    assert (model.newest(model(t, dt, apart).y) - new)[:, 4:].abs().max() > 1e-7


def test_it_learns_is_stored_and_rolls_out(tmp_path):
    train = ParticleWindows(falling_windows(6))
    torch.manual_seed(0)
    model = GINO(train.channels, box=train.box, radius=0.4, modes=2, width=16, layers=2)
    settings = FitSettings(epochs=15, quiet=True, batch_size=4, lr=3e-3)
    history = fit(model, train, settings=settings).history
    assert history[-1].train_loss < 0.3 * history[0].train_loss
    save_operator(model, tmp_path / "model.safetensors")
    y = model.pack(Trajectories(falling(1, seed=9))[0].u[None, :6])
    ys = [
        solve(one, y, torch.arange(4) * 0.1, FixedStep(0.1)).ys
        for one in (model, load_operator(tmp_path / "model.safetensors"))
    ]
    assert torch.equal(*ys) and bool(torch.isfinite(ys[0]).all())


def test_other_precisions():
    model = made(gino)
    t, dt, y = states(model)
    expected = model(t, dt, y).y
    double = model.double()(t.double(), dt.double(), y.double()).y
    assert double.dtype == torch.float64 and next(model.network.parameters()).dtype == torch.float32
    torch.testing.assert_close(double.float(), expected, rtol=1e-5, atol=1e-6)
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(model.float()(t, dt, y).y, expected, rtol=1e-5, atol=1e-6)


def test_refusals(monkeypatch):
    with pytest.raises(ValueError, match="walls on all sides"):
        gino(2, box=box(2, periodic=True))
    with pytest.raises(ValueError, match="modes up to half"):
        gino(2, modes=9)
    with pytest.raises(ValueError, match="modes >= 1, one or 2 of them"):
        gino(2, modes=(3, 3, 3))
    monkeypatch.setitem(sys.modules, "neuralop.models", None)
    with pytest.raises(ImportError, match=r"sciml\[baselines\]"):
        gino(2)
