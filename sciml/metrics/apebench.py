"""The metrics of APEBench, for each sample and time step, and its aggregate over a rollout.

F. Koehler, S. Niedermayr, R. Westermann, N. Thuerey, APEBench: A Benchmark for Autoregressive Neural Emulators of PDEs,
NeurIPS Datasets and Benchmarks 2024. Norms are those of the function space, sum_x |u|^p (L / N)^d, and **channels are
summed, not averaged**, also in the relative errors: two channels of 10% score 20%.

The suite takes means over samples, then aggregates over time: ``geometric_mean(nrmse(p, y).mean(0))``. Batches of
unequal size join as ``torch.cat([...]).mean(0)``. NaN and infinite predictions give NaN or infinite values at their
sample and step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from .metric import Metric
from .pair import Trajectories, field_pair, space_axes, space_size

PerStep = Float[Tensor, "batch time"]
_PerChannel = Float[Tensor, "batch time channel"]
_Norm = Callable[[Tensor], Tensor]

ROUND_OFF = 1e-5
"""Fourier coefficients below it count as zero: an empty band is 0 / 0 = NaN, not a ratio of rounding errors."""


@dataclass(frozen=True, slots=True)
class Band:
    """Which part of the spectrum a Fourier error sees.

    Attributes:
        low, high: modes with max_i |k_i| in low..high, both included; ``high=None`` keeps all above.
        derivative: order of the spatial derivative that is compared; in 2D and 3D the axes' norms are summed.
        extent: length of the cubic domain, in the unit of the coordinates.
    """

    low: int = 0
    high: int | None = None
    derivative: int = 0
    extent: float = 1.0


WHOLE = Band()


def mae(prediction: Trajectories, target: Trajectories, *, extent: float = 1.0) -> PerStep:
    """Integral of |e|, summed over channels."""
    return _absolute(prediction, target, _lebesgue(1, 1.0, extent))


def nmae(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Integral of |e| over integral of |y|, summed over channels."""
    return _normalized(prediction, target, _lebesgue(1, 1.0))


