"""What a family of generated trajectories is: an equation, where its initial states come from, and how it is stepped.

A family is data and two functions; running, storing and resuming know nothing of the equations, and the equations
nothing of files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.generation.grid import Domain, Grid
from sciml.solvers.state import State, all_finite
from sciml.solvers.stepper import Stepper


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number of the equation or of its initial states.

    Attributes:
        name: such as "viscosity".
        default: one value for all trajectories, or the (low, high) that each draws its own from.
        meaning: one phrase.
        units: "" for a pure number.
        log: draw uniformly in the logarithm.
        positive: zero and below make no sense.
    """

    name: str
    default: float | tuple[float, float]
    meaning: str
    units: str = ""
    log: bool = False
    positive: bool = True


@dataclass(frozen=True, slots=True, eq=False)
class Initial:
    """The start of one trajectory, on the solver's grid, float64 on the CPU.

    Attributes:
        u: the dynamic channels, (channel, *space); of particles their state at the start, (node, number).
        static: the static channels, (channel, *space), or (node, channel); None without any.
        recorded: values drawn along with the state that the file keeps as parameters.
    """

    u: Tensor
    static: Tensor | None = None
    recorded: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Batch:
    """Initial states of several trajectories, in the dtype and on the device of the solver.

    Attributes:
        u: (batch, channel, *space), or (batch, node, number).
        static: (batch, channel, *space), or (batch, node, channel), None without static channels.
        parameters: values of every parameter, (batch,).
    """

    u: Tensor
    static: Tensor | None
    parameters: Mapping[str, Tensor]


Restriction = Callable[[Tensor], Tensor]
"""Takes a field (batch, channel, *space) from the solver's grid to the stored one."""


def as_it_is(y: Tensor, restrict: Restriction) -> Tensor:
    """The state's own channels on the stored grid."""
    return restrict(y)


@dataclass(frozen=True, slots=True, eq=False)
class Scheme:
    """How a batch is stepped.

    Attributes:
        stepper: the solver. A frame is one step of it: it takes as many substeps as it needs. Its equation does not
            depend on time.
        y0: the stepper's initial state.
        observe: the family's dynamic channels on the stored grid, from a state and the restriction to that grid.
    """

    stepper: Stepper
    y0: State
    observe: Callable[[State, Restriction], Tensor] = as_it_is


@dataclass(frozen=True, slots=True)
class Invariant:
    """A law that every trajectory is checked against as it is made.

    Attributes:
        name: such as "mass".
        density: maps the channels, static ones repeated along time, and the parameters (batch,) to the density whose
            mean over space obeys the law.
        law: "conserved", or "decaying" (never grows).
        tolerance: largest violation that counts as kept, relative to the mean modulus of the density; float32 storage
            alone costs about 1e-6.
    """

    name: str
    density: Callable[
        [Float[Tensor, "batch time channel *space"], Mapping[str, Tensor]], Float[Tensor, "batch time *space"]
    ]
    law: Literal["conserved", "decaying"] = "conserved"
    tolerance: float = 1e-4


@dataclass(frozen=True)
class Family:
    """A family of trajectories that ``make`` can write.

    Attributes:
        name: as the command line takes it.
        title: one line for the listing.
        equation: as text.
        source: where the equation and its initial states come from.
        channels: dynamic channels, then static ones.
        domain: the box and its boundaries.
        parameters: of the equation and of the initial states.
        sample: draws the start of one trajectory: ``(generator, grid, parameters) -> Initial``.
        scheme: builds the solver of a batch: ``(grid, batch, dt) -> Scheme``, dt the time between frames.
        restrict: takes a field (..., *space) to a grid coarser by a factor: ``(field, factor, dimensions) -> field``,
            ``average`` or ``truncate``.
        size: default points along each axis; of particles, how many.
        frames: default frames of a trajectory, the initial state included.
        dt: default time between frames.
        trajectories: default number of trajectories.
        shard_size: default trajectories that are stepped as one batch and written as one shard.
        supersample: the solver's grid is finer than the stored one by this factor.
        recorded: names and units of what ``sample`` records.
        is_valid: which states (batch, channel, *space) may be stored, (batch,); finite ones by default.
        invariants: laws that the trajectories must keep.
        version: raised whenever the same recipe gives other bytes.
        kind: "grid", or "particles": states are (node, channel), and ``restrict`` and ``supersample`` mean nothing.
    """

    name: str
    title: str
    equation: str
    source: str
    channels: tuple[Channel, ...]
    domain: Domain
    parameters: tuple[Parameter, ...]
    sample: Callable[[torch.Generator, Grid, Mapping[str, float]], Initial]
    scheme: Callable[[Grid, Batch, float], Scheme]
    restrict: Callable[[Tensor, int, int], Tensor]
    size: int
    frames: int
    dt: float
    trajectories: int = 100
    shard_size: int = 8
    supersample: int = 1
    recorded: Mapping[str, str] = field(default_factory=dict)
    is_valid: Callable[[Tensor], Tensor] = all_finite
    invariants: tuple[Invariant, ...] = ()
    version: int = 1
    kind: Literal["grid", "particles"] = "grid"

    @property
    def parameter_units(self) -> dict[str, str]:
        """Name and units of every number the file keeps for each trajectory."""
        return {parameter.name: parameter.units for parameter in self.parameters} | dict(self.recorded)
