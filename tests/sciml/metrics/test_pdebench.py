import functools
import math
import operator

import pytest
import torch

from sciml.metrics import pdebench

CASES = [("1d", 1), ("1d", 3), ("2d", 1), ("2d", 3), ("3d", 1), ("3d", 3)]


@pytest.mark.parametrize(("case", "skip"), CASES)
def test_equals_the_benchmarks_own_code(golden, arrays, case, skip):
    expected = next(row for row in golden["pdebench"] if (row["case"], row["initial_step"]) == (case, skip))
    # [batch, *space, time, channel]
    prediction, target = (
        arrays[f"pdebench_{case}_{which}"].movedim((-2, -1), (1, 2))[:, skip:] for which in ("pred", "true")
    )
    scores = pdebench.scores(prediction, target)
    for name, key in (
        ("rmse", "RMSE"),
        ("nrmse", "nRMSE"),
        ("crmse", "cRMSE"),
        ("maximum", "MaxErr"),
        ("brmse", "bRMSE"),
    ):
        assert getattr(scores, name).item() == pytest.approx(expected[key], rel=2e-5), key
        assert getattr(pdebench, name)(prediction, target).item() == pytest.approx(expected[key], rel=2e-5), key
    bands = [math.nan if value is None else value for value in expected["fRMSE"]]
    assert scores.frmse.tolist() == pytest.approx(bands, rel=2e-5, nan_ok=True)


@pytest.mark.parametrize("sizes", [(1, 1, 1), (2, 1), (1, 2)])
def test_batches_of_any_size_add_up_to_the_scores_of_all(pair, sizes):
    parts = [pdebench.totals(*batch) for batch in zip(*(u.split(sizes) for u in pair))]
    joined, whole = functools.reduce(operator.add, parts).scores(), pdebench.scores(*pair)
    for name in ("rmse", "nrmse", "crmse", "maximum", "brmse", "frmse"):
        torch.testing.assert_close(getattr(joined, name), getattr(whole, name), equal_nan=True)


def test_scores_scale_with_the_field_and_nrmse_does_not(pair):
    prediction, target = pair
    scores, scaled = pdebench.scores(prediction, target), pdebench.scores(5 * prediction, 5 * target)
    torch.testing.assert_close(scaled.nrmse, scores.nrmse)
    for name in ("rmse", "crmse", "maximum", "brmse", "frmse"):
        torch.testing.assert_close(getattr(scaled, name), 5 * getattr(scores, name), equal_nan=True)


def test_a_constant_error_is_the_same_in_every_norm(pair):
    _, target = pair
    scores = pdebench.scores(target + 0.25, target)
    for name in ("rmse", "crmse", "maximum"):
        assert getattr(scores, name).item() == pytest.approx(0.25)
    channels = 2 if target.ndim == 6 else 1  # in 3D the published boundary error sums the channels' squares
    assert scores.brmse.item() == pytest.approx(0.25 * math.sqrt(channels))


def test_fourier_error_of_one_wave_is_in_its_band():
    x = torch.arange(64, dtype=torch.float64) / 64
    target = torch.ones(1, 1, 1, 64, dtype=torch.float64)
    error = 0.1 * torch.cos(2 * math.pi * 6 * x)
    # |E_6| = N / 2 * 0.1, one of the eight bins 4..11, on a domain of length 2
    frmse = pdebench.frmse(target + error, target, extents=(2.0,))
    assert frmse.tolist() == pytest.approx([0, 0.1 / 2 * 2 / 8, 0], abs=1e-12)


def test_a_blown_up_prediction_scores_nan_and_an_exact_one_zero_with_finite_gradient(pair):
    _, target = pair
    assert pdebench.rmse(target.fill_(1.0) * math.inf, target).item() == math.inf
    assert math.isnan(pdebench.scores(target * math.nan, target).maximum)
    exact = target.clone().requires_grad_()
    (pdebench.nrmse(exact, target) + pdebench.brmse(exact, target)).backward()
    assert torch.equal(exact.grad, torch.zeros_like(target))


def test_wrong_extents_name_the_way_out(pair):
    with pytest.raises(ValueError, match="extents, one for each spatial axis, got 4"):
        pdebench.totals(*pair, extents=(1.0,) * 4)
