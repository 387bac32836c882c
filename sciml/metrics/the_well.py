"""The metrics of The Well, for each sample, time step and channel, and its averages over windows of time.

R. Ohana et al., The Well: a Large-Scale Collection of Diverse Physics Simulations for Machine Learning, NeurIPS
Datasets and Benchmarks 2024. e = prediction - target; means are over space; EPS = 1e-7 keeps the ratios of a constant
target finite.

The published numbers are means over batch, time and channels. Metrics of batches of unequal size join as
``torch.cat([...]).mean()``, not as a mean of means. NaN and infinite predictions give NaN or infinite values where they
occur.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .metric import Metric
from .pair import Trajectories, field_pair, mean_square, root_mean_square, space_axes

EPS = 1e-7
WINDOWS = ((6, 12), (13, 30))
"""The two rollout windows of the published tables, as slices of the predicted steps."""

PerStep = Float[Tensor, "batch time channel"]


@dataclass(frozen=True, slots=True)
class SpectralError:
    """Squared error within each band of wavenumbers; a band without modes holds 0 in both.

    Attributes:
        edges: wavenumbers in radians per grid cell; a band holds edges[i] <= |k| < edges[i + 1].
        mse: sums over the bands to the mean squared error (Parseval).
        nmse: ``mse`` over the target's own mean square in the band, plus EPS.
    """

    edges: Float[Tensor, " edge"]
    mse: Float[Tensor, "batch time channel band"]
    nmse: Float[Tensor, "batch time channel band"]


def mse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Mean squared error."""
    prediction, target = field_pair(prediction, target)
    return mean_square(prediction - target)


