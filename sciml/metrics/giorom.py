"""Errors of particle rollouts (batch, time, node, dim) as learned simulators report them, in the coordinates' unit.

A. Sanchez-Gonzalez et al., Learning to Simulate Complex Physics with Graph Networks, ICML 2020, and H. Viswanath et
al., GIOROM, 2024: squared distances are summed over the axes (``lagrangebench.mse`` has their mean: ``dim`` times
less). Score the predicted frames only. Values are per sample; NaN and infinite positions give NaN at their frame.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from .chamfer import chamfer_distance
from .lagrangebench import Box, kinetic_energy, mse
from .metric import Metric
from .pair import Particles, particle_pair

PerFrame = Float[Tensor, "batch frame"]
Frame = Float[Tensor, "batch node dim"]


def one_step_mse(prediction: Frame, target: Frame, *, box: Box | None = None) -> Float[Tensor, " batch"]:
    """Squared distance after one step from true frames, mean over particles.

    Of positions or of accelerations per frame: after the same frames their errors are the same, since x' = 2 x - x_1 +
    a.
    """
    return rollout_mse(prediction[:, None], target[:, None], box=box)


def rollout_mse(
    prediction: Particles, target: Particles, *, box: Box | None = None, given_frames: int = 0
) -> Float[Tensor, " batch"]:
    """Squared distance, mean over frames and particles.

    Args:
        given_frames: so many frames that were given, not predicted, count with error zero. Their published number
            includes 6, and is (time / (time + 6)) times the mean over what was predicted.

    Raises:
        ValueError: shapes that differ, or a negative number of frames.
    """
    if given_frames < 0:
        raise ValueError(f"Expected given_frames >= 0, got {given_frames}.")
    frames = target.shape[1]
    return mse(prediction, target, box=box).mean(1) * (target.shape[-1] * frames / (frames + given_frames))


def displacement_error(prediction: Particles, target: Particles, *, reference: Frame | None = None) -> PerFrame:
    """||prediction - target|| / ||target - reference|| at each frame, norms over particles and axes.

    The published error divides by ||target||, and shrinks as the scene is moved away from the origin; this does not
    depend on where the origin is. NaN where nothing has moved.

    Args:
        reference: positions that movement is counted from, such as the last frame that was given. By default the
            target's first frame; then the frames after it are scored.
    """
    prediction, target = particle_pair(prediction, target)
    if reference is None:
        reference, prediction, target = target[:, 0], prediction[:, 1:], target[:, 1:]
    error, movement = prediction - target, target - reference[:, None]
    first, second = (torch.linalg.vector_norm(part, dim=(2, 3)) for part in (error, movement))
    return first / second


def chamfer(prediction: Particles, target: Particles, *, stride: int = 1, box: Box | None = None) -> PerFrame:
    """``chamfer_distance`` of the two clouds at each ``stride``-th frame; blind to the particles' order."""
    prediction, target = particle_pair(prediction, target)
    values = [
        _chamfer(x[None], y[None], box)
        for x, y in zip(prediction[:, ::stride].flatten(0, 1), target[:, ::stride].flatten(0, 1))
    ]
    return torch.stack(values).unflatten(0, (len(target), -1))


def energy_error(prediction: Particles, target: Particles, *, stride: int = 1, box: Box | None = None) -> PerFrame:
    """|E_p - E_y| / mean_t E_y of the kinetic energies E = sum (displacement)^2 at each frame but the first.

    The time between frames and the mass of a particle cancel. ``lagrangebench.kinetic_energy_error`` is the squared
    difference in their units.
    """
    prediction, target = particle_pair(prediction, target)
    first, second = (kinetic_energy(x, dt=1.0, spacing=1.0, stride=stride, box=box) for x in (prediction, target))
    return (first - second).abs() / second.mean(1, keepdim=True)


def _chamfer(x: Tensor, y: Tensor, box: Box | None) -> Tensor:
    if bool(x.isfinite().all()) and bool(y.isfinite().all()):
        return chamfer_distance(x, y, box=box)[0]
    return x.new_full((), math.nan)


def _rollout_mse(prediction: Tensor, target: Tensor, *, box: Box | None = None, given_frames: int = 0) -> Tensor:
    return rollout_mse(prediction, target, box=box, given_frames=given_frames).mean()


def _displacement(prediction: Tensor, target: Tensor, *, reference: Tensor | None = None) -> Tensor:
    return displacement_error(prediction, target, reference=reference).mean()


def _mean_chamfer(prediction: Tensor, target: Tensor, *, stride: int = 1, box: Box | None = None) -> Tensor:
    return chamfer(prediction, target, stride=stride, box=box).mean()


def _energy(prediction: Tensor, target: Tensor, *, stride: int = 1, box: Box | None = None) -> Tensor:
    return energy_error(prediction, target, stride=stride, box=box).mean()


METRICS = {
    "giorom/rollout_MSE": Metric(
        "rollout_MSE", "mean over frames, particles of sum over axes e^2", _rollout_mse, "x^2"
    ),
    "giorom/relative_L2": Metric("relative_L2", "mean_t ||e|| / ||displacement from the first frame||", _displacement),
    "giorom/Chamfer": Metric("Chamfer", "mean_t (mean_x min_y d^2 + mean_y min_x d^2)", _mean_chamfer, "x^2"),
    "giorom/E_kin": Metric("E_kin", "mean_t |E_p - E_y| / mean_t E_y with E = sum displacement^2", _energy),
}
