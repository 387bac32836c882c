"""Dense clouds from sparse ones: exact for motions that neighbours determine, trained by ``fit``, chunked."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from sciml.checkpoint import load_operator, save_operator
from sciml.datasets.memory import dataset_from_particles
from sciml.datasets.windows import Trajectories
from sciml.operators.particles import (
    Box,
    DensePairs,
    DenseView,
    GridDecoder,
    ReferenceDecoder,
    UniformSampling,
    decoder_channels,
)
from sciml.training import FitSettings, fit

BOX = Box((0, 0), (1, 1))
ALL = {
    "reference": lambda: ReferenceDecoder(decoder_channels(2), radius=0.3, hidden=(16, 16)),
    "grid": lambda: GridDecoder(decoder_channels(2), box=BOX, spacing=0.12, hidden=16),
    "reference as published": lambda: ReferenceDecoder(decoder_channels(2), radius=0.3, hidden=(16,), published=True),
    "grid as published": lambda: GridDecoder(decoder_channels(2), box=BOX, spacing=0.12, hidden=16, absolute=True),
}
every = pytest.mark.parametrize("make", ALL.values(), ids=ALL.keys())
ours = pytest.mark.parametrize("make", [ALL["reference"], ALL["grid"]], ids=["reference", "grid"])


def cloud(size=2, seed=0):
    generator = torch.Generator().manual_seed(seed)
    sparse = torch.rand(size, 150, 2, generator=generator)
    return sparse, 0.2 + 0.6 * torch.rand(size, 500, 2, generator=generator)


def randomised(make):
    torch.manual_seed(0)
    decoder = make().eval()
    for parameter in decoder.parameters():
        parameter.data.normal_(std=0.3)
    return decoder


def swirl(count=3, nodes=150, frames=5):
    """Particles that turn about the middle, faster there."""
    random, found = np.random.default_rng(0), []
    for _ in range(count):
        x = [random.uniform(0.2, 0.8, (nodes, 2))]
        for _ in range(frames - 1):
            r = x[-1] - 0.5
            x.append(x[-1] + 0.15 * np.exp(-6 * (r**2).sum(-1, keepdims=True)) * np.stack([-r[:, 1], r[:, 0]], -1))
        found.append(np.stack(x).astype("f4"))
    return Trajectories(dataset_from_particles(found, dt=1.0, bounds=[[0.0, 1.0]] * 2))


@ours
def test_translations_are_exact_before_any_training(make):
    sparse, dense = cloud()
    shift = torch.tensor([0.11, -0.07])
    torch.testing.assert_close(DenseView(make().eval(), sparse, dense)(sparse + shift), dense + shift)


def test_affine_motion_is_exact_before_any_training():
    sparse, dense = cloud()
    turn = torch.tensor([[0.6, -0.8], [0.8, 0.6]]) @ torch.diag(torch.tensor([1.3, 0.7]))
    moved = DenseView(ALL["reference"](), sparse, dense)(sparse @ turn.T)
    torch.testing.assert_close(moved, dense @ turn.T, rtol=0, atol=2e-4)


@every
def test_chunks_batches_and_order_change_nothing(make):
    decoder = randomised(make)
    sparse, dense = cloud()
    moved = sparse + 0.02 * torch.randn(sparse.shape)
    whole = DenseView(decoder, sparse, dense)(moved)
    torch.testing.assert_close(DenseView(decoder, sparse, dense, chunk=70)(moved), whole)
    alone = torch.cat([DenseView(decoder, sparse[k : k + 1], dense[k : k + 1])(moved[k : k + 1]) for k in (0, 1)])
    torch.testing.assert_close(alone, whole)
    order = torch.randperm(150)
    torch.testing.assert_close(
        DenseView(decoder, sparse[:, order], dense)(moved[:, order]), whole, rtol=1e-4, atol=1e-5
    )


def test_the_reference_decoder_is_continuous_and_translation_invariant():
    decoder = randomised(ALL["reference"]).double()
    sparse = cloud(1)[0].double()
    moved = sparse + 0.05 * torch.sin(7 * sparse)
    line = torch.stack([torch.linspace(0.2, 0.8, 3000), torch.full((3000,), 0.5)], dim=-1)[None].double()
    out = DenseView(decoder, sparse, line)(moved)[0]
    assert out.diff(dim=0).abs().max() < 30 * out.diff(dim=0).abs().mean()
    there = DenseView(decoder, sparse + 2, line + 2)(moved + 2)[0] - 2
    torch.testing.assert_close(there, out, rtol=0, atol=1e-9)


@every
def test_every_parameter_gets_a_gradient(make):
    decoder = randomised(make)
    sparse, dense = cloud()
    decoder.decode(decoder.prepare(sparse, dense), sparse + 0.1 * sparse.sin()).sin().sum().backward()
    assert [name for name, p in decoder.named_parameters() if p.grad is None or not bool(p.grad.any())] == []


@every
def test_checkpoints_rebuild_it(make, tmp_path):
    decoder = randomised(make)
    rebuilt = type(decoder)(**json.loads(json.dumps(decoder.config)))
    rebuilt.load_state_dict(load(save(decoder.state_dict())))
    sparse, dense = cloud()
    expected = DenseView(decoder, sparse, dense)(sparse + 0.1)
    for other in (rebuilt.eval(), load_operator(save_operator(decoder, tmp_path / "d.safetensors"))):
        assert torch.equal(DenseView(other, sparse, dense)(sparse + 0.1), expected)


@every
def test_fit_improves_it(make):
    torch.manual_seed(0)
    pairs = DensePairs(swirl(), UniformSampling(60), queries=60)
    decoder = make()
    decoder.normalization.set(pairs.statistics.mean, pairs.statistics.std, pairs.statistics.std_delta, 1.0)
    before = loss_of(decoder, pairs)
    fit(decoder, pairs, settings=FitSettings(epochs=8, batch_size=4, lr=3e-3, quiet=True))
    assert loss_of(decoder.eval(), pairs) < 0.97 * before


def loss_of(decoder, pairs):
    u = torch.stack([pairs[k][1] for k in range(len(pairs))])
    with torch.no_grad():
        y = decoder(torch.zeros(len(u)), torch.ones(len(u)), u[:, 0]).y
    return float((y - u[:, 1])[..., :2].square().mean())


def test_pairs_are_matched_by_number_and_drawn_by_index():
    data = swirl()
    pairs = DensePairs(data, UniformSampling(40), queries=25, seed=3)
    t, u = pairs[5]
    assert t.tolist() == [0, 1] and u.shape == (2, 65, 5) and len(pairs) == 12
    known = u[0, :, 4] == 1
    assert int(known.sum()) == 40 and torch.equal(u[0, known, :2], u[1, known, :2])
    assert torch.equal(u[0, ~known, :2], u[0, ~known, 2:4]) and torch.equal(u[0, :, 2:], u[1, :, 2:])
    whole = data[1].u  # item 5 is frame 2 of trajectory 1
    rows = (whole[0, :, :2][None] == u[0, :, None, 2:4]).all(-1).float().argmax(dim=1)
    assert torch.equal(whole[2, rows, :2], u[1, :, :2]) and torch.equal(pairs[5][1], u)
    assert not torch.equal(pairs[4][1][0, :, 2:4], u[0, :, 2:4])


@ours
def test_empty_neighbourhoods_are_named(make):
    sparse, dense = cloud()
    dense[1, 7] = torch.tensor([0.5, 0.5])
    sparse[1] = sparse[1] * 0.05
    with pytest.raises(ValueError, match=r"empty neighbourhood for \d+ of \d+.*Take a larger"):
        DenseView(make(), sparse, dense)


def test_other_particles_are_refused():
    sparse, dense = cloud()
    view = DenseView(ALL["reference"](), sparse, dense)
    with pytest.raises(ValueError, match=r"sparse reference.*newest\(solution.ys\)\[:, k\]"):
        view(sparse[:, :-1])
    with pytest.raises(ValueError, match="decoder_channels"):
        ReferenceDecoder(["a", "b"], radius=0.1)
