"""A recipe: everything that the bytes of a generated dataset depend on, and nothing else."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from sciml.generation.family import Family, Parameter
from sciml.generation.grid import Grid
from sciml.generation.randomness import draw

Value = float | tuple[float, float]

DTYPES = {"float32": torch.float32, "float64": torch.float64}
SPLITS = ("train", "valid", "test")


@dataclass(frozen=True)
class Recipe:
    """What to make. A zero stands for the family's default and is replaced by it.

    Attributes:
        family: the equation, its initial states and its solver.
        trajectories: how many.
        size: stored points along each axis; of particles, how many.
        frames: of each trajectory, the initial state included.
        dt: time between frames.
        seed: of all randomness, >= 0.
        dtype: "float32" or "float64", of the solver and of the file.
        device: of the solver, such as "cpu" or "cuda".
        shard_size: trajectories that are stepped as one batch and written as one shard. It belongs to the recipe: the
            last bit of a transform may depend on how many are taken at once.
        supersample: the solver's grid is finer than the stored one by this factor.
        parameters: name -> a value for all trajectories, or the (low, high) that each draws its own from; the family's
            defaults where absent.
        splits: trajectories in train, valid and test, by index in this order; () for 80, 10 and 10 %.

    Raises:
        ValueError: an entry is not what it should be.
    """

    family: Family
    trajectories: int = 0
    size: int = 0
    frames: int = 0
    dt: float = 0.0
    seed: int = 0
    dtype: str = "float32"
    device: str = "cpu"
    shard_size: int = 0
    supersample: int = 0
    parameters: Mapping[str, Value | Sequence[float]] = field(default_factory=dict)
    splits: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        family, resolved = self.family, object.__setattr__
        for name, least in (("trajectories", 1), ("size", 4), ("frames", 2), ("shard_size", 1), ("supersample", 1)):
            resolved(self, name, _whole(name, getattr(self, name) or getattr(family, name), least))
        resolved(self, "seed", _whole("seed", self.seed, 0))
        resolved(self, "dt", _positive("dt", self.dt or family.dt))
        resolved(self, "parameters", _resolved_parameters(family, self.parameters))
        resolved(self, "splits", _resolved_splits(self.splits, self.trajectories))
        if family.kind == "particles" and self.supersample != 1:
            raise ValueError(f"Expected supersample=1 for particles, got {self.supersample}. Make more points: size.")
        if self.dtype not in list(DTYPES):
            raise ValueError(f"Expected dtype to be one of {', '.join(DTYPES)}, got {self.dtype!r}.")
        _check_device(self.device)

    @property
    def grid(self) -> Grid:
        """The stored grid."""
        return Grid(self.family.domain, self.size)

    @property
    def points(self) -> int:
        """Stored points of a frame."""
        return self.size if self.family.kind == "particles" else self.size**self.family.domain.dimensions

    @property
    def times(self) -> np.ndarray:
        """The frames' times, (time,) float64."""
        return np.arange(self.frames) * self.dt

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.trajectories // self.shard_size)

    def members(self, shard: int) -> range:
        """The trajectories of a shard."""
        return range(shard * self.shard_size, min((shard + 1) * self.shard_size, self.trajectories))

    def split_of(self, trajectory: int) -> str:
        """The split that a trajectory belongs to, "" for none."""
        for name, end in zip(SPLITS, np.cumsum(self.splits)):
            if trajectory < end:
                return name
        return ""

    def parameters_of(self, trajectory: int) -> dict[str, float]:
        """A trajectory's own parameters."""
        values = {}
        for parameter in self.family.parameters:
            value = self.parameters[parameter.name]
            if isinstance(value, Sequence):
                low, high = value
                value = draw(self.seed, trajectory, parameter.name, (low, high), log=parameter.log)
            values[parameter.name] = value
        return values

    def describe(self) -> dict[str, Any]:
        """The recipe as plain JSON, as the file keeps it."""
        return {
            "family": self.family.name,
            "version": self.family.version,
            "trajectories": self.trajectories,
            "size": self.size,
            "frames": self.frames,
            "dt": self.dt,
            "seed": self.seed,
            "dtype": self.dtype,
            "device": torch.device(self.device).type,
            "shard_size": self.shard_size,
            "supersample": self.supersample,
            "parameters": {k: list(v) if isinstance(v, tuple) else v for k, v in self.parameters.items()},
            "splits": list(self.splits),
        }


def _resolved_parameters(family: Family, given: Mapping[str, Any]) -> dict[str, Value]:
    known = {parameter.name: parameter for parameter in family.parameters}
    if not isinstance(given, Mapping):
        raise ValueError(f"Expected parameters to be a mapping of names to values, got {given!r}.")
    for name in given:
        if name not in known:
            raise ValueError(f"Expected parameters of {family.name}: {', '.join(known)}; got {name!r}.")
    return {name: _value(parameter, given.get(name, parameter.default)) for name, parameter in known.items()}


def _value(parameter: Parameter, given: Any) -> Value:
    """One number, or an increasing pair."""
    single = isinstance(given, (int, float)) and not isinstance(given, bool)
    numbers = [given] if single else given
    if not isinstance(numbers, (list, tuple)) or not all(isinstance(n, (int, float)) for n in numbers):
        raise ValueError(f"Expected {parameter.name} to be a number or a (low, high) pair, got {given!r}.")
    values = [float(number) for number in numbers]
    if len(values) not in (1, 2) or not all(map(math.isfinite, values)) or values != sorted(values):
        raise ValueError(
            f"Expected {parameter.name} to be a finite number or (low, high) with low <= high, got {given!r}."
        )
    if (parameter.positive or (parameter.log and len(values) == 2)) and values[0] <= 0:
        raise ValueError(f"Expected {parameter.name} > 0 ({parameter.meaning}), got {given!r}.")
    return values[0] if len(values) == 1 else (values[0], values[1])


def _resolved_splits(given: Any, trajectories: int) -> tuple[int, ...]:
    if not given:
        held_out = 0 if trajectories < 3 else max(1, trajectories // 10)
        return trajectories - 2 * held_out, held_out, held_out
    counts = tuple(_whole("splits", count, 0) for count in given) if isinstance(given, (list, tuple)) else ()
    if len(counts) != len(SPLITS) or sum(counts) > trajectories:
        raise ValueError(
            f"Expected splits to be the three counts {SPLITS}, together at most {trajectories}, got {given}."
        )
    return counts


def _whole(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"Expected {name} to be a whole number >= {least}, got {value!r}.")
    return int(value)


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 < value < math.inf:
        raise ValueError(f"Expected {name} to be a number > 0, got {value!r}.")
    return float(value)


def _check_device(name: Any) -> None:
    try:
        kind = torch.device(name).type
    except (RuntimeError, TypeError):
        raise ValueError(f"Expected device to be such as 'cpu' or 'cuda', got {name!r}.") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"Expected a device that is there, got {name!r} without a CUDA device. Use device='cpu'.")
