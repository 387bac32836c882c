import math

import pytest
import torch

from sciml.metrics import rollout

TS = torch.tensor([0.0, 1.0, 2.0, 4.0])


def test_correlation_of_a_perfect_and_of_an_opposite_prediction(pair):
    _, target = pair
    one = torch.ones(3, 4, dtype=torch.float64)
    torch.testing.assert_close(rollout.correlation(5 * target - 2, target), one)
    torch.testing.assert_close(rollout.correlation(-target, target), -one)
    torch.testing.assert_close(rollout.nrmse(1.5 * target, target), 0.5 * one)


def test_correlation_time_interpolates_between_frames():
    correlation = torch.tensor(
        [[1.0, 0.9, 0.7, 0.0], [1.0, 1.0, 0.9, 0.7], [0.5, 0.4, 0.9, 0.9], [1.0, 0.9, 0.9, 0.81]]
    )
    time = rollout.correlation_time(correlation, TS)
    torch.testing.assert_close(time, torch.tensor([1.5, 3.0, 0.0, math.inf]))


def test_a_linear_decay_crosses_where_it_says():
    ts = torch.linspace(0, 5, 11, dtype=torch.float64).expand(2, 11)
    rate = torch.tensor([[0.1], [0.25]], dtype=torch.float64)
    time = rollout.correlation_time(1 - rate * ts, ts, threshold=0.8)
    torch.testing.assert_close(time, 0.2 / rate[:, 0])


def test_valid_time_mirrors_correlation_time():
    error = torch.tensor([[0.0, 0.2, 0.8, 0.9], [0.0, 0.1, 0.2, 0.3]])
    torch.testing.assert_close(rollout.valid_prediction_time(error, TS), torch.tensor([1.5, math.inf]))


@pytest.mark.parametrize("blown", [math.nan, math.inf])
def test_a_blown_up_rollout_is_valid_to_its_last_good_frame(blown):
    error = torch.tensor([[0.0, 0.1, blown, blown], [blown, blown, blown, blown]])
    assert rollout.valid_prediction_time(error, TS).tolist() == [1.0, 0.0]


def test_times_that_do_not_fit_are_refused():
    with pytest.raises(
        ValueError, match=r"Expected ts of shape \(time,\) or \(batch, time\) for \(2, 4\) frames, got \(3,\)"
    ):
        rollout._first_crossing(torch.ones(2, 4), TS[:3])
