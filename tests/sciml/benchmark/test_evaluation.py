"""Scores of operators whose error is known."""

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sciml.benchmark.evaluation import Evaluation, evaluate
from sciml.datasets import Axis, Channel, Trajectories
from sciml.operators import Persistence
from sciml.solvers import Step

POINTS, FRAMES, SPEED = 32, 7, 0.4


class Shift(nn.Module):
    """The exact flow of u_t + c u_x = 0 on the unit circle, off by a factor."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, t: Tensor, dt: Tensor, u: Tensor) -> Step:
        k = torch.arange(POINTS // 2 + 1, dtype=u.dtype)
        turn = torch.exp(-2j * math.pi * k * SPEED * dt[:, None, None].to(u.dtype))
        return Step(self.factor * torch.fft.irfft(torch.fft.rfft(u) * turn, n=POINTS))


@pytest.fixture(scope="module")
def test_data() -> Trajectories:
    x, t = np.arange(POINTS) / POINTS, np.array([0.0, 0.1, 0.2, 0.4, 0.5, 0.6, 0.7])  # one gap is twice as long
    phase = np.arange(3)[:, None, None]
    u = np.sin(2 * np.pi * (x - SPEED * t[:, None]) + phase)[:, :, None]
    axes = [Axis("x", x, boundary="periodic")]
    return Trajectories.from_arrays(u, t, channels=[Channel("u")], axes=axes)


def test_the_exact_flow_has_no_error_on_uneven_times(test_data: Trajectories) -> None:
    found = evaluate(Shift(), test_data, batch_size=2)
    for name in ("rollout/nRMSE", "one-step nRMSE", "pdebench/RMSE", "the_well/VRMSE", "spectra/error"):
        assert found.metrics[name] < 1e-7, name
    assert found.metrics["correlation time (0.8)"] == math.inf
    torch.testing.assert_close(found.prediction, found.truth, atol=1e-7, rtol=0)


def test_a_factor_per_step_shows_as_its_power(test_data: Trajectories) -> None:
    found = evaluate(Shift(0.9), test_data)
    steps = torch.arange(1, FRAMES, dtype=torch.float64)
    torch.testing.assert_close(found.error_over_time.double(), 1 - 0.9**steps, atol=1e-6, rtol=0)
    assert found.metrics["one-step nRMSE"] == pytest.approx(0.1, abs=1e-6)
    assert found.metrics["rollout/nRMSE"] == pytest.approx(float((1 - 0.9**steps).mean()), abs=1e-6)
    # All energy is in one shell, so the spectrum is off by 1 - 0.9^(2 steps).
    assert found.metrics["spectra/error"] == pytest.approx(float((1 - 0.9 ** (2 * steps)).mean()), abs=1e-5)


def test_persistence_scores_the_distance_from_the_start(test_data: Trajectories) -> None:
    found = evaluate(Persistence(test_data.channels), test_data)
    angle = 2 * math.pi * SPEED * test_data[0].t[1:]
    torch.testing.assert_close(found.error_over_time.double(), 2 * torch.sin(angle / 2).abs(), atol=1e-5, rtol=0)


def test_a_diverging_operator_is_scored_not_refused(test_data: Trajectories) -> None:
    found = evaluate(Shift(1e30), test_data)
    assert not math.isfinite(found.metrics["rollout/nRMSE"])


def test_what_the_report_draws_survives_its_file(test_data: Trajectories, tmp_path) -> None:
    found = evaluate(Shift(0.9), test_data)
    found.save(tmp_path / "evaluation.safetensors")
    loaded = Evaluation.load(tmp_path / "evaluation.safetensors")
    for name, value in vars(found).items():
        if isinstance(value, Tensor):
            torch.testing.assert_close(getattr(loaded, name), value, rtol=0, atol=0)
