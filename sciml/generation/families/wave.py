"""Waves through a random medium."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.generation.families.media import random_medium
from sciml.generation.family import Batch, Family, Initial, Invariant, Parameter, Restriction, Scheme
from sciml.generation.grid import Domain, Grid
from sciml.generation.restriction import truncate
from sciml.generation.substeps import Substeps, steps_for
from sciml.solvers.equations.wave import VelocityVerlet, Wave
from sciml.solvers.initial import blobs

_CFL = 0.4  # of the sqrt(1 / dims) that is stable: the phase error of time stays below that of space


def _sample(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    """Bumps at rest."""
    medium = random_medium(generator, grid, typical=parameters["typical_speed"], contrast=parameters["contrast"])
    u = blobs(1, grid.shape, generator=generator, count=4, width=0.05, dtype=torch.float64)[0]
    return Initial(u=torch.cat([u, torch.zeros_like(u)]), static=medium[None])


def _scheme(grid: Grid, batch: Batch, dt: float) -> Scheme:
    assert batch.static is not None
    fastest = float((batch.parameters["typical_speed"] * batch.parameters["contrast"]).max())
    count = steps_for(dt, _CFL * min(grid.spacing) / fastest)
    stepper = Substeps(VelocityVerlet(Wave(spacing=grid.spacing)), count)
    return Scheme(stepper, y0=torch.cat([batch.u, batch.static], dim=1), observe=_motion)


def _motion(y: Tensor, restrict: Restriction) -> Tensor:
    return restrict(y[:, :2])


def _energy(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    """((u_t / c)^2 + |grad u|^2) / 2 on the unit square, the gradient by differences of neighbours."""
    displacement, velocity, speed = u[:, :, 0], u[:, :, 1], u[:, :, 2]
    jumps = [(displacement.roll(-1, dims=axis) - displacement) * u.shape[axis] for axis in (-2, -1)]
    return 0.5 * ((velocity / speed).square() + jumps[0].square() + jumps[1].square())


WAVE_2D = Family(
    name="wave-2d",
    title="Waves, 2D, through a random medium",
    equation="u_tt = speed^2 laplace u",
    source="J. d'Alembert (1747); leapfrog in time, second order in space",
    channels=(Channel("displacement"), Channel("velocity"), Channel("speed", static=True)),
    domain=Domain((0.0, 0.0), (1.0, 1.0)),
    parameters=(
        Parameter("typical_speed", 1.0, "geometric middle of the speed"),
        Parameter("contrast", 1.5, "largest speed over the typical one"),
    ),
    sample=_sample,
    scheme=_scheme,
    restrict=truncate,
    size=64,
    frames=41,
    dt=0.025,
    shard_size=8,
    supersample=2,
    invariants=(Invariant("energy", _energy, tolerance=0.05),),
)
