"""The six scores of PDEBench, exact over any batching.

M. Takamoto et al., PDEBench: An Extensive Benchmark for Scientific Machine Learning, NeurIPS Datasets and Benchmarks
2022. The formulas follow the published evaluation code where it differs from the paper (bands of the Fourier error).

Score the predicted frames only: ``rmse(prediction[:, initial_step:], target[:, initial_step:])``.

Not copied: the published code divides its sum over batches by the last batch index, so that its tables carry a factor
nb / (nb - 1) for nb batches (infinite for one). Here ``totals`` of batches add up, and ``scores`` of the sum are those
of one large batch, whatever the sizes of the batches.

NaN and infinite predictions give NaN or infinite scores. A band without modes (mid below 10 points an axis, high below
24) scores NaN, as in the original.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .metric import Metric
from .pair import Trajectories, field_pair, root_mean_square, space_axes, space_size

_PerSample = Float[Tensor, "batch time channel"]
_Total = Float[Tensor, "time channel"]


@dataclass(frozen=True, slots=True)
class PDEBenchScores:
    """Scalars, in the unit of the field but for ``nrmse``; ``frmse`` is (3,): low, mid and high wavenumbers."""

    rmse: Float[Tensor, ""]
    nrmse: Float[Tensor, ""]
    crmse: Float[Tensor, ""]
    maximum: Float[Tensor, ""]
    brmse: Float[Tensor, ""]
    frmse: Float[Tensor, "3"]


@dataclass(frozen=True, slots=True)
class PDEBenchTotals:
    """Sums over samples (a maximum for ``maximum``) that the scores follow from; ``+`` joins two batches.

    Attributes:
        samples: how many samples were added.
        rmse, nrmse: sums of the samples' values.
        imbalance: sum of squared errors of the spatial mean.
        maximum: largest absolute error.
        boundary: sum of the samples' root mean square errors on the boundary; one channel in 3D, where channels are
        merged. power: sums of squared Fourier errors in radial bins.
    """

    samples: int
    rmse: _Total
    nrmse: _Total
    imbalance: _Total
    maximum: _Total
    boundary: Float[Tensor, "time scored"]
    power: Float[Tensor, "time channel bin"]

    def __add__(self, other: PDEBenchTotals) -> PDEBenchTotals:
        return PDEBenchTotals(
            samples=self.samples + other.samples,
            rmse=self.rmse + other.rmse,
            nrmse=self.nrmse + other.nrmse,
            imbalance=self.imbalance + other.imbalance,
            maximum=torch.maximum(self.maximum, other.maximum),
            boundary=self.boundary + other.boundary,
            power=self.power + other.power,
        )

    def scores(self, *, bands: tuple[int, int] = (4, 12)) -> PDEBenchScores:
        """Means over samples, then over time and channels.

        Args:
            bands: first bin of the mid and of the high wavenumbers.
        """
        low, high = bands
        spectrum = (self.power / self.samples).sqrt()
        parts = (spectrum[..., :low], spectrum[..., low:high], spectrum[..., high:])
        return PDEBenchScores(
            rmse=(self.rmse / self.samples).mean(),
            nrmse=(self.nrmse / self.samples).mean(),
            crmse=(self.imbalance / self.samples).sqrt().mean(),
            maximum=self.maximum.mean(),
            brmse=(self.boundary / self.samples).mean(),
            frmse=torch.stack([part.mean() for part in parts]),
        )


def totals(prediction: Trajectories, target: Trajectories, *, extents: Sequence[float] | None = None) -> PDEBenchTotals:
    """Sums of one batch; add those of all batches, then ask for ``scores()``.

    Args:
        prediction, target: trajectories in the field's unit, on a uniform grid.
        extents: length of the domain along each spatial axis (1 each); they scale the Fourier error alone.

    Raises:
        ValueError: shapes that differ or are not trajectories, or as many extents as axes are not given.
    """
    prediction, target = field_pair(prediction, target)
    error, axes = prediction - target, space_axes(target)
    magnitude = root_mean_square(error)
    return PDEBenchTotals(
        samples=len(target),
        rmse=magnitude.sum(0),
        nrmse=(magnitude / root_mean_square(target)).sum(0),
        imbalance=error.mean(axes).square().sum(0),
        maximum=error.abs().amax((0, *axes)),
        boundary=_boundary_rms(error).sum(0),
        power=_binned_power(error, _volume(error, extents)).sum(0),
    )


def scores(
    prediction: Trajectories,
    target: Trajectories,
    *,
    extents: Sequence[float] | None = None,
    bands: tuple[int, int] = (4, 12),
) -> PDEBenchScores:
    """All scores of one batch: ``totals(...).scores()``."""
    return totals(prediction, target, extents=extents).scores(bands=bands)


def rmse(prediction: Trajectories, target: Trajectories) -> Float[Tensor, ""]:
    """Mean over samples, time and channels of sqrt(mean over space of the squared error)."""
    prediction, target = field_pair(prediction, target)
    return root_mean_square(prediction - target).mean()


def nrmse(prediction: Trajectories, target: Trajectories) -> Float[Tensor, ""]:
    """Mean over samples, time, channels of ||error|| / ||target||, norms over space; inf or NaN at a zero target."""
    prediction, target = field_pair(prediction, target)
    return (root_mean_square(prediction - target) / root_mean_square(target)).mean()


def crmse(prediction: Trajectories, target: Trajectories) -> Float[Tensor, ""]:
    """Root mean square over samples of the error of the spatial mean; mean over time and channels."""
    prediction, target = field_pair(prediction, target)
    mean_error = (prediction - target).mean(space_axes(target))
    return (torch.linalg.vector_norm(mean_error, dim=0) / math.sqrt(len(target))).mean()


def maximum(prediction: Trajectories, target: Trajectories) -> Float[Tensor, ""]:
    """Largest absolute error over samples and space, mean over time and channels."""
    prediction, target = field_pair(prediction, target)
    return (prediction - target).abs().amax((0, *space_axes(target))).mean()


def brmse(prediction: Trajectories, target: Trajectories) -> Float[Tensor, ""]:
    """Root mean square error over the boundary, mean over samples, time and channels.

    Points on several faces count once for each. In 3D the channels' squares are summed under one root, as published.
    """
    prediction, target = field_pair(prediction, target)
    return _boundary_rms(prediction - target).mean()


def frmse(
    prediction: Trajectories,
    target: Trajectories,
    *,
    extents: Sequence[float] | None = None,
    bands: tuple[int, int] = (4, 12),
) -> Float[Tensor, "3"]:
    """Fourier error in three bands: mean over a band's bins of sqrt(mean over samples |E_k|^2) / N * volume.

    In 1D a bin is a mode. In 2D and 3D it sums the modes of the first quadrant (octant) alone with floor(|k|) equal to
    it, for |k| below half of the smallest axis, as published.
    """
    return scores(prediction, target, extents=extents, bands=bands).frmse


def _boundary_rms(error: Trajectories) -> Float[Tensor, "batch time scored"]:
    faces = [
        error.select(axis, side).flatten(3) if error.ndim > 4 else error.select(axis, side)[..., None]
        for axis in space_axes(error)
        for side in (0, -1)
    ]
    boundary = torch.cat(faces, dim=-1)
    count = boundary.shape[-1]
    if error.ndim == 6:
        boundary = boundary.flatten(2)[:, :, None]
    return torch.linalg.vector_norm(boundary, dim=-1) / math.sqrt(count)


def _binned_power(error: Trajectories, volume: float) -> Float[Tensor, "batch time channel bin"]:
    scale = volume / space_size(error)
    if error.ndim == 4:
        return (torch.fft.rfft(error) * scale).abs().square()
    halves = [n // 2 for n in error.shape[3:]]
    modes = torch.fft.fftn(error, dim=space_axes(error))
    for axis, half in zip(space_axes(error), halves):
        modes = modes.narrow(axis, 0, half)
    numbers = torch.meshgrid(*(torch.arange(half, dtype=torch.float64) for half in halves), indexing="ij")
    bins = torch.stack(numbers).square().sum(0).sqrt().floor().long().flatten().to(error.device)
    kept = bins < min(halves)
    power = (modes * scale).abs().square().flatten(3)[..., kept]
    return power.new_zeros(*power.shape[:3], min(halves)).index_add(-1, bins[kept], power)


def _volume(u: Tensor, extents: Sequence[float] | None) -> float:
    if extents is not None and len(extents) != u.ndim - 3:
        raise ValueError(
            f"Expected {u.ndim - 3} extents, one for each spatial axis, got {len(extents)}: {tuple(extents)}."
        )
    return math.prod(extents or (1.0,))


def _band(number: int) -> Metric:
    name, bins = (("low", "0..3"), ("mid", "4..11"), ("high", "12.."))[number]
    return Metric(
        f"fRMSE {name}",
        f"mean over Fourier bins {bins} of sqrt(mean_b |E_k|^2) / N, then over time and channels",
        lambda prediction, target: frmse(prediction, target)[number],
        "u",
    )


METRICS = {
    "pdebench/RMSE": Metric("RMSE", "mean_btc sqrt(mean_x e^2)", rmse, "u"),
    "pdebench/nRMSE": Metric("nRMSE", "mean_btc sqrt(mean_x e^2) / sqrt(mean_x y^2)", nrmse),
    "pdebench/cRMSE": Metric("cRMSE", "mean_tc sqrt(mean_b (mean_x e)^2)", crmse, "u"),
    "pdebench/Max": Metric("Max", "mean_tc max_bx |e|", maximum, "u"),
    "pdebench/bRMSE": Metric("bRMSE", "mean_btc sqrt(mean over boundary points of e^2)", brmse, "u"),
    "pdebench/fRMSE low": _band(0),
    "pdebench/fRMSE mid": _band(1),
    "pdebench/fRMSE high": _band(2),
}
