"""How the learning rate changes, as a function of the epoch alone: a resumed training needs no memory of it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@runtime_checkable
class Schedule(Protocol):
    """A factor of the learning rate."""

    def __call__(self, epoch: float, epochs: int) -> float:
        """The factor after ``epoch`` of ``epochs`` epochs; a step in the middle of an epoch has a fractional one."""
        ...


@dataclass(frozen=True, slots=True)
class Constant:
    """The learning rate as it is."""

    def __call__(self, epoch: float, epochs: int) -> float:
        return 1.0


@dataclass(frozen=True, slots=True)
class Cosine:
    """Linear warm-up, then half a cosine down to ``floor``.

    Loshchilov, Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", 2017, equation 5, without restarts.

    Attributes:
        warmup: part of the training that is warm-up, 0 <= warmup < 1.
        floor: factor at the end, 0 <= floor <= 1.
    """

    warmup: float = 0.05
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.warmup < 1 and 0 <= self.floor <= 1):
            raise ValueError(f"Expected 0 <= warmup < 1 and 0 <= floor <= 1, got {self.warmup} and {self.floor}.")

    def __call__(self, epoch: float, epochs: int) -> float:
        done = epoch / epochs if epochs else 1.0
        if done < self.warmup:
            return done / self.warmup
        cosine = math.cos(math.pi * min((done - self.warmup) / (1 - self.warmup), 1.0))
        return self.floor + (1 - self.floor) * (1 + cosine) / 2


@dataclass(frozen=True, slots=True)
class Warmup:
    """Linear warm-up over a number of epochs, however many there are in all, then another schedule over the rest.

    Attributes:
        epochs: of warm-up.
        then: such as ``Cosine(warmup=0.0)``; it sees the epochs that are left.
    """

    epochs: int
    then: Schedule

    def __post_init__(self) -> None:
        if self.epochs < 0:
            raise ValueError(f"Expected epochs >= 0 of warm-up, got {self.epochs}.")

    def __call__(self, epoch: float, epochs: int) -> float:
        if epoch < self.epochs:
            return epoch / self.epochs
        return self.then(epoch - self.epochs, epochs - self.epochs)


@dataclass(frozen=True, slots=True)
class StepDecay:
    """Multiplied by ``factor`` after every ``every`` epochs; PDEBench trains with ``StepDecay(every=100)``."""

    every: int
    factor: float = 0.5

    def __post_init__(self) -> None:
        if self.every < 1 or not 0 < self.factor <= 1:
            raise ValueError(f"Expected every >= 1 and 0 < factor <= 1, got {self.every} and {self.factor}.")

    def __call__(self, epoch: float, epochs: int) -> float:
        return self.factor ** (math.floor(epoch) // self.every)
