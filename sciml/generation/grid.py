"""The boxes that families live in, and the uniform grids laid over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from sciml.datasets.channel import Axis

NAMES = ("x", "y", "z")


@dataclass(frozen=True, slots=True)
class Domain:
    """A box.

    Attributes:
        lower, upper: its corners, one number per axis.
        boundary: "periodic", "wall" or "open", the same on every side.
        centred: values sit in the middle of cells (finite volumes); else on their lower corner (nodes).
        units: of the coordinates.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    boundary: str = "periodic"
    centred: bool = False
    units: str = ""

    @property
    def dimensions(self) -> int:
        """Number of axes."""
        return len(self.lower)

    @property
    def lengths(self) -> tuple[float, ...]:
        """Side lengths."""
        return tuple(high - low for low, high in zip(self.lower, self.upper))

    def box(self) -> tuple[Axis, ...]:
        """The axes as a file of particles describes them: each by its two ends."""
        ends = zip(NAMES, self.lower, self.upper)
        return tuple(Axis(name, np.array(pair), units=self.units, boundary=self.boundary) for name, *pair in ends)


@dataclass(frozen=True, slots=True)
class Grid:
    """``size`` points along each axis of a domain."""

    domain: Domain
    size: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Points along each axis."""
        return (self.size,) * self.domain.dimensions

    @property
    def spacing(self) -> tuple[float, ...]:
        """Distance of neighbouring points along each axis."""
        return tuple(length / self.size for length in self.domain.lengths)

    def refined(self, factor: int) -> Grid:
        """The grid finer by ``factor`` along each axis."""
        return Grid(self.domain, self.size * factor)

    def axes(self) -> tuple[Axis, ...]:
        """The axes as a file describes them."""
        domain = self.domain
        return tuple(
            Axis(name, self._coordinates(k), units=domain.units, boundary=domain.boundary)
            for k, name in enumerate(NAMES[: domain.dimensions])
        )

    def points(self) -> tuple[Float[Tensor, "*space"], ...]:
        """The coordinates of every point, one field per axis, float64."""
        lines = [torch.from_numpy(self._coordinates(k)) for k in range(self.domain.dimensions)]
        return tuple(torch.meshgrid(*lines, indexing="ij"))

    def _coordinates(self, axis: int) -> np.ndarray:
        offset = 0.5 if self.domain.centred else 0.0
        return self.domain.lower[axis] + (np.arange(self.size) + offset) * self.spacing[axis]
