"""How well an operator does on test trajectories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from sciml.datasets.windows import Trajectories
from sciml.metrics import METRICS
from sciml.metrics.rollout import correlation, correlation_time, nrmse
from sciml.metrics.spectra import energy_spectrum
from sciml.operators.physical import take
from sciml.solvers.controller import FixedStep
from sciml.solvers.solve import solve

# Suites that score fields on a grid; LagrangeBench's score particles.
_GRID_METRICS = {name: metric for name, metric in METRICS.items() if not name.startswith(("lagrangebench/", "giorom/"))}
_SHOWN_FRAMES = 5


@dataclass(frozen=True)
class Evaluation:
    """Scores of rollouts, and what the report draws.

    Attributes:
        metrics: label -> value, over dynamic channels and all steps after the initial state.
        ts: (time,), of the rollout without its initial state.
        error_over_time: nRMSE after each step, (time,), mean over trajectories and channels.
        sample_ts, truth, prediction: frames of the first test trajectory, spread over the rollout.
        wavenumber, truth_spectrum, prediction_spectrum: of the last frame, (channel, shell); empty off periodic grids.
    """

    metrics: Mapping[str, float]
    ts: Tensor
    error_over_time: Tensor
    sample_ts: Tensor
    truth: Tensor
    prediction: Tensor
    wavenumber: Tensor
    truth_spectrum: Tensor
    prediction_spectrum: Tensor

    def save(self, path: Path) -> None:
        """Write the tensors; the metrics go into the row."""
        save_file({name: value.contiguous() for name, value in vars(self).items() if isinstance(value, Tensor)}, path)

    @classmethod
    def load(cls, path: Path) -> Evaluation:
        """Read the tensors back, without metrics."""
        return cls(metrics={}, **load_file(path))


@torch.no_grad()
def evaluate(operator: nn.Module, test: Trajectories, *, batch_size: int = 8) -> Evaluation:
    """Roll an operator out from the initial state of every test trajectory and score it.

    Args:
        operator: a stepper in physical units, on its device.
        test: whole trajectories of one length.
        batch_size: trajectories rolled out at once.

    Raises:
        ValueError: the trajectories differ in length, or have fewer than two frames.
    """
    _check_lengths(test)
    device = next((tensor.device for tensor in operator.state_dict().values()), torch.device("cpu"))
    dynamic = [k for k, channel in enumerate(test.channels) if not channel.static]
    operator.eval()
    predictions, targets, one_step = [], [], []
    for first in range(0, len(test), batch_size):
        windows = test.__getitems__(range(first, min(first + batch_size, len(test))))
        t, u = (torch.stack(parts).to(device) for parts in zip(*windows))
        gap = (t[:, 1:] - t[:, :-1]).amax(dim=1)
        rollout = solve(operator, u[:, 0], t, FixedStep(gap), throw=False).ys
        predictions.append(take(rollout[:, 1:], dynamic, dim=2).cpu())
        targets.append(take(u[:, 1:], dynamic, dim=2).cpu())
        one_step.append(_one_step_nrmse(operator, t, u, dynamic).cpu())
    prediction, target = torch.cat(predictions), torch.cat(targets)
    metrics = {name: float(metric.function(prediction, target)) for name, metric in _GRID_METRICS.items()}
    ts = test[0].t[1:]
    metrics["one-step nRMSE"] = float(torch.cat(one_step).mean())
    correlations = correlation(prediction, target)
    metrics["correlation time (0.8)"] = float(correlation_time(correlations, ts).median())
    return Evaluation(
        metrics=metrics,
        ts=ts,
        error_over_time=nrmse(prediction, target).mean(dim=0),
        **_sample(test, prediction[0], target[0], dynamic),
        **_spectra(test, prediction, target),
    )


def _one_step_nrmse(operator: nn.Module, t: Tensor, u: Tensor, dynamic: list[int]) -> Tensor:
    """From each true frame to the next, (batch, time)."""
    steps = [operator(t[:, k], t[:, k + 1] - t[:, k], u[:, k]).y for k in range(t.shape[1] - 1)]
    return nrmse(take(torch.stack(steps, dim=1), dynamic, dim=2), take(u[:, 1:], dynamic, dim=2))


def _sample(test: Trajectories, prediction: Tensor, target: Tensor, dynamic: list[int]) -> dict[str, Tensor]:
    """Frames to draw, the initial state among them."""
    t, u = test[0]
    shown = sorted({round(float(k)) for k in np.linspace(0, len(t) - 1, min(len(t), _SHOWN_FRAMES))})
    start = u[:1, dynamic].to(target.dtype)
    return {
        "sample_ts": t[shown],
        "truth": torch.cat([start, target])[shown],
        "prediction": torch.cat([start, prediction])[shown],
    }


def _spectra(test: Trajectories, prediction: Tensor, target: Tensor) -> dict[str, Tensor]:
    """Energy spectra of the last frame, averaged over trajectories; empty where an axis is not periodic."""
    names = ("wavenumber", "truth_spectrum", "prediction_spectrum")
    if not all(axis.boundary == "periodic" for axis in test.axes):
        return dict.fromkeys(names, torch.zeros(0))
    extents = [axis.spacing * len(axis.coordinates) for axis in test.axes]
    spectra = [energy_spectrum(u[:, -1:], extents=extents) for u in (target, prediction)]
    resolved = spectra[0].resolved + 1
    energies = [spectrum.energy.mean(dim=(0, 1))[:, :resolved] for spectrum in spectra]
    return dict(zip(names, (spectra[0].wavenumber[:resolved], *energies)))


def _check_lengths(test: Trajectories) -> None:
    lengths = {len(test[k].t) for k in (0, len(test) - 1)}
    if len(lengths) > 1 or min(lengths) < 2:
        raise ValueError(f"Expected test trajectories of one length, at least 2 frames, got lengths {sorted(lengths)}.")
