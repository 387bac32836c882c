"""Errors against the time of a rollout, and how long a prediction stays good.

Times are in the unit of ``ts``. A prediction that never leaves its tolerance scores ``inf``: take a median over
samples, and say how long the rollouts were. A NaN or infinite prediction counts as having left it, at the last time it
was good.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from .metric import Metric
from .pair import Trajectories, field_pair, root_mean_square, space_axes

PerStep = Float[Tensor, "batch time"]
Times = Float[Tensor, " time"] | Float[Tensor, "batch time"]


def nrmse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """||e|| / ||y|| at each time, norms over space, mean over channels."""
    prediction, target = field_pair(prediction, target)
    return (root_mean_square(prediction - target) / root_mean_square(target)).mean(-1)


def correlation(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Pearson correlation over space at each time, mean over channels; 1 for a perfect prediction.

    NaN where prediction or target is constant in space.
    """
    prediction, target = field_pair(prediction, target)
    axes = space_axes(target)
    first, second = ((u - u.mean(axes, keepdim=True)).flatten(3) for u in (prediction, target))
    norms = torch.linalg.vector_norm(first, dim=-1) * torch.linalg.vector_norm(second, dim=-1)
    return ((first * second).sum(-1) / norms).mean(-1)


def correlation_time(correlation: PerStep, ts: Times, *, threshold: float = 0.8) -> Float[Tensor, " batch"]:
    """First time the correlation falls below ``threshold`` (usually 0.8 or 0.9), linearly interpolated; inf if never.

    G. Kohl, L. Chen, N. Thuerey, Benchmarking Autoregressive Conditional Diffusion Models for Turbulent Flow
    Simulation, 2023, and P. Lippe et al., PDE-Refiner, NeurIPS 2023 (high-correlation time).

    Args:
        correlation: as ``correlation`` returns it.
        ts: increasing times of the frames.

    Raises:
        ValueError: ``ts`` does not fit the frames.
    """
    return _first_crossing(correlation - threshold, ts)


def valid_prediction_time(error: PerStep, ts: Times, *, threshold: float = 0.5) -> Float[Tensor, " batch"]:
    """First time the error rises above ``threshold``, as ``correlation_time`` finds it; inf if never.

    P. R. Vlachas et al., Backpropagation algorithms and reservoir computing in recurrent neural networks for the
    forecasting of complex spatiotemporal dynamics, Neural Networks 2020; divide by the Lyapunov time for their unit.
    """
    return _first_crossing(threshold - error, ts)


def _first_crossing(margin: PerStep, ts: Tensor) -> Float[Tensor, " batch"]:
    """Where a margin, good at >= 0, is first negative."""
    if ts.shape not in (margin.shape, margin.shape[1:]):
        raise ValueError(
            f"Expected ts of shape (time,) or (batch, time) for {tuple(margin.shape)} frames, got {tuple(ts.shape)}. "
            "Score the frames that ts names: prediction[:, -len(ts):]."
        )
    ts = ts.to(margin.device).expand(margin.shape)
    lost: Bool[Tensor, "batch time"] = ~(margin >= 0)
    after = lost.to(torch.uint8).argmax(1, keepdim=True)
    before = (after - 1).clamp(min=0)
    good, bad = margin.gather(1, before), margin.gather(1, after)
    # A blown-up frame (NaN, infinite) has no slope to follow: the last good time is all that is known.
    part = torch.where(bad.isfinite() & (after > 0), good / (good - bad), 0)
    start, stop = ts.gather(1, before), ts.gather(1, after)
    crossing = start + part * (stop - start)
    return torch.where(lost.any(1, keepdim=True), crossing, torch.inf)[:, 0]


def _mean_nrmse(prediction: Tensor, target: Tensor) -> Tensor:
    return nrmse(prediction, target).mean()


def _mean_correlation(prediction: Tensor, target: Tensor) -> Tensor:
    return correlation(prediction, target).mean()


METRICS = {
    "rollout/nRMSE": Metric("nRMSE", "mean_btc ||e|| / ||y||", _mean_nrmse),
    "rollout/correlation": Metric(
        "correlation", "mean_btc Pearson correlation over space", _mean_correlation, lower_is_better=False
    ),
}