def smae(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Twice the integral of |e| over that of |p| plus that of |y|, summed over channels; at most 2 a channel."""
    return _symmetric(prediction, target, _lebesgue(1, 1.0))


def mse(prediction: Trajectories, target: Trajectories, *, extent: float = 1.0) -> PerStep:
    """Squared L2 norm of the error, summed over channels."""
    return _absolute(prediction, target, _lebesgue(2, 2.0, extent))


def nmse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """||e||^2 / ||y||^2, summed over channels."""
    return _normalized(prediction, target, _lebesgue(2, 2.0))


def smse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """2 ||e||^2 / (||p||^2 + ||y||^2), summed over channels."""
    return _symmetric(prediction, target, _lebesgue(2, 2.0))


def rmse(prediction: Trajectories, target: Trajectories, *, extent: float = 1.0) -> PerStep:
    """L2 norm of the error, summed over channels."""
    return _absolute(prediction, target, _lebesgue(2, 1.0, extent))


def nrmse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """||e|| / ||y||, summed over channels: the suite's headline metric."""
    return _normalized(prediction, target, _lebesgue(2, 1.0))


def srmse(prediction: Trajectories, target: Trajectories) -> PerStep:
    """2 ||e|| / (||p|| + ||y||), summed over channels; at most 2 a channel."""
    return _symmetric(prediction, target, _lebesgue(2, 1.0))


def fourier_mse(prediction: Trajectories, target: Trajectories, band: Band = WHOLE) -> PerStep:
    """Squared L2 norm of the error within a band of modes, or of its derivative; 0 in a band without modes."""
    return _absolute(prediction, target, _fourier(band, 2.0))


def fourier_rmse(prediction: Trajectories, target: Trajectories, band: Band = WHOLE) -> PerStep:
    """L2 norm of the error within a band of modes, or of its derivative; 0 in a band without modes."""
    return _absolute(prediction, target, _fourier(band, 1.0))


def fourier_nrmse(prediction: Trajectories, target: Trajectories, band: Band = WHOLE) -> PerStep:
    """||e|| / ||y|| within a band of modes; NaN in a band without modes, as in the original."""
    return _normalized(prediction, target, _fourier(band, 1.0))


def h1_mse(prediction: Trajectories, target: Trajectories, *, extent: float = 1.0) -> PerStep:
    """``fourier_mse`` of the field plus that of its gradient."""
    return _with_gradient(fourier_mse, prediction, target, extent)


def h1_rmse(prediction: Trajectories, target: Trajectories, *, extent: float = 1.0) -> PerStep:
    """``fourier_rmse`` of the field plus that of its gradient."""
    return _with_gradient(fourier_rmse, prediction, target, extent)


def h1_nrmse(prediction: Trajectories, target: Trajectories, *, extent: float = 1.0) -> PerStep:
    """``fourier_nrmse`` of the field plus that of its gradient."""
    return _with_gradient(fourier_nrmse, prediction, target, extent)


def correlation(prediction: Trajectories, target: Trajectories) -> PerStep:
    """Cosine of the angle between prediction and target (means are not removed), averaged over channels."""
    prediction, target = field_pair(prediction, target)
    first, second = (
        u.flatten(3) / torch.linalg.vector_norm(u.flatten(3), dim=-1, keepdim=True) for u in (prediction, target)
    )
    return (first * second).sum(-1).mean(-1)


def geometric_mean(per_step: Float[Tensor, " time"], *, steps: int = 100) -> Float[Tensor, ""]:
    """Geometric mean over the first ``steps`` steps (or all there are): the suite's one number for a rollout."""
    return per_step[:steps].log().mean().exp()


def _absolute(prediction: Tensor, target: Tensor, norm: _Norm) -> Tensor:
    prediction, target = field_pair(prediction, target)
    return norm(prediction - target).sum(-1)


def _normalized(prediction: Tensor, target: Tensor, norm: _Norm) -> Tensor:
    prediction, target = field_pair(prediction, target)
    return (norm(prediction - target) / norm(target)).sum(-1)


def _symmetric(prediction: Tensor, target: Tensor, norm: _Norm) -> Tensor:
    prediction, target = field_pair(prediction, target)
    return (2 * norm(prediction - target) / (norm(prediction) + norm(target))).sum(-1)


def _lebesgue(order: int, power: float, extent: float = 1.0) -> _Norm:
    def norm(u: Trajectories) -> _PerChannel:
        weight = extent ** (u.ndim - 3) / space_size(u)
        return (torch.linalg.vector_norm(u, ord=order, dim=space_axes(u)) * weight ** (1 / order)) ** power

    return norm


def _fourier(band: Band, power: float) -> _Norm:
    def norm(u: Trajectories) -> _PerChannel:
        modes = torch.fft.fftn(u, dim=space_axes(u))
        modes = torch.where(modes.abs() < ROUND_OFF, 0, modes)
        numbers = _mode_numbers(u)
        modes = modes * _inside(numbers, band)
        # Parseval: sum_x |u|^2 = sum_k |u_k|^2 / N.
        scale = math.sqrt(band.extent ** (u.ndim - 3)) / space_size(u)
        factors = (
            [(2 * math.pi / band.extent * k.abs()) ** band.derivative for k in numbers] if band.derivative else [1.0]
        )
        return sum((scale * _magnitude(modes * factor)) ** power for factor in factors)  # type: ignore[return-value]

    return norm


def _magnitude(modes: Tensor) -> Tensor:
    return torch.linalg.vector_norm(torch.view_as_real(modes).flatten(3), dim=-1)


def _mode_numbers(u: Tensor) -> tuple[Tensor, ...]:
    axes = [torch.fft.fftfreq(n, 1 / n, dtype=u.dtype, device=u.device) for n in u.shape[3:]]
    return torch.meshgrid(*axes, indexing="ij")


def _inside(numbers: tuple[Tensor, ...], band: Band) -> Tensor:
    largest = torch.stack(numbers).abs().amax(0)
    return (largest >= band.low) & (largest <= (math.inf if band.high is None else band.high))


def _with_gradient(metric: Callable[..., Tensor], prediction: Tensor, target: Tensor, extent: float) -> Tensor:
    field = Band(extent=extent)
    return metric(prediction, target, field) + metric(prediction, target, replace(field, derivative=1))


def _over_steps(metric: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda prediction, target: metric(prediction, target).mean()


def _aggregate(prediction: Tensor, target: Tensor) -> Tensor:
    return geometric_mean(nrmse(prediction, target).mean(0))


METRICS = {
    "apebench/gmean nRMSE": Metric(
        "gmean nRMSE", "geometric mean over steps 1..100 of mean_b sum_c ||e|| / ||y||", _aggregate
    ),
    "apebench/nRMSE": Metric("nRMSE", "mean_bt sum_c ||e|| / ||y||", _over_steps(nrmse)),
    "apebench/sRMSE": Metric("sRMSE", "mean_bt sum_c 2 ||e|| / (||p|| + ||y||)", _over_steps(srmse)),
    "apebench/RMSE": Metric("RMSE", "mean_bt sum_c sqrt(mean_x e^2), unit domain", _over_steps(rmse), "u"),
    "apebench/MSE": Metric("MSE", "mean_bt sum_c mean_x e^2, unit domain", _over_steps(mse), "u^2"),
    "apebench/H1_nRMSE": Metric(
        "H1_nRMSE", "nRMSE + nRMSE of the gradient, axes and channels summed", _over_steps(h1_nrmse)
    ),
    "apebench/correlation": Metric(
        "correlation", "mean_btc <p, y> / (||p|| ||y||)", _over_steps(correlation), lower_is_better=False
    ),
}
