"""Learning rate schedules at the points where their definition is plain."""

from itertools import pairwise

import pytest

from sciml.training import Constant, Cosine, StepDecay


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


@pytest.mark.parametrize("wrong", [lambda: Cosine(warmup=1.0), lambda: Cosine(floor=2.0), lambda: StepDecay(every=0)])
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValueError, match="Expected"):
        wrong()
