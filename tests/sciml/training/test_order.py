"""The order of the data, and its division among processes."""

import pytest
import torch

from sciml.training.order import Place, WindowLoader, shares, training_order
from tests.sciml.training.tiny import Decay


def test_an_epoch_sees_every_window_once():
    batches = training_order(23, batch_size=5, seed=3, epoch=1)
    assert [len(batch) for batch in batches] == [5, 5, 5, 5, 3]
    assert sorted(window for batch in batches for window in batch) == list(range(23))


def test_the_order_depends_on_seed_and_epoch_alone():
    first = training_order(23, batch_size=5, seed=3, epoch=1)
    torch.manual_seed(99)
    assert training_order(23, batch_size=5, seed=3, epoch=1) == first
    assert training_order(23, batch_size=5, seed=3, epoch=2) != first
    assert training_order(23, batch_size=5, seed=4, epoch=1) != first


@pytest.mark.parametrize("processes", [1, 2, 3, 7])
@pytest.mark.parametrize("accumulate", [1, 2, 4])
@pytest.mark.parametrize("size", [1, 5, 8])
def test_weighted_means_of_the_shares_are_the_mean_of_the_batch(processes, accumulate, size):
    batch = torch.randperm(100)[:size].tolist()
    losses = torch.randn(100, dtype=torch.float64)
    total = sum(
        share.weight * losses[list(share.windows)].mean()
        for rank in range(processes)
        for share in shares(batch, Place(rank, processes), accumulate)
    )
    torch.testing.assert_close(total / processes, losses[batch].mean())


@pytest.mark.parametrize("size", [1, 3, 5, 8])
def test_even_shares_are_as_many_in_every_process(size):
    batch = list(range(size))
    plans = [shares(batch, Place(rank, 3), 2, even=True) for rank in range(3)]
    assert len({len(plan) for plan in plans}) == 1
    assert sum(share.weight for plan in plans for share in plan) / 3 == pytest.approx(1.0)
    for rank, plan in enumerate(plans):
        plain = [share for share in shares(batch, Place(rank, 3), 2) if share.weight]
        assert [share for share in plan if share.weight] == plain


@pytest.mark.parametrize("num_workers", [0, 2])
def test_the_loader_gives_the_windows_asked_for_epoch_after_epoch(num_workers):
    data = Decay(count=9)
    loader = WindowLoader(data, num_workers=num_workers)
    before = torch.get_rng_state()
    for plan in ([[3, 1], [8]], [[0], [2, 2, 7]]):
        loaded = list(loader.load(plan))
        assert len(loaded) == len(plan)
        for (t, u), indices in zip(loaded, plan):
            assert torch.equal(u, torch.stack([data[k][1] for k in indices]))
            assert torch.equal(t, torch.stack([data[k][0] for k in indices])) and t.dtype == torch.float64
    assert torch.equal(torch.get_rng_state(), before)


def test_windows_of_different_lengths_are_refused():
    data = [Decay(frames=3)[0], Decay(frames=4)[0]]
    with pytest.raises(ValueError, match=r"windows of one shape, got \(3, 3, 8\), \(4, 3, 8\).*window="):
        list(WindowLoader(data).load([[0, 1]]))
