"""Several data sets trained on together."""

import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch

from sciml.datasets.channel import Channel
from sciml.datasets.moments import compute_statistics
from sciml.datasets.windows import Trajectories
from sciml.training import FitSettings, Mixture, fit
from sciml.training.order import training_order
from tests.sciml.training.tiny import FLOW, Decay, small_waves, tiny, weights

QUIET = FitSettings(quiet=True, device="cpu", epochs=2, batch_size=4, lr=1e-2)


def mixture(temperature, counts=(12, 3)):
    return Mixture([Decay(count=count, seed=k) for k, count in enumerate(counts)], temperature=temperature)


@pytest.mark.parametrize(
    ("counts", "temperature", "quotas"),
    [
        ((12, 3), 1.0, (12, 3)),
        ((16, 4), 2.0, (13, 7)),  # 4 : 2 of 20 is 13.33 and 6.67
        ((12, 3), math.inf, (8, 7)),
        ((100, 10, 1), math.inf, (37, 37, 37)),
        ((7, 7, 7), 3.0, (7, 7, 7)),
    ],
)
def test_shares_are_as_the_temperature_says(counts, temperature, quotas):
    assert mixture(temperature, counts).quotas == quotas
    assert len(mixture(temperature, counts)) == sum(counts)


def test_windows_of_the_first_part_come_first():
    parts = [Decay(count=4), Decay(count=2, seed=1)]
    both = Mixture(parts)
    for index, (part, place) in enumerate([(0, 0), (0, 1), (0, 2), (0, 3), (1, 0), (1, 1)]):
        assert torch.equal(both[index][1], parts[part][place][1])
    assert torch.equal(both[-1][1], parts[1][1][1])
    with pytest.raises(IndexError):
        both[6]


def test_temperature_one_is_the_plain_order():
    for epoch in range(3):
        plain = training_order(15, batch_size=4, seed=5, epoch=epoch)
        assert training_order(15, batch_size=4, seed=5, epoch=epoch, data=mixture(1.0)) == plain


def test_an_epoch_draws_the_shares_and_neglects_no_window():
    both, seen = mixture(2.0, (16, 4)), Counter()
    for epoch in range(16):
        drawn = both.drawn(3, epoch)
        assert [sum(k < 16 for k in drawn), sum(k >= 16 for k in drawn)] == list(both.quotas)
        seen.update(drawn)
    # Whole rounds in random order: after any number of epochs no window of a part is more than one ahead of another.
    assert {seen[k] for k in range(16)} == {13} and {seen[k] for k in range(16, 20)} == {28}


def test_what_is_drawn_depends_on_seed_and_epoch_alone():
    first = mixture(math.inf).drawn(3, 1)
    torch.manual_seed(7)
    assert mixture(math.inf).drawn(3, 1) == first
    assert mixture(math.inf).drawn(3, 2) != first and mixture(math.inf).drawn(4, 1) != first


def waves_file(seed, scale):
    u = np.random.default_rng(seed).normal(scale, scale, (6, 4, 2, 8)).astype("float32")
    return Trajectories.from_arrays(u, np.arange(4) * 0.1, channels=["a", "b"], window=2)


def test_statistics_are_those_of_all_values_together():
    parts = [waves_file(0, 1.0), waves_file(1, 30.0)]
    together = Trajectories([part.datasets[0] for part in parts], window=2)
    found = Mixture(parts).statistics
    for name, rtol in (("mean", 1e-9), ("std", 1e-9), ("rms", 1e-9), ("std_delta", 1e-3)):  # it has fewer values
        np.testing.assert_allclose(getattr(found, name), getattr(together.statistics, name), rtol=rtol)
    assert compute_statistics(parts[0].datasets[0]).count > 0


def test_statistics_weight_a_part_as_it_is_drawn():
    small, large = waves_file(0, 1.0), Trajectories([waves_file(1, 30.0).datasets[0]] * 5, window=2)
    found = Mixture([small, large], temperature=math.inf).statistics
    expected = (small.statistics.mean + large.statistics.mean) / 2
    np.testing.assert_allclose(found.mean, expected, rtol=1e-9)


def test_the_time_step_is_the_common_one():
    assert mixture(1.0).dt == pytest.approx(0.1)
    slower = Decay(count=3)
    slower.dt = 0.2
    assert Mixture([Decay(count=3), slower]).dt is None


def test_parts_of_other_channels_grids_or_windows_are_refused():
    other = small_waves(3, channels=(FLOW[0], Channel("heat"), *FLOW[2:]))
    with pytest.raises(
        ValueError, match=r"Expected parts\[1\] to have parts\[0\]'s channels .*velocity_x.* got .*heat"
    ):
        Mixture([small_waves(3), other])
    with pytest.raises(ValueError, match=r"same shape of windows.*\(2, 3, 8\) in parts\[0\] and \(2, 3, 16\)"):
        Mixture([Decay(), Decay(points=16)])
    with pytest.raises(ValueError, match=r"same shape of windows.*\(2, 3, 8\) in parts\[0\] and \(3, 3, 8\)"):
        Mixture([Decay(), Decay(frames=3)])
    with pytest.raises(ValueError, match="at least one part"):
        Mixture([])
    with pytest.raises(ValueError, match=r"temperature >= 1.* got 0.5"):
        Mixture([Decay()], temperature=0.5)


def test_a_mixture_trains_as_its_concatenation_at_temperature_one():
    both = mixture(1.0)
    whole = Decay(count=15)
    whole.t = np.concatenate([part.t for part in both.parts])
    whole.u = np.concatenate([part.u for part in both.parts])
    whole.statistics = both.statistics
    results = [fit(tiny(), data, settings=QUIET).operator for data in (both, whole)]
    assert torch.equal(*(weights(operator) for operator in results))


class Breaking(Decay):
    """A disk that fails at the 40th read."""

    reads = 0

    def __getitem__(self, index):
        self.reads += 1
        if self.reads == 40:
            raise OSError("disk")
        return super().__getitem__(index)


def test_a_mixture_is_resumed_to_the_last_bit(tmp_path):
    settings = replace(QUIET, epochs=4, save_steps=1)

    def data(kind=Decay):
        return Mixture([kind(count=13), Decay(count=5, seed=1)], temperature=2.0)

    undisturbed = fit(tiny(), data(), settings=settings)
    with pytest.raises(OSError, match="disk"):
        fit(tiny(), data(Breaking), out=tmp_path, settings=settings)
    resumed = fit(tiny(), data(), out=tmp_path, settings=settings)
    assert torch.equal(weights(resumed.operator), weights(undisturbed.operator))
    with pytest.raises(ValueError, match=r"quotas of the mixture .*\[11, 7\], now \[13, 5\]"):
        fit(tiny(), Mixture(data().parts), out=tmp_path, settings=settings)
