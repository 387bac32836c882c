"""Learning rate schedules at the points where their definition is plain."""

from itertools import pairwise

import pytest

from sciml.training import Constant, Cosine, StepDecay, Warmup


def test_cosine_rises_linearly_then_falls_by_half_a_cosine():
    schedule = Cosine(warmup=0.2, floor=0.1)
    assert schedule(1.0, 10) == pytest.approx(0.5)
    assert schedule(2.0, 10) == pytest.approx(1.0)
    assert schedule(6.0, 10) == pytest.approx(0.55)
    assert schedule(10.0, 10) == pytest.approx(0.1)


def test_cosine_never_rises_after_the_warm_up():
    schedule = Cosine()
    factors = [schedule(k / 7, 30) for k in range(11, 211)]
    assert all(later <= earlier for earlier, later in pairwise(factors))


def test_step_decay_halves_after_each_interval():
    schedule = StepDecay(every=100)
    assert [schedule(epoch, 500) for epoch in (0.0, 99.9, 100.0, 250.5)] == [1, 1, 0.5, 0.25]


def test_constant_stays():
    assert Constant()(3.7, 10) == 1


def test_warm_up_lasts_a_number_of_epochs_whatever_follows():
    for epochs in (10, 100):
        assert [Warmup(2, Constant())(epoch, epochs) for epoch in (0.0, 0.5, 2.0, 9.0)] == [0, 0.25, 1, 1]
    schedule = Warmup(2, Cosine(warmup=0.0))
    assert [schedule(epoch, 10) for epoch in (1.0, 2.0, 6.0, 10.0)] == pytest.approx([0.5, 1.0, 0.5, 0.0])
    assert schedule(1.0, 1) == 0.5


@pytest.mark.parametrize(
    "wrong",
    [lambda: Cosine(warmup=1.0), lambda: Cosine(floor=2.0), lambda: StepDecay(every=0), lambda: Warmup(-1, Constant())],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="Expected"):
        wrong()
