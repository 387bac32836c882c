"""The metrics of LagrangeBench for particle trajectories (batch, time, node, dim), in the coordinates' unit.

A. Toshev, G. Galletti, F. Fritz, S. Adami, N. A. Adams, LagrangeBench: A Lagrangian Fluid Mechanics Benchmarking Suite,
NeurIPS Datasets and Benchmarks 2023. Differences of positions are to the nearest periodic image where ``box`` (dim,)
gives the periods.

Score the predicted frames only, and give particles with a prescribed motion (walls) their true positions, as the suite
does. Values are per sample: batches of unequal size join as ``torch.cat([...])``. NaN and infinite positions give NaN
at their frame.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from .metric import Metric
from .pair import Particles, particle_pair
from .sinkhorn import SinkhornTolerance, minimum_image, sinkhorn_divergence

PerStep = Float[Tensor, "batch time"]
Box = Sequence[float] | Float[Tensor, " dim"]


def mse(prediction: Particles, target: Particles, *, box: Box | None = None) -> PerStep:
    """Squared displacement between prediction and target, mean over particles and axes."""
    return _displacement(prediction, target, box).square().mean((2, 3))


def mae(prediction: Particles, target: Particles, *, box: Box | None = None) -> PerStep:
    """Absolute displacement between prediction and target, mean over particles and axes."""
    return _displacement(prediction, target, box).abs().mean((2, 3))


def mse_n(
    prediction: Particles, target: Particles, steps: int = 20, *, box: Box | None = None
) -> Float[Tensor, " batch"]:
    """Mean of ``mse`` over the first ``steps`` predicted steps; the tables report ``steps=20``.

    Raises:
        ValueError: fewer predicted steps than that.
    """
    if target.shape[1] < steps:
        raise ValueError(f"Expected target with time >= steps = {steps}, got {target.shape[1]} steps. Lower steps.")
    return mse(prediction[:, :steps], target[:, :steps], box=box).mean(1)


def kinetic_energy(
    positions: Particles, *, dt: float, spacing: float, stride: int = 1, box: Box | None = None
) -> Float[Tensor, "batch frame"]:
    """Sum over particles of velocity^2 * spacing^dim, as published: no factor 1/2, unit density.

    Args:
        dt: time between two frames (the suite's ``dt * write_every``).
        spacing: distance of the particles (the suite's ``dx``).
        stride: every so many frames are evaluated; velocities are differences of neighbouring frames.
    """
    later, earlier = positions[:, 1::stride], positions[:, :-1:stride]
    velocity = minimum_image(later - earlier, _periods(positions, box)) / dt
    return velocity.square().sum((2, 3)) * spacing ** positions.shape[-1]


def kinetic_energy_error(
    prediction: Particles,
    target: Particles,
    *,
    dt: float = 1.0,
    spacing: float = 1.0,
    stride: int = 1,
    box: Box | None = None,
) -> Float[Tensor, " batch"]:
    """Mean over frames of the squared difference of the kinetic energies; arguments as for ``kinetic_energy``."""
    prediction, target = particle_pair(prediction, target)
    first, second = (kinetic_energy(x, dt=dt, spacing=spacing, stride=stride, box=box) for x in (prediction, target))
    return (first - second).square().mean(1)


def sinkhorn(
    prediction: Particles,
    target: Particles,
    *,
    stride: int = 1,
    box: Box | None = None,
    tolerance: SinkhornTolerance | None = None,
) -> Float[Tensor, "batch frame"]:
    """Sinkhorn divergence of the two clouds at each ``stride``-th frame; blind to the particles' order, differentiable.

    The entropy's weight is 0.05 of the mean cost, the rule of the optimal transport library the tables were made with
    (ott 0.4; later versions take 0.05 of its standard deviation). Each frame is solved by itself: batching changes
    nothing.
    """
    prediction, target = particle_pair(prediction, target)
    periods = _periods(target, box)
    values = [
        sinkhorn_divergence(x, y, box=periods, tolerance=tolerance)
        for x, y in zip(prediction[:, ::stride].flatten(0, 1), target[:, ::stride].flatten(0, 1))
    ]
    return torch.stack(values).unflatten(0, (len(target), -1))


def _displacement(prediction: Tensor, target: Tensor, box: Box | None) -> Tensor:
    prediction, target = particle_pair(prediction, target)
    return minimum_image(prediction - target, _periods(target, box))


def _periods(positions: Tensor, box: Box | None) -> Tensor | None:
    if box is None:
        return None
    periods = torch.as_tensor(box, dtype=positions.dtype, device=positions.device)
    if periods.shape != positions.shape[-1:] or not bool((periods > 0).all()):
        raise ValueError(
            f"Expected box of {positions.shape[-1]} positive periods, got {box}. Between walls take a period of more "
            "than twice the domain."
        )
    return periods


def _mse20(prediction: Tensor, target: Tensor, *, box: Box | None = None) -> Tensor:
    return mse_n(prediction, target, 20, box=box).mean()


def _energy(
    prediction: Tensor,
    target: Tensor,
    *,
    dt: float = 1.0,
    spacing: float = 1.0,
    stride: int = 1,
    box: Box | None = None,
) -> Tensor:
    return kinetic_energy_error(prediction, target, dt=dt, spacing=spacing, stride=stride, box=box).mean()


def _sinkhorn(prediction: Tensor, target: Tensor, *, stride: int = 1, box: Box | None = None) -> Tensor:
    return sinkhorn(prediction, target, stride=stride, box=box).mean()


METRICS = {
    "lagrangebench/MSE20": Metric(
        "MSE20", "mean over steps 1..20, particles, axes of (minimum image e)^2", _mse20, "x^2"
    ),
    "lagrangebench/MSE_Ekin": Metric(
        "MSE_Ekin", "mean_t (E_p - E_y)^2 with E = sum (displacement / dt)^2 dx^dim", _energy, "x^(4+2dim)/t^4"
    ),
    "lagrangebench/Sinkhorn": Metric(
        "Sinkhorn", "debiased entropic OT, squared periodic distance, epsilon = 0.05 mean cost", _sinkhorn, "x^2"
    ),
}