def mae(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Mean absolute error."""
    prediction, target = field_pair(prediction, target)
    return (prediction - target).abs().mean(space_axes(target))


def nmae(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Mean absolute error over the target's mean absolute value."""
    prediction, target = field_pair(prediction, target)
    return mae(prediction, target) / (target.abs().mean(space_axes(target)) + EPS)


def nmse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Mean squared error over the target's mean square."""
    prediction, target = field_pair(prediction, target)
    return mean_square(prediction - target) / (mean_square(target) + EPS)


def rmse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Root mean squared error."""
    prediction, target = field_pair(prediction, target)
    return root_mean_square(prediction - target)


def nrmse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Square root of ``nmse``."""
    prediction, target = field_pair(prediction, target)
    return root_mean_square(prediction - target) / (mean_square(target) + EPS).sqrt()


def vmse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Mean squared error over the target's unbiased variance: about 1 for a prediction of the mean."""
    prediction, target = field_pair(prediction, target)
    return mean_square(prediction - target) / (target.var(space_axes(target)) + EPS)


def vrmse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Square root of ``vmse``, the headline metric of the suite."""
    prediction, target = field_pair(prediction, target)
    return root_mean_square(prediction - target) / (target.var(space_axes(target)) + EPS).sqrt()


def l_infinity(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Largest absolute error."""
    prediction, target = field_pair(prediction, target)
    return (prediction - target).abs().amax(space_axes(target))


def pearson_r(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Pearson correlation as published: a biased covariance over unbiased deviations.

    A perfect prediction on S points scores (S - 1) / S, not 1; ``sciml.metrics.rollout.correlation`` scores 1.
    """
    prediction, target = field_pair(prediction, target)
    axes = space_axes(target)
    covariance = ((prediction - prediction.mean(axes, True)) * (target - target.mean(axes, True))).mean(axes)
    return covariance / (prediction.std(axes) * target.std(axes) + EPS)


def histogram_w1(prediction: Trajectories, target: Trajectories) -> Float[Tensor, "batch channel"]:
    """Wasserstein-1 distance of the two distributions of values over space and time.

    Both fields are divided by the target's mean square (not by its root), as published: the value scales as 1 / u.
    """
    prediction, target = field_pair(prediction, target)
    values, reference = prediction.movedim(2, 1).flatten(2), target.movedim(2, 1).flatten(2)
    difference = (values.sort(-1).values - reference.sort(-1).values).abs().mean(-1)
    return difference / (reference.square().mean(-1) + EPS)


def spectral_error(
    prediction: Trajectories, target: Trajectories, *, edges: Float[Tensor, " edge"] | None = None
) -> SpectralError:
    """Squared error by bands of the isotropic wavenumber, for fields on a periodic grid.

    Args:
        edges: increasing wavenumbers in radians per grid cell, whatever the aspect of the cells. The default are the
            three published bands, from 0 over two logarithmically spaced wavenumbers to the corner of the grid's
            spectrum.
    """
    prediction, target = field_pair(prediction, target)
    edges = _default_edges(target) if edges is None else edges.to(target.device, torch.float64)
    band = torch.bucketize(_wavenumbers(target), edges, right=True) - 1
    squared, reference = (_band_power(u, band, len(edges) - 1) for u in (prediction - target, target))
    return SpectralError(edges, squared, squared / (reference + EPS))


def _default_edges(u: Tensor) -> Tensor:
    lowest = 2 * math.pi / max(u.shape[3:])
    highest = math.pi * math.sqrt(u.ndim - 3) + 1e-6
    edges = torch.logspace(math.log10(lowest), math.log10(highest), 4, dtype=torch.float64, device=u.device)
    edges[0] = 0.0
    return edges


def _wavenumbers(u: Tensor) -> Float[Tensor, " mode"]:
    axes = [2 * math.pi * torch.fft.fftfreq(n, dtype=torch.float64, device=u.device) for n in u.shape[3:]]
    return torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(0).sqrt().flatten()


def _band_power(u: Trajectories, band: Tensor, bands: int) -> Float[Tensor, "batch time channel band"]:
    inside = (band >= 0) & (band < bands)
    power = torch.fft.fftn(u, dim=space_axes(u), norm="forward").abs().square().flatten(3)[..., inside]
    return power.new_zeros(*power.shape[:3], bands).index_add(-1, band[inside], power)


def window_mean(errors: PerStep, start: int, stop: int) -> Float[Tensor, ""]:
    """Mean over samples, channels and the steps ``start:stop``; NaN where the rollout has no such step."""
    return errors[:, start:stop].mean()


def window_edges(steps: int) -> list[int]:
    """Edges of the suite's four logarithmic windows of a rollout: 100 steps give 0, 1, 3, 10, 31, 100.

    The original rounds the last edge down as well, which loses the last step of some rollouts (59 for 60 steps); not
    here.

    Raises:
        ValueError: fewer than one step.
    """
    if steps < 1:
        raise ValueError(f"Expected steps >= 1, got {steps}.")
    return [0] + [int(math.exp(math.log(steps) * part / 4)) for part in range(4)] + [steps]


def _mean_of(metric: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda prediction, target: metric(prediction, target).mean()


METRICS = {
    "the_well/MSE": Metric("MSE", "mean_x e^2", _mean_of(mse), "u^2"),
    "the_well/MAE": Metric("MAE", "mean_x |e|", _mean_of(mae), "u"),
    "the_well/NMAE": Metric("NMAE", "mean_x |e| / (mean_x |y| + 1e-7)", _mean_of(nmae)),
    "the_well/NMSE": Metric("NMSE", "mean_x e^2 / (mean_x y^2 + 1e-7)", _mean_of(nmse)),
    "the_well/RMSE": Metric("RMSE", "sqrt(mean_x e^2)", _mean_of(rmse), "u"),
    "the_well/NRMSE": Metric("NRMSE", "sqrt(mean_x e^2 / (mean_x y^2 + 1e-7))", _mean_of(nrmse)),
    "the_well/VMSE": Metric("VMSE", "mean_x e^2 / (var_x y + 1e-7)", _mean_of(vmse)),
    "the_well/VRMSE": Metric("VRMSE", "sqrt(mean_x e^2 / (var_x y + 1e-7))", _mean_of(vrmse)),
    "the_well/LInfinity": Metric("LInfinity", "max_x |e|", _mean_of(l_infinity), "u"),
    "the_well/PearsonR": Metric(
        "PearsonR", "biased cov_x(p, y) / (unbiased std_x p std_x y + 1e-7)", _mean_of(pearson_r), lower_is_better=False
    ),
    "the_well/HistogramW1": Metric(
        "HistogramW1", "mean |sort p - sort y| / (mean y^2 + 1e-7) over space and time", _mean_of(histogram_w1), "1/u"
    ),
}
