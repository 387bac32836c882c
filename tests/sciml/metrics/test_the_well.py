import math
from itertools import pairwise

import pytest
import torch

from sciml.metrics import the_well

NAMES = {
    "MSE": "mse", "MAE": "mae", "NMAE": "nmae", "NMSE": "nmse", "RMSE": "rmse", "NRMSE": "nrmse", "VMSE": "vmse",
    "VRMSE": "vrmse", "LInfinity": "l_infinity", "PearsonR": "pearson_r",
}  # fmt: skip


@pytest.fixture(params=[0, 1, 2], ids=["2d", "3d", "1d"])
def case(request, golden, arrays):
    row = golden["the_well"][request.param]
    # [batch, time, *space, channel]
    fields = [arrays[f"well_{row['case']}_{which}"].movedim(-1, 2) for which in ("pred", "true")]
    return fields, row["metrics"]


@pytest.mark.parametrize("name", NAMES)
def test_equals_the_benchmarks_own_code(case, name):
    fields, expected = case
    value = getattr(the_well, NAMES[name])(*fields)
    torch.testing.assert_close(value, torch.tensor(expected[name]), rtol=3e-5, atol=1e-7)


def test_histogram_distance_equals_the_benchmarks_own_code(case):
    fields, expected = case
    value = the_well.histogram_w1(*fields)
    torch.testing.assert_close(value[:, None], torch.tensor(expected["HistogramW1"]), rtol=3e-5, atol=1e-8)


def test_spectral_error_equals_the_benchmarks_own_code(case):
    fields, expected = case
    error = the_well.spectral_error(*fields)
    for band in range(3):
        for name in ("mse", "nmse"):
            reference = torch.tensor(expected[f"spectral_error_{name}_per_bin_{band}"])
            torch.testing.assert_close(getattr(error, name)[..., band], reference, rtol=3e-5, atol=1e-8)


def test_spectral_bands_sum_to_the_mean_squared_error(pair):
    error = the_well.spectral_error(*pair)
    torch.testing.assert_close(error.mse.sum(-1), the_well.mse(*pair))


def test_spectral_bands_of_own_edges_leave_out_what_is_beyond(pair):
    error = the_well.spectral_error(*pair, edges=torch.tensor([1e-3, 100.0]))
    mean_error = (pair[0] - pair[1]).flatten(3).mean(-1)
    torch.testing.assert_close(error.mse[..., 0], the_well.mse(*pair) - mean_error.square())


def test_predicting_the_mean_scores_one(pair):
    _, target = pair
    mean = target.flatten(3).mean(-1).reshape(*target.shape[:3], *[1] * (target.ndim - 3)).expand_as(target)
    points = target[0, 0, 0].numel()
    expected = torch.full(target.shape[:3], (points - 1) / points, dtype=target.dtype).sqrt()
    torch.testing.assert_close(the_well.vrmse(mean, target), expected, rtol=1e-6, atol=0)


def test_vrmse_is_blind_to_units_and_offset(pair):
    prediction, target = pair
    torch.testing.assert_close(
        the_well.vrmse(7 * prediction + 3, 7 * target + 3), the_well.vrmse(prediction, target), rtol=1e-6, atol=0
    )


def test_histogram_distance_is_blind_to_positions(pair):
    prediction, target = pair
    shuffled = target.flatten(3)[..., torch.randperm(target[0, 0, 0].numel())].reshape(target.shape)
    assert the_well.histogram_w1(shuffled, target).abs().max() == 0
    assert the_well.histogram_w1(prediction, target).min() > 0


def test_batched_equals_one_by_one(pair):
    alone = torch.cat([the_well.vrmse(p[None], t[None]) for p, t in zip(*pair)])
    torch.testing.assert_close(the_well.vrmse(*pair), alone)


def test_blown_up_samples_stay_apart(pair):
    prediction, target = pair
    prediction[1, 2] = math.inf
    value = the_well.vrmse(prediction, target)
    assert value[1, 2].isinf().all()
    assert value.isfinite().sum() == value.numel() - 2


def test_half_precision_is_scored_in_single(pair):
    prediction, target = (u.bfloat16() for u in pair)
    value = the_well.spectral_error(prediction, target).mse
    assert value.dtype == torch.float32
    torch.testing.assert_close(value.sum(-1), the_well.mse(prediction.float(), target.float()), rtol=1e-5, atol=0)


@pytest.mark.parametrize(
    ("steps", "edges"), [(100, [0, 1, 3, 10, 31, 100]), (60, [0, 1, 2, 7, 21, 60]), (1, [0, 1, 1, 1, 1, 1])]
)
def test_window_edges_cover_every_step(steps, edges):
    assert the_well.window_edges(steps) == edges


def test_window_means_weighted_by_length_give_the_mean():
    errors = torch.rand(2, 60, 3, dtype=torch.float64)
    edges = the_well.window_edges(60)
    parts = [(stop - start) * the_well.window_mean(errors, start, stop) for start, stop in pairwise(edges)]
    torch.testing.assert_close(sum(parts) / 60, errors.mean())
    assert the_well.window_mean(errors, 70, 80).isnan()


def test_no_steps_are_refused():
    with pytest.raises(ValueError, match="steps >= 1, got 0"):
        the_well.window_edges(0)
