"""What a number in a field means."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True)
class Channel:
    """One channel of a state.

    Attributes:
        name: such as "velocity_x"; unique in a dataset.
        units: as the file states them, "" where it states none.
        field: the field it is a component of, such as "velocity"; the name itself for a scalar.
        component: such as "x" or "xy", "" for a scalar.
        static: constant in time: an operator reads it and hands it on unchanged.
    """

    name: str
    units: str = ""
    field: str = ""
    component: str = ""
    static: bool = False

    def __post_init__(self) -> None:
        if not self.field:
            object.__setattr__(self, "field", self.name)


@dataclass(frozen=True, slots=True, eq=False)
class Axis:
    """One spatial axis of a grid.

    Attributes:
        name: such as "x".
        coordinates: (n,) float64, cell centres or nodes as the file has them.
        units: "" where the file states none.
        boundary: "periodic", "wall", "open", or "" where the file does not say.
    """

    name: str
    coordinates: np.ndarray
    units: str = ""
    boundary: str = ""

    @property
    def spacing(self) -> float:
        """Mean distance of neighbouring points, 1.0 for a single point."""
        n = len(self.coordinates)
        return float(self.coordinates[-1] - self.coordinates[0]) / (n - 1) if n > 1 else 1.0
