"""Which particles of a cloud to keep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from sciml.kernels.neighbors.sampling import farthest_points


@runtime_checkable
class Sampling(Protocol):
    """Chooses particles of one cloud."""

    def count(self, nodes: int) -> int:
        """How many of ``nodes`` are kept."""
        ...

    def __call__(self, x: Float[Tensor, "node dim"], generator: torch.Generator) -> Int[Tensor, " kept"]:
        """The numbers of those kept, ascending."""
        ...


@dataclass(frozen=True, slots=True)
class UniformSampling:
    """Particles drawn at random, all with the same chance.

    Attributes:
        keep: how many; or which share, as a float below 1.
    """

    keep: int | float

    def __post_init__(self) -> None:
        _check_keep(self.keep)

    def count(self, nodes: int) -> int:
        """How many of ``nodes`` are kept."""
        return _kept(self.keep, nodes)

    def __call__(self, x: Float[Tensor, "node dim"], generator: torch.Generator) -> Int[Tensor, " kept"]:
        """The numbers of those kept, ascending."""
        return torch.randperm(len(x), generator=generator)[: self.count(len(x))].sort().values


@dataclass(frozen=True, slots=True)
class FarthestSampling:
    """Particles that cover the cloud evenly: each is the one farthest from those before it; the first is drawn.

    Attributes:
        keep: how many; or which share, as a float below 1.
    """

    keep: int | float

    def __post_init__(self) -> None:
        _check_keep(self.keep)

    def count(self, nodes: int) -> int:
        """How many of ``nodes`` are kept."""
        return _kept(self.keep, nodes)

    def __call__(self, x: Float[Tensor, "node dim"], generator: torch.Generator) -> Int[Tensor, " kept"]:
        """The numbers of those kept, ascending."""
        start = int(torch.randint(len(x), (), generator=generator))
        return farthest_points(x[None], self.count(len(x)), start)[0].sort().values


def sparse_radius(radius: float, share: float, dim: int) -> float:
    """The radius that sees as many neighbours after ``share`` of the particles was kept as ``radius`` did before.

    Raises:
        ValueError: share is not in (0, 1].
    """
    if not 0 < share <= 1:
        raise ValueError(f"Expected share between 0 and 1, the part of the particles that is kept, got {share}.")
    return radius * share ** (-1 / dim)


def _kept(keep: int | float, nodes: int) -> int:
    return min(nodes, keep) if isinstance(keep, int) else max(1, round(keep * nodes))


def _check_keep(keep: int | float) -> None:
    if not (keep >= 1 if isinstance(keep, int) else 0 < keep <= 1):
        raise ValueError(f"Expected keep as a number of particles >= 1 or a share in (0, 1], got {keep!r}.")
