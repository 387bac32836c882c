"""The scales of particle motion, kept inside the operator that was trained on it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from sciml.normalization import keep_float32

# An acceleration smaller than this fraction of the velocity is rounding of float32 positions, not motion.
_SMALLEST = 1e-4


@dataclass(frozen=True, eq=False)
class MotionScales:
    """Moments of per-frame motion, pooled over trajectories, frames and particles; in units of length per frame.

    Attributes:
        velocity_mean, velocity_std: of x_t - x_(t-1), (dim,).
        acceleration_mean, acceleration_std: of x_(t+1) - 2 x_t + x_(t-1), (dim,).
        input_mean, input_std: of the constants that are inputs, (input,).
        count: accelerations that were seen.
    """

    velocity_mean: np.ndarray
    velocity_std: np.ndarray
    acceleration_mean: np.ndarray
    acceleration_std: np.ndarray
    input_mean: np.ndarray
    input_std: np.ndarray
    count: int = 0

    @property
    def speed(self) -> float:
        """The spread of velocities over all axes together, the unit of training noise; 1 where nothing moves."""
        return math.sqrt(float(np.mean(self.velocity_std**2))) or 1.0


class MotionNormalization(nn.Module):
    """Mean and spread of velocities, accelerations and inputs, and the time between frames they were taken over.

    It travels in the operator's ``state_dict``. Until ``set`` is called it is the identity. Like ``Normalization`` it
    follows the module to other devices and to float64, but stays in float32 when that goes to half precision.

    Args:
        dim: axes of space.
        inputs: how many constants are inputs.

    Attributes:
        velocity_mean, velocity_std, acceleration_mean, acceleration_std: (dim,), length per frame.
        input_mean, input_std: (input,), in the inputs' units.
        noise_unit: 0-d, the velocity that training noise of 1 means.
        dt: 0-d, time between frames.
        is_set: 0-d bool, whether ``set`` has been called.
    """

    velocity_mean: Tensor
    velocity_std: Tensor
    acceleration_mean: Tensor
    acceleration_std: Tensor
    input_mean: Tensor
    input_std: Tensor
    noise_unit: Tensor
    dt: Tensor
    is_set: Tensor

    def __init__(self, dim: int, inputs: int) -> None:
        super().__init__()
        for name, length in (("velocity", dim), ("acceleration", dim), ("input", inputs)):
            self.register_buffer(f"{name}_mean", torch.zeros(length))
            self.register_buffer(f"{name}_std", torch.ones(length))
        self.register_buffer("noise_unit", torch.ones(()))
        self.register_buffer("dt", torch.ones(()))
        self.register_buffer("is_set", torch.zeros((), dtype=torch.bool))

    @torch.no_grad()
    def set(self, statistics: MotionScales, dt: float, *, noise: float = 0.0) -> MotionNormalization:
        """Take the statistics of a data set; returns self.

        Training noise of standard deviation s on the velocities widens both spreads to sqrt(std^2 + s^2), as what the
        network sees and predicts then has them (Sanchez-Gonzalez et al. 2020, released code).

        Args:
            statistics: of the training data.
            dt: time between frames.
            noise: of the training, in units of ``statistics.speed``.

        Raises:
            ValueError: a value is not finite, a length is another, or dt is not positive.
        """
        if not (math.isfinite(dt) and dt > 0):
            raise ValueError(f"Expected dt > 0, the time between frames, got {dt}.")
        spread = noise * statistics.speed
        velocity_std = np.sqrt(statistics.velocity_std**2 + spread**2)
        acceleration_std = np.sqrt(statistics.acceleration_std**2 + spread**2)
        # What is (nearly) the same always: free fall has an acceleration, but no spread of it.
        floor = np.maximum(_SMALLEST * statistics.speed, 1e-2 * np.abs(statistics.acceleration_mean))
        self._take("velocity_mean", statistics.velocity_mean)
        self._take(
            "velocity_std", np.where(velocity_std > _SMALLEST * statistics.speed, velocity_std, statistics.speed)
        )
        self._take("acceleration_mean", statistics.acceleration_mean)
        self._take("acceleration_std", np.maximum(acceleration_std, floor))
        self._take("input_mean", statistics.input_mean)
        constant = statistics.input_std <= 1e-7 * np.abs(statistics.input_mean)
        self._take("input_std", np.where(constant, 1.0, statistics.input_std))
        self.noise_unit.fill_(statistics.speed)
        self.dt.fill_(float(dt))
        self.is_set.fill_(True)
        return self

    def encode_velocity(self, v: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Length per frame to zero mean and unit spread."""
        return (v - self.velocity_mean) / self.velocity_std

    def encode_acceleration(self, a: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Length per frame squared to zero mean and unit spread."""
        return (a - self.acceleration_mean) / self.acceleration_std

    def decode_acceleration(self, a: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        """Zero mean and unit spread to length per frame squared."""
        return a * self.acceleration_std + self.acceleration_mean

    def encode_inputs(self, inputs: Float[Tensor, "*batch input"]) -> Float[Tensor, "*batch input"]:
        """The inputs' units to zero mean and unit spread."""
        return (inputs - self.input_mean) / self.input_std

    def check_step(self, dt: Float[Tensor, " batch"]) -> None:
        """Refuse a step that is neither the trained one nor 0 (a sample that has finished): ValueError."""
        if torch.compiler.is_compiling() or not bool(self.is_set):
            return
        wrong = (dt != 0) & ((dt - self.dt).abs() > 1e-3 * self.dt)
        if bool(wrong.any()):
            raise ValueError(
                f"Expected steps of dt={float(self.dt):.6g}, the time between the frames it was trained on, got "
                f"{dt[wrong][0].item():.6g}. Use FixedStep({float(self.dt):.6g}) and output times that are multiples "
                "of it; the frames of a state are one step apart, so it has no other step."
            )

    def _take(self, name: str, values: np.ndarray) -> None:
        buffer: Tensor = getattr(self, name)
        found = torch.as_tensor(np.asarray(values, dtype=np.float64))
        if found.shape != buffer.shape or not bool(found.isfinite().all()):
            raise ValueError(
                f"Expected {tuple(buffer.shape)} finite values as {name}, got {found.tolist()}. "
                "Take particle_statistics of data with the operator's channels."
            )
        buffer.copy_(found)

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Any:
        return keep_float32(self, lambda: super(MotionNormalization, self)._apply(fn, recurse))
