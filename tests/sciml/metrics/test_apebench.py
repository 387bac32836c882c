import math

import pytest
import torch

from sciml.metrics import apebench
from sciml.metrics.apebench import Band

PLAIN = {
    "MAE": "mae", "nMAE": "nmae", "sMAE": "smae", "MSE": "mse", "nMSE": "nmse", "sMSE": "smse", "RMSE": "rmse",
    "nRMSE": "nrmse", "sRMSE": "srmse", "correlation": "correlation",
    "H1_MSE": "h1_mse", "H1_nRMSE": "h1_nrmse", "H1_RMSE": "h1_rmse",
}  # fmt: skip
BANDED = [(name, band) for name in ("RMSE", "nRMSE", "MSE") for band in ((0, 4, 0), (5, 9, 0), (0, 5, 1))]


@pytest.fixture(params=[0, 1, 2], ids=["1d", "2d", "3d"])
def case(request, golden, arrays):
    row = golden["apebench"][request.param]
    return [arrays[f"ape_{row['case']}_{which}"] for which in ("pred", "true")], row["metrics"]


@pytest.mark.parametrize("name", PLAIN)
def test_equals_the_benchmarks_own_code(case, name):
    fields, expected = case
    value = getattr(apebench, PLAIN[name])(*fields).mean(0)
    assert value.tolist() == pytest.approx(expected[f"mean_{name}"], rel=1e-9)


@pytest.mark.parametrize(("name", "band"), BANDED)
def test_bands_equal_the_benchmarks_own_code(case, name, band):
    fields, expected = case
    low, high, derivative = band
    metric = getattr(apebench, f"fourier_{name.lower()}")
    value = metric(*fields, Band(low, high, derivative=derivative)).mean(0)
    reference = expected[f"mean_fourier_{name};{low};{high};{derivative}"]
    assert value.tolist() == pytest.approx(reference, rel=1e-9, nan_ok=True)


def test_geometric_mean_equals_the_benchmarks_own_code(case):
    fields, expected = case
    value = apebench.geometric_mean(apebench.nrmse(*fields).mean(0))
    assert value.item() == pytest.approx(expected["gmean_mean_nRMSE(all T)"], rel=1e-9)


def test_geometric_mean_stops_at_its_last_step():
    assert apebench.geometric_mean(torch.tensor([1.0, 4.0, 99.0]), steps=2).item() == pytest.approx(2.0)


def test_channels_are_summed():
    target = torch.ones(1, 1, 2, 8)
    assert apebench.nrmse(1.1 * target, target).item() == pytest.approx(0.2)


def test_fourier_error_of_the_whole_spectrum_is_the_norm(pair):
    torch.testing.assert_close(apebench.fourier_rmse(*pair), apebench.rmse(*pair))
    torch.testing.assert_close(apebench.fourier_mse(*pair, Band(extent=3.0)), apebench.mse(*pair, extent=3.0))


def test_bands_add_up_to_the_mean_squared_error(pair):
    parts = [apebench.fourier_mse(*pair, band) for band in (Band(0, 1), Band(2, 3), Band(4))]
    torch.testing.assert_close(sum(parts), apebench.mse(*pair))


def test_derivative_of_a_wave_is_its_wavenumber():
    x = torch.arange(32, dtype=torch.float64) / 32
    wave = torch.sin(2 * math.pi * 3 * x)[None, None, None]
    value = apebench.fourier_rmse(wave, torch.zeros_like(wave), Band(derivative=1))
    assert value.item() == pytest.approx(2 * math.pi * 3 / math.sqrt(2), rel=1e-12)


def test_relative_errors_are_blind_to_scale_and_symmetric_ones_to_order(pair):
    prediction, target = pair
    for metric in (apebench.nrmse, apebench.srmse, apebench.correlation, apebench.h1_nrmse):
        torch.testing.assert_close(metric(3 * prediction, 3 * target), metric(prediction, target))
    torch.testing.assert_close(apebench.srmse(target, prediction), apebench.srmse(prediction, target))


def test_gradient_of_a_perfect_prediction_is_zero(pair):
    exact = pair[1].clone().requires_grad_()
    apebench.h1_rmse(exact, pair[1]).sum().backward()
    assert torch.equal(exact.grad, torch.zeros_like(exact))
