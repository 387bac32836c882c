"""Heat conduction through a random medium."""

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
from sciml.solvers.equations.heat import Heat
from sciml.solvers.initial import blobs
from sciml.solvers.runge_kutta import RungeKutta
from sciml.solvers.tableaus.rk4 import RK4

# RK4 is stable up to 2.78 on the negative axis, where the operator reaches 4 dims k / spacing^2.
_STABLE = 2.0


def _sample(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    medium = random_medium(generator, grid, typical=parameters["typical_conductivity"], contrast=parameters["contrast"])
    u = blobs(1, grid.shape, generator=generator, count=6, width=0.06, dtype=torch.float64)[0]
    return Initial(u=u, static=medium[None])


def _scheme(grid: Grid, batch: Batch, dt: float) -> Scheme:
    assert batch.static is not None
    largest = float((batch.parameters["typical_conductivity"] * batch.parameters["contrast"]).max())
    limit = _STABLE * min(grid.spacing) ** 2 / (4 * grid.domain.dimensions * largest)
    stepper = Substeps(RungeKutta(Heat(spacing=grid.spacing), RK4), steps_for(dt, limit))
    return Scheme(stepper, y0=torch.cat([batch.u, batch.static], dim=1), observe=_temperature)


def _temperature(y: Tensor, restrict: Restriction) -> Tensor:
    return restrict(y[:, :1])


def _heat(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    return u[:, :, 0]


HEAT_2D = Family(
    name="heat-2d",
    title="Heat conduction, 2D, through a random medium",
    equation="u_t = div(conductivity grad u)",
    source="J. Fourier, Theorie analytique de la chaleur (1822); finite volumes of second order",
    channels=(Channel("temperature"), Channel("conductivity", static=True)),
    domain=Domain((0.0, 0.0), (1.0, 1.0)),
    parameters=(
        Parameter("typical_conductivity", 1e-2, "geometric middle of the conductivity"),
        Parameter("contrast", 5.0, "largest conductivity over the typical one"),
    ),
    sample=_sample,
    scheme=_scheme,
    restrict=truncate,
    size=64,
    frames=21,
    dt=0.02,
    shard_size=8,
    invariants=(Invariant("heat", _heat),),
)
