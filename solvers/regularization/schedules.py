"""How the papers' weights change over the training."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ExponentialDecay:
    """The penalty's weight: first exp(-n log(first / last) / length) after n of ``length`` steps, then ``last``.

    Source: Pal et al., ICML 2021, section 4 (100 to 10 over the training for the error of MNIST).

    Raises:
        ValueError: a weight or the length is not positive.
    """

    first: float
    last: float
    length: int

    def __post_init__(self) -> None:
        if min(self.first, self.last, self.length) <= 0:
            raise ValueError(f"Expected first, last and length > 0, got {self.first}, {self.last}, {self.length}.")

    def __call__(self, n: int) -> float:
        return self.first * (self.last / self.first) ** (min(n, self.length) / self.length)


@dataclass(frozen=True)
class KLWarmUp:
    """The weight max(0, 1 - base^(n - start)) of the Kullback-Leibler term of a latent model: 0 until ``start``."""

    base: float = 0.99
    start: int = 10

    def __call__(self, n: int) -> float:
        return max(0.0, 1.0 - self.base ** (n - self.start))
