"""Linear advection of sums of sines."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from sciml.datasets.channel import Channel
from sciml.generation.family import Batch, Family, Initial, Invariant, Parameter, Scheme
from sciml.generation.grid import Domain, Grid
from sciml.generation.restriction import truncate
from sciml.solvers.equations.advection import Advection
from sciml.solvers.initial import sine_sums


def _sample(generator: torch.Generator, grid: Grid, parameters: Mapping[str, float]) -> Initial:
    return Initial(u=sine_sums(1, grid.size, generator=generator, dtype=torch.float64)[0])


def _scheme(grid: Grid, batch: Batch, dt: float) -> Scheme:
    return Scheme(Advection(batch.parameters["velocity"], length=grid.domain.lengths), y0=batch.u)


def _mean(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    return u[:, :, 0]


def _energy(u: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
    return u[:, :, 0].square()


ADVECTION_1D = Family(
    name="advection-1d",
    title="Linear advection, 1D, sums of two sines",
    equation="u_t + velocity u_x = 0",
    source="M. Takamoto et al., PDEBench: An Extensive Benchmark for Scientific Machine Learning (2022), appendix D.1",
    channels=(Channel("u"),),
    domain=Domain((0.0,), (1.0,)),
    parameters=(Parameter("velocity", (0.2, 2.0), "speed of the pattern", log=True, positive=False),),
    sample=_sample,
    scheme=_scheme,
    restrict=truncate,
    size=256,
    frames=41,
    dt=0.05,
    shard_size=32,
    invariants=(Invariant("mean", _mean), Invariant("energy", _energy)),
)
